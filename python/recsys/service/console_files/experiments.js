// Experiments: drafts, start, ramp, halt, resume, stop, and the way back.
import {admin, document_, session} from './api.js';
import {cells, confirm, field, h, notice, say, table, time} from './page.js';

export const title = 'Experiments';
const TEMPLATE = {
  id: 'related', surface: '', arms: [{name: 'control'}, {name: 'related', mode: 'cooc'}], primary_metric: {name: 'ctr'},
  guardrails: [{metric: 'empty_list_rate', margin: 0.01}, {metric: 'p95_latency', margin: 0.2}], rollback: {to: 'current'},
};
const ACTIONS = {
  start: ['Start', 'Its arms rank the requests of their users, within a second.', 'started'],
  kill: ['Halt', 'Its arms rank no more requests until it is resumed; users keep their arms.', 'halted'],
  resume: ['Resume', 'Its arms rank again, for the same users as before.', 'resumed'],
  stop: ['Stop', 'Its arms rank no more requests. A stopped experiment is not started again.', 'stopped'],
  rollback: ['Roll back', 'Its arms rank no more requests, and the versions of its rollback path become current.', 'rolled back'],
};
let problem, place;

const again = () => dispatchEvent(new Event('recsys:reload'));
const stateOf = (one) => one.state ?? 'draft';
const share = (value) => `${Math.round(1000 * (value ?? 1)) / 10} %`;

function arms(one) {
  const total = one.arms.reduce((sum, arm) => sum + (arm.weight ?? 1), 0);
  return one.arms.map((arm) => `${arm.name} ${share((arm.weight ?? 1) / total)}`).join(', ');
}

async function post(one, action, body, told) {
  try {
    await admin(`experiments/${encodeURIComponent(one.id)}/${action}`, {method: 'POST', body});
    say(`${one.id} is ${told}.`);
    again();
  } catch (error) {
    problem.replaceChildren(notice('bad', error.message));
  }
}

async function act(one, action) {
  const [name, detail, told] = ACTIONS[action];
  const comment = await confirm(`${name} ${one.id}?`, detail, name);
  if (comment !== null) await post(one, action, comment ? {comment} : {}, told);
}

function ramp(one) {
  const percent = h('input', {type: 'number', min: '0', max: '100', step: 'any', name: 'percent', value: String(100 * (one.traffic_share ?? 1))});
  const change = (event) => {
    event.preventDefault();
    post(one, 'ramp', {traffic_share: Number(percent.value) / 100}, `open to ${percent.value} % of its users`);
  };
  place.replaceChildren(h('form', {class: 'panel', submit: change}, field(`Share of the users of ${one.id}, in percent`, percent,
    'More adds users, and moves nobody to another arm.'), h('div', {class: 'row'}, h('button', {class: 'main'}, 'Change the share'))));
  percent.select();
}

/** Edits a draft as text; `before` is the draft that it takes the place of, if there is one. */
function edit(value, before) {
  const text = h('textarea', {class: 'mono tall', name: 'experiment', spellcheck: 'false', value: JSON.stringify(value, null, 2), readonly: session.edits && stateOf(value) === 'draft' ? null : ''});
  const save = async (event) => {
    event.preventDefault();
    let made;
    try { made = JSON.parse(text.value); } catch (error) { text.fault(error.message); text.focus(); return; }
    try {
      if (before) {
        const {content, match} = await document_('experiments', {experiments: []});
        const experiments = content.experiments.map((one) => (one.id === before && stateOf(one) === 'draft' ? made : one));
        await admin('experiments', {method: 'PUT', body: {...content, experiments}, headers: match});
      } else await admin('experiments', {method: 'POST', body: made});
      say(`${made.id} is kept as a draft.`);
      again();
    } catch (error) {
      text.fault(error.message);
      text.focus();
    }
  };
  const isDraft = session.edits && stateOf(value) === 'draft';
  place.replaceChildren(h('form', {class: 'panel', submit: save}, field(before ? `Experiment ${before}` : 'New experiment', text, 'JSON, as the page on experiments says.'),
    isDraft ? h('div', {class: 'row'}, h('button', {class: 'main'}, 'Keep as a draft')) : null));
  text.focus();
}

function row(one) {
  const offered = {draft: ['start'], running: [one.kill_switch ? 'resume' : 'kill', 'stop', 'rollback'], stopped: ['rollback']}[stateOf(one)] ?? [];
  const button = (name, click, css = '') => h('button', {class: `small ${css}`, 'aria-label': `${name} ${one.id}`, click}, name);
  const buttons = [button(stateOf(one) === 'draft' && session.edits ? 'Edit' : 'Show', () => edit(one, one.id))];
  if (session.edits) {
    if (stateOf(one) === 'running') buttons.push(button('Ramp', () => ramp(one)));
    buttons.push(...offered.map((action) => button(ACTIONS[action][0], () => act(one, action), ['stop', 'rollback'].includes(action) ? 'danger' : '')));
  }
  const state = one.kill_switch && stateOf(one) === 'running' ? 'running, halted' : stateOf(one);
  return cells(h('td', {}, h('strong', {}, one.id), one.description ? h('small', {}, ` ${one.description}`) : null), one.surface, one.kind ?? 'split',
    h('span', {class: `badge ${state === 'running' ? 'good' : ''}`}, state), share(one.traffic_share), arms(one), time(one.started_at ?? ''),
    h('td', {class: 'act'}, buttons.flatMap((made) => [made, ' '])));
}

export async function make() {
  const {content} = await document_('experiments', {experiments: []});
  const listed = content.experiments ?? [];
  problem = h('div'); place = h('div');
  const begin = () => edit({...TEMPLATE, surface: session.status.surfaces[0]?.surface ?? 'home'}, null);
  return [content.kill_switch ? notice('caution', 'The kill switch of the whole document is on: no arm of any experiment ranks.') : null, problem,
    listed.length ? table(`${listed.length} experiment${listed.length === 1 ? '' : 's'}`, ['Experiment', 'Surface', 'Kind', 'State', 'Users', 'Arms', 'Since (UTC)', ''], listed.map(row))
      : h('p', {class: 'muted'}, 'There are no experiments yet.'),
    session.edits ? h('div', {class: 'row'}, h('button', {click: begin}, 'New experiment')) : null, place].filter(Boolean);
}
