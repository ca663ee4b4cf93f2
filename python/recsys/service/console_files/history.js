// What was current when, what changed in between, and the way back.
import {admin, document_, drafts, forget, session, versions} from './api.js';
import {showDiff} from './diff.js';
import {cells, confirm, field, h, notice, say, select, short, table, time} from './page.js';

export const title = 'History';
let kind = 'rules';

const again = () => dispatchEvent(new Event('recsys:reload'));

async function rollBack(path, what, version, match, problem) {
  const comment = await confirm(`Roll back ${what}?`, `Version ${version} becomes current in every worker, within a second or the registry's interval.`, 'Roll back');
  if (comment === null) return;
  try {
    await admin(`${path}/rollback`, {method: 'POST', body: {to: version, ...(comment ? {comment} : {})}, headers: match});
    if (drafts[path] && !drafts[path].changed) forget([path]);
    say(`Rolled back ${what} to ${version.slice(0, 10)}.`);
    again();
  } catch (error) {
    problem.replaceChildren(notice('bad', error.code === 'RECSYS_VERSION_MISMATCH' ? 'Somebody else has changed it meanwhile; load the page anew. ' : '', error.message));
  }
}

async function documents(problem) {
  const [all, current] = await Promise.all([versions(kind), document_(kind, null)]);
  const difference = h('div');
  const named = all.map((one) => [String(one.number), `#${one.number}${one.is_current ? ' (current)' : ''} ${one.comment || one.author}`]);
  const at = Math.max(0, all.findIndex((one) => one.is_current));
  const from = select(named, String((all[at + 1] ?? all[at])?.number)), to = select(named, String(all[at]?.number));
  const versionOf = (chosen) => all.find((one) => String(one.number) === chosen.value).version;
  const show = async (event) => {
    event?.preventDefault();
    try {
      const [before, after] = await Promise.all([from, to].map((chosen) => document_(kind, null, versionOf(chosen))));
      difference.replaceChildren(showDiff(before.content, after.content));
    } catch (error) {
      difference.replaceChildren(notice('bad', error.message));
    }
  };
  const compareTo = (one) => { from.value = String(one.number); to.value = named[at][0]; show(); form.scrollIntoView({block: 'nearest'}); from.focus(); };
  const form = h('form', {class: 'panel', submit: show}, h('div', {class: 'grid'}, field('From', from), field('To', to)),
    h('div', {class: 'row'}, h('button', {}, 'Show the difference')), difference);
  const rows = all.map((one) => cells(h('td', {class: 'n'}, `#${one.number}`), time(one.time), one.author, one.comment || '–', short(one.version),
    h('td', {class: 'act'}, one.is_current ? h('span', {class: 'badge good'}, 'current') : h('span', {},
      h('button', {class: 'small', 'aria-label': `Compare version ${one.number} with the current one`, click: () => compareTo(one)}, 'Compare'), ' ',
      h('button', {class: 'small', disabled: !session.edits, 'aria-label': `Roll back to version ${one.number}`,
        click: () => rollBack(kind, kind, one.version, current.match, problem)}, 'Roll back')))));
  if (!all.length) return [h('p', {class: 'muted'}, `No ${kind} were put yet.`)];
  return [table(`Versions of the ${kind}`, ['#No.', 'Time (UTC)', 'By', 'Comment', 'Version', ''], rows), form];
}

async function releases(surface, problem) {
  const path = `manifests/${encodeURIComponent(surface)}`;
  const [current, {content}] = await Promise.all([admin(path), admin(`${path}/versions`)]);
  return table(`Releases of ${surface}`, ['Published (UTC)', 'Release', 'After', 'Signals', ''], content.versions.map((one) => cells(
    time(one.updated_at), short(one.version), short(one.parent), one.kinds.join(', '), h('td', {class: 'act'}, one.is_current
      ? h('span', {class: 'badge good'}, 'current') : h('button', {class: 'small', disabled: !session.edits, 'aria-label': `Roll back ${surface} to ${one.version}`,
        click: () => rollBack(path, `the release of ${surface}`, one.version, {'if-match': current.etag}, problem)}, 'Roll back')))));
}

export async function make() {
  const problem = h('div');
  const choice = select([['rules', 'Rules'], ['config', 'Config'], ['experiments', 'Experiments']], kind, {change: () => { kind = choice.value; again(); }});
  const surfaces = await Promise.all(session.status.surfaces.map(({surface}) => releases(surface, problem)
    .catch((error) => notice('bad', `${surface}: ${error.message}`))));
  return [h('div', {class: 'grid'}, field('Document', choice)), problem, ...await documents(problem), h('h2', {}, 'Releases'), ...surfaces];
}
