// Edits the rules. What is edited stays a draft, in this tab, until it is saved.
import {admin, document_, draft, session} from './api.js';
import {showDiff} from './diff.js';
import {cells, field, h, notice, say, select, table} from './page.js';

export const title = 'Rules';
const MAX_SHOWN = 200;
const ACTIONS = ['PIN', 'BLOCK', 'BOOST'], TARGETS = ['ITEM', 'TAG', 'BRAND', 'CATEGORY'];
const pairs = (names) => names.map((name) => [name, name]);
const rulesOf = () => (Array.isArray(draft.document) ? draft.document : draft.document.rules);
const copy = (value) => JSON.parse(JSON.stringify(value));
let opened = null, wanted = '', place, problem, saver, stored;

async function load() {
  const {content, match} = await document_('rules', []);
  stored = content;
  Object.assign(draft, {tenant: session.tenant, document: copy(content), match, changed: false, fault: ''});
  opened = null;
}

/** The fields of a rule: name, label, how it is shown, hint, and what its text means (undefined: left out). */
const text = (value) => value || undefined;
const numeric = (value) => (value.trim() === '' ? undefined : Number.isFinite(Number(value)) ? Number(value) : value);
const FIELDS = [
  ['rule_id', 'Rule id', 'input', 'Unique among the rules', (value) => value],
  ['action', 'Action', ACTIONS, '', text],
  ['target_type', 'Target', TARGETS, '', text],
  ['target_key', 'Target key', 'input', 'One item, tag, brand or category', text],
  ['item_ids', 'Items', 'input', 'Several item ids, with commas between', (value) => (value.trim() ? value.split(',').map((id) => id.trim()).filter(Boolean) : undefined)],
  ['boost', 'Boost', 'input', 'Multiplier minus one: 0.5 is × 1.5', numeric],
  ['max_pins', 'Pins at most', 'input', 'Of a response; 3 unless said', numeric],
  ['priority', 'Priority', 'input', 'Higher goes first', numeric],
  ['surface', 'Surface', 'input', 'Empty: all', text],
  ['segment', 'Segment', 'input', 'Empty: all', text],
  ['valid_from', 'Valid from', 'input', '2026-01-31T12:00:00Z', text],
  ['valid_until', 'Valid until', 'input', 'Not itself included', text],
  ['name', 'Name', 'input', '', text],
  ['description', 'Description', 'input', '', text],
];

function changed() {
  draft.changed = true;
  saver();
}

function editor(rule) {
  const off = !session.edits;
  const fields = FIELDS.map(([name, label, kind, hint, read]) => {
    const value = rule[name] ?? '';
    const input = () => {
      const made = read(control.value);
      if (made === undefined) delete rule[name]; else rule[name] = made;
      control.fault('');
      changed();
    };
    const control = kind === 'input' ? h('input', {name, value: Array.isArray(value) ? value.join(', ') : String(value), input, disabled: off})
      : select(pairs(kind.includes(value) || !value ? kind : [...kind, value]), value, {name, input, disabled: off});
    return field(label, control, hint);
  });
  const enabled = h('input', {type: 'checkbox', name: 'enabled', checked: rule.enabled !== false, disabled: off, input: () => {
    if (enabled.checked) delete rule.enabled; else rule.enabled = false;
    changed();
  }});
  const done = () => { const id = opened; opened = null; list(); place.querySelector(`[data-at="${rulesOf().indexOf(id)}"]`)?.focus(); };
  const remove = () => { rulesOf().splice(rulesOf().indexOf(rule), 1); opened = null; changed(); list(); say('Removed from the draft.'); place.querySelector('button')?.focus(); };
  return h('div', {class: 'panel', role: 'group', 'aria-label': `Rule ${rule.rule_id}`, keydown: (event) => { if (event.key === 'Escape') done(); }},
    h('div', {class: 'grid'}, fields, h('div', {}, h('label', {}, enabled, ' Enabled'))),
    h('div', {class: 'row'}, h('button', {type: 'button', click: done}, 'Close'),
      off ? null : h('button', {type: 'button', class: 'danger', click: remove}, 'Remove this rule')));
}

function open(rule, name = 'rule_id') {
  opened = rule;
  list();
  const control = place.querySelector(`[name="${CSS.escape(name)}"]`);
  control?.focus();
  return control;
}

