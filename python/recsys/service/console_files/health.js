// Whether all is well, how old what is served is, experiments, and who changed what.
import {admin, ask, document_, session} from './api.js';
import {age, cells, confirm, h, notice, say, short, table, time} from './page.js';

export const title = 'Health';
const STATES = {ok: 'good', degraded: 'caution', unavailable: 'bad'};

async function stop(experiment, problem) {
  const comment = await confirm(`Stop ${experiment.id}?`, 'Its arms rank no more requests. A stopped experiment is not started again.', 'Stop it');
  if (comment === null) return;
  try {
    await admin(`experiments/${encodeURIComponent(experiment.id)}/stop`, {method: 'POST', body: comment ? {comment} : {}});
    say(`${experiment.id} is stopped.`);
    dispatchEvent(new Event('recsys:reload'));
  } catch (error) {
    problem.replaceChildren(notice('bad', error.message));
  }
}

/** Returns the age of a release, and whether that is within twice the schedule. */
function freshness({released_at: released, schedule_hours: schedule}, now) {
  const told = age(released, now);
  if (!released || !schedule) return told;
  const isFresh = Date.parse(now) - Date.parse(released) <= 2 * schedule * 3600e3;
  return h('td', {}, `${told} `, h('span', {class: `badge ${isFresh ? 'good' : 'caution'}`}, isFresh ? '✓ fresh' : '✗ stale'), h('small', {class: 'hint'}, `every ${schedule} h is meant`));
}

export async function make() {
  const [ready, experiments, audit] = await Promise.all([ask('/readyz'), document_('experiments', {experiments: []}), admin('audit?limit=25')]);
  const {status, problem} = {status: session.status, problem: h('div')};
  const mine = ready.content.components.filter(({name}) => !name.startsWith('snapshot ') || name.startsWith(`snapshot ${session.tenant}/`));
  const listed = experiments.content.experiments ?? [];
  return [
    h('p', {}, h('span', {class: `badge ${STATES[ready.content.status]}`}, ready.content.status), h('span', {class: 'muted'}, ` as one worker told at ${status.time.slice(11, 19)} UTC `),
      h('button', {class: 'small', click: () => dispatchEvent(new Event('recsys:reload'))}, 'Look again')),
    table('What serving needs', ['Part', 'State', 'Detail'], mine.map((one) => cells(one.name, h('span', {class: `badge ${one.ok ? 'good' : 'bad'}`}, one.ok ? '✓ ok' : '✗ amiss'), one.detail || '–'))),
    h('h2', {}, 'Snapshots'),
    table('What each surface serves', ['Surface', 'Release age', 'Compiled', 'Signals', 'Config', 'Rules', 'Release'], status.surfaces.map((one) => cells(
      h('td', {}, h('strong', {}, one.surface), one.failure ? h('span', {class: 'fault'}, one.failure) : null),
      freshness(one, status.time), `${age(one.compiled_at, status.time)} ago`, one.signals.join(', ') || 'none',
      short(one.config_version), short(one.rules_version), short(one.manifest_version)))),
    h('h2', {}, 'Experiments'), problem,
    listed.length ? table('Experiments', ['Experiment', 'Surface', 'Arms', 'State', 'Since (UTC)', ''], listed.map((one) => cells(one.id, one.surface,
      one.arms.map((arm) => arm.name).join(', '), h('span', {class: `badge ${one.state === 'running' ? 'good' : ''}`}, one.kill_switch ? `${one.state}, halted` : one.state ?? 'draft'),
      time(one.started_at ?? ''), h('td', {class: 'act'}, one.state === 'running' ? h('button', {class: 'small danger', disabled: !session.edits,
        'aria-label': `Stop ${one.id}`, click: () => stop(one, problem)}, 'Stop') : '')))) : h('p', {class: 'muted'}, 'None.'),
    h('h2', {}, 'Audit'),
    table('The latest changes', ['Time (UTC)', 'By', 'What', 'Of', 'Comment'], audit.content.entries.map((one) => cells(time(one.time), one.actor, one.action, one.subject, one.comment || '–'))),
  ];
}
