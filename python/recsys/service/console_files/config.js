// Edits the config: the settings of a surface and segment by form, everything as text. Both are one draft.
import {drafts, session} from './api.js';
import {change, open as begin, pointAgain, saving} from './drafts.js';
import {faultOf, pathOf, rangeOf, setAt, textOf, valueAt} from './json_text.js';
import {field, h, notice, select} from './page.js';

export const title = 'Config';
const draft = drafts.config;
const MODES = ['popularity', 'cooc', 'implicit', 'session_seq', 'content_sim', 'session_knn', 'blend'];
const number = (text) => (text.trim() === '' ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);
const names = (text) => (text.trim() === '' ? undefined : text.split(',').map((name) => name.trim()).filter(Boolean));
/** The fields of a layer: where, label, choices or what the text means, hint. */
const LAYER = [
  ['mode', 'Mode', MODES, 'Built in: blend'],
  ['weights.pop', 'Weight of popularity', number, 'Built in: 0.2; one that is not given is 0'],
  ['weights.cooc', 'Weight of co-visitation', number, 'And of sequences and past sessions; built in: 1'],
  ['weights.emb', 'Weight of embeddings', number, 'Users and content; built in: 1'],
  ['weights.signals.session_seq', 'Weight of sequences', number, 'If not that of co-visitation'],
  ['weights.signals.session_knn', 'Weight of past sessions', number, 'If not that of co-visitation'],
  ['weights.signals.content_sim', 'Weight of content', number, 'If not that of embeddings'],
  ['normalizer', 'Normaliser', ['saturating', 'max', 'none'], 'Built in: saturating'],
  ['half_life_days', 'Half-life', number, 'Days, of popularity'],
  ['anchor_decay', 'Anchor decay', number, 'Above 0 to 1; built in: 1'],
  ['brand_cap', 'Brand cap', number, 'Items of a brand in a list'],
  ['category_cap', 'Category cap', number, 'Items of a category in a list'],
  ['mmr_lambda', 'MMR lambda', number, '1 is relevance alone, 0 diversity'],
  ['mmr_pool', 'MMR pool', number, 'Candidates to reorder; built in: 200'],
  ['ladder', 'Fallback ladder', names, 'segment, surface_default, tenant_default, popularity, newest', 'wide'],
  ['seen.action', 'Seen items', ['keep', 'drop', 'damp'], 'Built in: keep'],
  ['seen.window_hours', 'Seen within', number, 'Hours; built in: 24'],
];
const SURFACE = [['schedule_hours', 'Schedule', number, 'Hours between releases; freshness is measured by it']];
const TENANT = [
  ['limits.max_k', 'Largest k', number, 'Built in: 200'],
  ['limits.tenant_requests_per_s', 'Requests a second', number, 'Of the tenant; empty: no limit'],
  ['limits.principal_requests_per_s', 'Of one caller', number, 'Requests a second; empty: no limit'],
  ['flags.apply_rules', 'Apply rules', 'flag', 'Off ranks without rules'],
  ['flags.accept_caller_weights', 'Take weights of requests', 'flag', 'Off ignores them'],
  ['flags.log_exposures', 'Log exposures', 'flag', 'Off writes none'],
  ['flags.guard_pii', 'Refuse e-mail addresses and phone numbers as ids', 'flag', 'Off lets them through'],
];
const kept = {surface: '', segment: ''};
let form, text, problem, saver, controls;

const scope = () => (kept.surface ? ['surfaces', kept.surface, ...(kept.segment ? ['segments', kept.segment] : [])] : ['defaults']);

function show() {
  text.value = draft.text ?? textOf(draft.document);
  text.fault(faultOf(text.value)?.message ?? '');
}

function control([where, label, kind, hint, css], path) {
  const off = !session.edits, full = [...path, ...where.split('.')], value = valueAt(draft.document, full);
  const set = (made) => { setAt(draft.document, full, made); node.fault?.(''); show(); change('config', saver); };
  let node;
  if (kind === 'flag') {
    node = h('input', {type: 'checkbox', name: where, checked: value !== false, disabled: off, input: () => set(node.checked ? undefined : false)});
    const told = field(label, node, hint);
    told.className = 'check';
    return [full, node, told];
  }
  if (Array.isArray(kind)) {
    const choices = [['', 'As the layer below'], ...[...new Set([...kind, ...(value === undefined ? [] : [String(value)])])].map((name) => [name, name])];
    node = select(choices, value === undefined ? '' : String(value), {name: where, disabled: off, input: () => set(node.value || undefined)});
  } else {
    node = h('input', {name: where, disabled: off, value: Array.isArray(value) ? value.join(', ') : value === undefined ? '' : String(value), input: () => set(kind(node.value))});
  }
  return [full, node, field(label, node, hint, css)];
}