function list() {
  const all = rulesOf().map((rule, at) => [rule, at]).filter(([rule]) => rule === opened
    || !wanted || JSON.stringify(rule).toLowerCase().includes(wanted));
  const shown = all.slice(0, MAX_SHOWN);
  if (opened && !shown.some(([rule]) => rule === opened)) shown.push([opened, rulesOf().indexOf(opened)]);
  const rows = shown.flatMap(([rule, at]) => {
    const target = (rule.item_ids ?? [rule.target_key ?? '']).slice(0, 5).join(', ');
    const row = cells(h('td', {}, h('strong', {}, String(rule.rule_id)), rule.name ? h('small', {}, ` ${rule.name}`) : null), String(rule.action),
      `${rule.target_type} ${target}`, [rule.surface, rule.segment].filter(Boolean).join(' / ') || 'everywhere',
      String(rule.priority ?? 0), rule.enabled === false ? 'off' : 'on',
      h('td', {class: 'act'}, h('button', {type: 'button', class: 'small', 'data-at': at, 'aria-expanded': String(rule === opened),
        'aria-label': `${session.edits ? 'Edit' : 'Show'} ${rule.rule_id}`, click: () => open(rule)}, session.edits ? 'Edit' : 'Show')));
    if (rule.enabled === false) row.className = 'off';
    return rule === opened ? [row, h('tr', {}, h('td', {colspan: '7'}, editor(rule)))] : [row];
  });
  place.replaceChildren(rows.length ? table(`${rulesOf().length} rules`, ['Rule', 'Action', 'Target', 'Where', 'Priority', 'State', ''], rows)
    : h('p', {class: 'muted'}, rulesOf().length ? 'No rule has this.' : 'There are no rules yet.'));
  if (all.length > MAX_SHOWN) place.append(h('p', {class: 'muted'}, `${MAX_SHOWN} of ${all.length} are shown; search for others.`));
}

/** Shows an error at the field that it names (`rules[3].valid_until: …`), else above the rules. */
function point(message) {
  const found = /^rules\[(\d+)\](?:\.(\w+))?[^:]*: (.*)$/s.exec(message) ?? /^rules\[(\d+)\](?:\.(\w+))?/.exec(message);
  const rule = found && rulesOf()[Number(found[1])];
  const told = notice('bad', h('strong', {}, 'Not saved. '), message);
  problem.replaceChildren(told);
  const missing = found?.[2] === undefined && /required field `(\w+)`/.exec(message)?.[1];
  if (rule) open(rule, found[2] ?? (missing || 'rule_id'))?.fault?.(found[3] ?? message);
}

async function conflict(message) {
  const theirs = await document_('rules', []);
  const mine = h('button', {type: 'button', click: () => { draft.match = theirs.match; problem.replaceChildren(notice('caution', 'Saving now replaces what somebody else saved.')); }}, 'Keep my draft, to save over it');
  const yours = h('button', {type: 'button', click: async () => { await load(); problem.replaceChildren(); list(); saver(); }}, 'Drop my draft');
  problem.replaceChildren(notice('bad', h('strong', {}, 'Somebody else has changed the rules. '), message, h('p', {}, 'From theirs (−) to your draft (+):'),
    showDiff(theirs.content, draft.document), h('div', {class: 'row'}, yours, mine)));
  yours.focus();
}

export async function make() {
  if (draft.document === null || draft.tenant !== session.tenant || !draft.changed) await load();
  place = h('div'); problem = h('div');
  const comment = h('input', {name: 'comment', maxlength: '500'});
  const save = h('button', {class: 'main'}, 'Save'), undo = h('button', {type: 'button'}, 'Drop the draft');
  const changes = h('div');
  saver = () => { save.disabled = undo.disabled = !draft.changed; if (!draft.changed) changes.replaceChildren(); };
  const store = async (event) => {
    event.preventDefault();
    problem.replaceChildren();
    save.disabled = true;
    try {
      const query = comment.value ? `?comment=${encodeURIComponent(comment.value)}` : '';
      const {content} = await admin(`rules${query}`, {method: 'PUT', body: draft.document, headers: draft.match});
      comment.value = '';
      await load();
      list();
      say(`Saved as version ${content.number}.`);
    } catch (error) {
      if (error.code === 'RECSYS_VERSION_MISMATCH') await conflict(error.message);
      else point(error.message);
    }
    saver();
  };
  undo.addEventListener('click', async () => { await load(); problem.replaceChildren(); list(); saver(); say('The draft is dropped.'); });
  const add = () => {
    const rule = {rule_id: `rule-${rulesOf().length + 1}`, action: 'BOOST', target_type: 'TAG'};
    rulesOf().push(rule);
    changed();
    open(rule).select();
  };
  const search = h('input', {type: 'search', name: 'search', value: wanted, input: () => { wanted = search.value.toLowerCase(); list(); }});
  const show = (event) => { event.preventDefault(); changes.replaceChildren(showDiff(stored, draft.document)); };
  list();
  saver();
  const bar = h('div', {class: 'row'}, h('div', {class: 'grow'}, field('Search', search)), session.edits ? h('button', {type: 'button', click: add}, 'Add a rule') : null);
  if (!session.edits) return [h('p', {class: 'muted'}, 'Your role sees the rules; an operator changes them.'), bar, problem, place];
  return [h('p', {class: 'muted'}, 'Changes are a draft until they are saved. What is blocked never comes back by any rule.'), bar, problem, place,
    h('form', {class: 'panel', submit: store}, h('div', {class: 'grid'}, field('Comment', comment, 'Why; kept in the history', 'wide')),
      h('div', {class: 'row'}, save, h('button', {type: 'button', click: () => { location.hash = '#/preview'; }}, 'Preview the draft'),
        h('button', {type: 'button', click: show}, 'Show the changes'), undo), changes)];
}

/** Coming back from a preview of a broken draft, points at its error. */
export function ready() {
  if (draft.fault) point(draft.fault);
  draft.fault = '';
}
