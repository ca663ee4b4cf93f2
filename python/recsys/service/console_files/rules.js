// Edits the rules. What is edited stays a draft, in this tab, until it is saved.
import {drafts, session} from './api.js';
import {change, open as begin, pointAgain, saving} from './drafts.js';
import {cells, field, h, notice, say, select, table} from './page.js';

export const title = 'Rules';
const MAX_SHOWN = 200;
const ACTIONS = ['PIN', 'BLOCK', 'BOOST'], TARGETS = ['ITEM', 'TAG', 'BRAND', 'CATEGORY'];
const pairs = (names) => names.map((name) => [name, name]);
const rulesOf = () => (Array.isArray(draft.document) ? draft.document : draft.document.rules);
const draft = drafts.rules;
let opened = null, wanted = '', place, problem, saver;

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

const changed = () => change('rules', saver);

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

export async function make() {
  await begin('rules');
  opened = null;
  place = h('div'); problem = h('div');
  saver = saving('rules', page);
  const add = () => {
    const taken = new Set(rulesOf().map((rule) => rule.rule_id));
    let number = rulesOf().length + 1;
    while (taken.has(`rule-${number}`)) number++;
    const rule = {rule_id: `rule-${number}`, action: 'BOOST', target_type: 'TAG'};
    rulesOf().push(rule);
    changed();
    open(rule).select();
  };
  const search = h('input', {type: 'search', name: 'search', value: wanted, input: () => { wanted = search.value.toLowerCase(); list(); }});
  list();
  const bar = h('div', {class: 'row'}, h('div', {class: 'grow'}, field('Search', search)), session.edits ? h('button', {type: 'button', click: add}, 'Add a rule') : null);
  return [h('p', {class: 'muted'}, session.edits ? 'Changes are a draft until they are saved. What is blocked never comes back by any rule.'
    : 'Your role sees the rules; an operator changes them.'), bar, problem, place, saver.panel];
}

const page = {get problem() { return problem; }, list: () => { opened = null; list(); }, point};
export const ready = () => pointAgain('rules', page);