function list() {
  const path = scope(), group = (name, fields, at) => {
    const made = fields.map((one) => control(one, at));
    controls.push(...made);
    return h('fieldset', {class: 'plain', disabled: draft.text !== null}, h('legend', {}, name), h('div', {class: 'grid'}, made.map(([, , node]) => node)));
  };
  controls = [];
  const where = kept.surface ? `Surface ${kept.surface}${kept.segment ? `, segment ${kept.segment}` : ''}` : 'All surfaces';
  form.replaceChildren(group(where, path.length === 2 ? [...LAYER, ...SURFACE] : LAYER, path), group('The whole tenant', TENANT, []));
  show();
}

/** Shows an error at the field that it names (`surfaces.home.mmr_lambda: …`), and where that is in the text. */
function point(message) {
  problem.replaceChildren(notice('bad', h('strong', {}, 'Not saved. '), message));
  const [, pointer, told] = /^(\S+): (.*)$/s.exec(message) ?? [null, '', message];
  let path = pathOf(draft.document, pointer);
  const unknown = /unknown field `([^`]+)`/.exec(told)?.[1];
  if (unknown !== undefined) path = pathOf(draft.document, pointer === 'document' ? unknown : `${pointer}.${unknown}`);
  if (path[0] === 'surfaces' && path.length > 1) Object.assign(kept, {surface: path[1], segment: path[2] === 'segments' ? path[3] ?? '' : ''});
  else if (path[0] === 'defaults') Object.assign(kept, {surface: '', segment: ''});
  for (const name of ['surface', 'segment']) document.querySelector(`[name=scope_${name}]`).value = kept[name];
  list();
  const begins = (whole, part) => part.every((key, at) => key === whole[at]);
  const found = controls.find(([full]) => begins(path, full)) ?? (path.length > 1 && controls.find(([full]) => begins(full, path)));
  if (found) { found[1].fault(told); found[1].focus(); return; }
  text.fault(message);
  text.focus();
  const [start, end] = rangeOf(draft.document, path);
  text.setSelectionRange(start, end);
  const line = text.value.slice(0, start).split('\n').length - 1;
  text.scrollTop = Math.max(0, line * parseFloat(getComputedStyle(text).lineHeight) - text.clientHeight / 2);
}

/** Refuses text that is not a JSON object, and says where. */
function check() {
  const fault = faultOf(text.value);
  if (fault) {
    text.fault(fault.message);
    text.focus();
    text.setSelectionRange(fault.at, Math.min(text.value.length, fault.at + 1));
  }
  return !fault;
}

/** Takes the text as the draft; while it is not JSON it is kept as text, and the form waits. */
function typed() {
  const {value, selectionStart: at} = text;
  draft.text = faultOf(value) ? value : null;
  if (draft.text === null) draft.document = JSON.parse(value);
  change('config', saver);
  list();
  text.value = value;
  text.setSelectionRange(at, at);
}

export async function make() {
  await begin('config');
  form = h('div'); problem = h('div');
  text = h('textarea', {name: 'document', class: 'mono tall', spellcheck: 'false', input: typed});
  text.readOnly = !session.edits;
  const whole = field('The document', text, 'JSON; what the form has no field for (segmentation, exploration, pipeline) is edited here', 'wide');
  saver = saving('config', page);
  const known = [...new Set([...session.status.surfaces.map((one) => one.surface), ...Object.keys(draft.document?.surfaces ?? {})])];
  const scopeField = (name, hint, choices) => {
    const options = h('datalist', {id: `known-${name}`}, choices.map((one) => h('option', {value: one})));
    const input = h('input', {name: `scope_${name}`, value: kept[name], list: options.id, change: () => { kept[name] = input.value.trim(); list(); }});
    return h('div', {}, field(name === 'surface' ? 'Surface' : 'Segment', input, hint), options);
  };
  const segments = Object.values(draft.document?.surfaces ?? {}).flatMap((one) => Object.keys(one?.segments ?? {}));
  list();
  return [h('p', {class: 'muted'}, session.edits ? 'Later layers win: all surfaces, then a surface, then a segment on it. Changes are a draft until they are saved.'
    : 'Your role sees the config; an operator changes it.'), problem,
  h('div', {class: 'panel'}, h('div', {class: 'grid'}, scopeField('surface', 'Empty: the settings of all', known),
    scopeField('segment', 'Of the surface; empty: all of them', [...new Set(segments)])), form), h('div', {class: 'panel'}, whole), saver.panel];
}

const page = {get problem() { return problem; }, list, point, check};
export const ready = () => pointAgain('config', page);
