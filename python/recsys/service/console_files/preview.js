// One request, ranked twice, with what made each score.
import {admin, drafts, isChanged, session, versions} from './api.js';
import {cells, field, h, notice, select, short, table, warned} from './page.js';

export const title = 'Preview';
const kept = {k: '10', user_id: 'preview-user'};
const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const number = new Intl.NumberFormat('en', {maximumSignificantDigits: 4});

function choices(history) {
  const named = history.map((one) => [one.version, `#${one.number} ${one.comment || one.author} · ${one.version.slice(0, 8)}`]);
  return [['', 'As served now'], ...named];
}

function explained(item) {
  const parts = item.explain?.contributions ?? [], top = Math.max(1e-12, ...parts.map((part) => part.weighted));
  const lines = parts.map((part) => h('li', {}, h('meter', {min: '0', max: String(top), value: part.weighted, 'aria-hidden': 'true'}),
    `${part.signal} ${number.format(part.weighted)}`));
  if (item.explain && item.explain.boost !== 1) lines.push(h('li', {}, `boost × ${number.format(item.explain.boost)}`));
  const told = (item.reasons ?? []).filter((reason) => !parts.some((part) => part.signal === reason));
  if (told.length) lines.push(h('li', {}, told.join(', ')));
  return h('ul', {class: 'parts'}, lines);
}

function moved(item, before) {
  if (!before) return '';
  const was = before.find((other) => other.item_id === item.item_id)?.rank;
  if (was === undefined) return h('span', {class: 'badge good'}, 'new');
  if (was === item.rank) return '=';
  return h('span', {class: was > item.rank ? 'up' : 'down'}, `${was > item.rank ? '↑ up' : '↓ down'} ${Math.abs(was - item.rank)}`);
}

function list(name, answer, before) {
  const gone = (before ?? []).filter((item) => !answer.items.some((other) => other.item_id === item.item_id));
  const rows = answer.items.map((item) => cells(String(item.rank), h('td', {}, h('strong', {}, item.item_id), explained(item)),
    h('td', {class: 'n'}, number.format(item.score)), moved(item, before)));
  return h('section', {'aria-label': name}, table(name, ['Rank', 'Item and why', '#Score', before ? 'Moved' : ''], rows),
    gone.length ? h('p', {}, h('span', {class: 'badge bad'}, 'gone'), ` ${gone.map((item) => item.item_id).join(', ')}`) : null,
    h('p', {class: 'muted'}, 'segment ', answer.meta.segment, ' · config ', short(answer.meta.config_version), ' · rules ',
      short(answer.meta.rules_version), ' · release ', short(answer.meta.manifest_version)),
    ...warned(answer.warnings));
}

export async function make() {
  const [configs, rules] = await Promise.all([versions('config'), versions('rules')]);
  const surfaces = session.status.surfaces.map((one) => [one.surface, one.surface]);
  if (!surfaces.length) return [notice('caution', 'Nothing is published for this tenant yet.')];
  const drafted = Object.keys(drafts).filter(isChanged);
  const input = (name, attributes = {}) => h('input', {name, value: kept[name] ?? '', ...attributes});
  const surface = select(surfaces, surfaces.some(([name]) => name === kept.surface) ? kept.surface : undefined);
  const f = {segment: input('segment'), k: input('k', {type: 'number', min: '1', max: '50', required: true}),
    user_id: input('user_id', {required: true}), anchors: input('anchors'), locale: input('locale'),
    country: input('country'), device: input('device'), now: input('now', {placeholder: '2026-01-31T12:00:00Z'})};
  const previous = drafted.length || rules.length < 2 ? '' : rules.find((one) => !one.is_current)?.version ?? '';
  const chosenBy = (kind, history, isAfter) => {
    const mayDraft = isAfter && drafted.includes(kind);
    return select([...choices(history), ...(mayDraft ? [['draft', 'The draft being edited']] : [])], mayDraft ? 'draft' : isAfter || kind === 'config' ? '' : previous);
  };
  const side = (isAfter) => ({config: chosenBy('config', configs, isAfter), rules: chosenBy('rules', rules, isAfter)});
  const before = side(false), after = side(true), results = h('div', {'aria-live': 'polite'});
  const named = (sides) => Object.fromEntries(Object.entries(sides).filter(([, chosen]) => chosen.value).map(([kind, chosen]) => (
    chosen.value === 'draft' ? [kind, drafts[kind].document] : [`${kind}_version`, chosen.value])));
  const run = async (event) => {
    event?.preventDefault();
    for (const [name, control] of Object.entries(f)) kept[name] = control.value;
    kept.surface = surface.value;
    const context = {};
    for (const name of ['locale', 'country', 'device', 'now']) if (f[name].value.trim()) context[name] = f[name].value.trim();
    const request = {surface: surface.value, k: Number(f.k.value), user: {user_id: f.user_id.value}, context,
      anchors: {item_ids: words(f.anchors.value)},
      options: {include_reasons: true, explain: session.may('admin') ? 'full' : 'summary'}};
    if (f.segment.value.trim()) request.segment = f.segment.value.trim();
    for (const control of Object.values(f)) control.fault('');
    results.setAttribute('aria-busy', 'true');
    try {
      const {content} = await admin('preview', {method: 'POST', body: {request, before: named(before), after: named(after)}});
      results.replaceChildren(...warned(content.warnings ?? []), h('div', {class: 'two'}, list('Before', content.before), list('After', content.after, content.before.items)));
    } catch (error) {
      const at = Object.keys(f).find((name) => error.message.includes(`.${name}\``) || error.message.startsWith(`${name} `));
      if (at) { f[at].fault(error.message); f[at].focus(); }
      const broken = {RECSYS_INVALID_RULES: 'rules', RECSYS_INVALID_CONFIG: 'config'}[error.code];
      const isDraft = broken && after[broken].value === 'draft' && !error.message.startsWith('version ');
      if (isDraft) drafts[broken].fault = error.message;
      results.replaceChildren(notice('bad', error.message, isDraft ? h('p', {}, h('a', {href: `#/${broken}`}, `Back to the ${broken}`)) : null));
    }
    results.removeAttribute('aria-busy');
  };
  const form = h('form', {class: 'panel', submit: run}, h('div', {class: 'grid'},
    field('Surface', surface), field('Segment', f.segment, 'Empty: derived from the context'),
    field('Items', f.k, 'At most 50'), field('User', f.user_id, 'Any id; nothing is logged'),
    field('Anchors', f.anchors, 'Item ids, latest first'), field('Country', f.country),
    field('Device', f.device), field('Locale', f.locale), field('Clock', f.now, 'Empty: now')),
  h('div', {class: 'two'}, ...[['Before', before], ['After', after]].map(([name, chosen]) => h('fieldset', {class: 'plain'},
    h('legend', {}, name), h('div', {class: 'grid'}, field('Config', chosen.config), field('Rules', chosen.rules))))),
  h('div', {class: 'row'}, h('button', {class: 'main'}, 'Rank')));
  pending = drafted.length ? run : null;
  return [h('p', {class: 'muted'}, 'What a request would be answered with, by two sets of versions. Nothing is stored or logged.'), form, results];
}

let pending = null;
/** Coming from an editor, shows at once what the draft does. */
export const ready = () => pending?.();
