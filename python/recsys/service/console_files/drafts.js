// A document that is being edited: a draft in this tab until it is saved, over what it was made from alone.
import {admin, document_, drafts, isChanged, session} from './api.js';
import {showDiff} from './diff.js';
import {field, h, notice, say, warned} from './page.js';

const EMPTY = {rules: [], config: {}};
const copy = (value) => JSON.parse(JSON.stringify(value));

async function load(kind) {
  const {content, match} = await document_(kind, EMPTY[kind]);
  Object.assign(drafts[kind], {tenant: session.tenant, document: copy(content), stored: content, match, changed: false, fault: '', text: null});
}

/** Begins with what is stored, unless there is a draft already. */
export async function open(kind) {
  if (!isChanged(kind)) await load(kind);
}

/**
 * Returns the panel that saves a draft, or null for who may not. `page` has `list()`, which shows the draft anew, `point(message)`,
 * which shows an error at its field, and `problem`, the place for what has no field. `check()` may refuse to save.
 */
export function saving(kind, page) {
  if (!session.edits) return {panel: null, update() {}};
  const draft = drafts[kind], {problem} = page;
  const comment = h('input', {name: 'comment', maxlength: '500'}), changes = h('div');
  const save = h('button', {class: 'main'}, 'Save'), undo = h('button', {type: 'button'}, 'Drop the draft');
  const update = () => { save.disabled = undo.disabled = !draft.changed; if (!draft.changed) changes.replaceChildren(); };
  const again = async () => { await load(kind); problem.replaceChildren(); page.list(); update(); };
  const conflict = async (message) => {
    const theirs = await document_(kind, EMPTY[kind]);
    const mine = h('button', {type: 'button', click: () => { draft.match = theirs.match; problem.replaceChildren(notice('caution', 'Saving now replaces what somebody else saved.')); save.focus(); }},
      'Keep my draft, to save over it');
    const yours = h('button', {type: 'button', click: again}, 'Drop my draft');
    problem.replaceChildren(notice('bad', h('strong', {}, `Somebody else has changed the ${kind}. `), message, h('p', {}, 'From theirs (−) to your draft (+):'),
      showDiff(theirs.content, draft.document), h('div', {class: 'row'}, yours, mine)));
    yours.focus();
  };
  const store = async (event) => {
    event.preventDefault();
    problem.replaceChildren();
    if (page.check && !page.check()) return;
    save.disabled = true;
    try {
      const query = comment.value ? `?comment=${encodeURIComponent(comment.value)}` : '';
      const {content} = await admin(`${kind}${query}`, {method: 'PUT', body: draft.document, headers: draft.match});
      comment.value = '';
      await again();
      say(`Saved as version ${content.number}.`);
      if (content.warnings) problem.replaceChildren(notice('caution', h('strong', {}, 'Saved, with warnings.'), ...warned(content.warnings)));
    } catch (error) {
      if (error.code === 'RECSYS_VERSION_MISMATCH') await conflict(error.message);
      else page.point(error.message);
    }
    update();
  };
  undo.addEventListener('click', async () => { await again(); say('The draft is dropped.'); });
  const preview = () => { if (!page.check || page.check()) location.hash = '#/preview'; };
  const panel = h('form', {class: 'panel', submit: store}, h('div', {class: 'grid'}, field('Comment', comment, 'Why; kept in the history', 'wide')),
    h('div', {class: 'row'}, save, h('button', {type: 'button', click: preview}, 'Preview the draft'),
      h('button', {type: 'button', click: () => changes.replaceChildren(showDiff(draft.stored, draft.document))}, 'Show the changes'), undo), changes);
  update();
  return {panel, update};
}

/** Notes a change of a draft. */
export function change(kind, saver) {
  drafts[kind].changed = true;
  saver.update();
}

/** Coming back from a preview of a broken draft, points at its error. */
export function pointAgain(kind, page) {
  const {fault} = drafts[kind];
  if (fault) page.point(fault);
  drafts[kind].fault = '';
}
