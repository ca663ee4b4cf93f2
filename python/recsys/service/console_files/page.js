// Builds pages out of nodes. Text is only ever set as text, so that nothing that is stored can become markup.
let count = 0;

/** Returns an element. `attributes` that are functions listen, those that are true or false are properties. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (typeof value === 'boolean' || name === 'value') node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Returns a labelled control, with what is said below it; `control.fault(text)` marks it as wrong. */
export function field(label, control, hint = '', css = '') {
  control.id ||= `f${++count}`;
  const fault = h('span', {class: 'fault', id: `${control.id}-fault`});
  const told = h('span', {class: 'hint', id: `${control.id}-hint`}, hint);
  control.setAttribute('aria-describedby', `${fault.id} ${told.id}`);
  control.fault = (text) => {
    fault.textContent = text;
    control.setAttribute('aria-invalid', String(Boolean(text)));
  };
  return h('div', {class: css}, h('label', {for: control.id}, label), control, fault, told);
}

export const select = (choices, value, listeners = {}) => {
  const node = h('select', listeners, choices.map(([name, text]) => h('option', {value: name}, text)));
  if (value !== undefined) node.value = value;
  return node;
};

export const table = (caption, heads, rows) => h('div', {class: 'scroll'}, h('table', {}, h('caption', {}, caption),
  h('thead', {}, h('tr', {}, heads.map((head) => h('th', {scope: 'col', class: head.startsWith('#') ? 'n' : ''},
    head.replace('#', ''))))), h('tbody', {}, rows)));

export const cells = (...values) => h('tr', {}, values.map((value) => value instanceof Node && value.tagName === 'TD'
  ? value : h('td', {}, value)));

export const notice = (kind, ...content) => h('div', {class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : null}, ...content);

/** Returns a line for each warning of an answer that is good all the same. */
export const warned = (warnings) => warnings.map((one) => h('p', {class: 'muted'}, h('span', {class: 'badge caution'}, one.code), ` ${one.detail}`));

export const short = (version) => h('code', {title: version}, version ? version.slice(0, 10) : '–');

export const time = (text) => h('time', {datetime: text, title: text}, text ? text.replace('T', ' ').slice(0, 16) : '–');

/** Returns how long ago a moment was, by the clock of the service. */
export function age(then, now) {
  if (!then) return '–';
  const s = Math.max(0, (Date.parse(now) - Date.parse(then)) / 1000);
  for (const [unit, length] of [['d', 86400], ['h', 3600], ['min', 60]]) {
    if (s >= 2 * length) return `${Math.floor(s / length)} ${unit}`;
  }
  return `${Math.floor(s)} s`;
}

/** Tells what was done, to eyes and to screen readers. */
export function say(text) {
  const place = document.getElementById('said');
  place.replaceChildren(h('p', {}, text));
  setTimeout(() => place.replaceChildren(), 6000);
}

/** Asks before something is done; resolves to the comment, or to null when it was called off. */
export function confirm(title, detail, action) {
  return new Promise((resolve) => {
    const comment = h('input', {maxlength: '500', name: 'comment'});
    const dialog = h('dialog', {'aria-label': title, close: () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? comment.value : null);
    }}, h('form', {method: 'dialog', submit: (event) => { event.preventDefault(); dialog.close('yes'); }},
      h('h2', {}, title), h('p', {}, detail), field('Comment', comment, 'Optional: why. Kept in the history.'),
      h('div', {class: 'row'}, h('button', {class: 'main'}, action),
        h('button', {type: 'button', click: () => dialog.close('no')}, 'Cancel'))));
    document.body.append(dialog);
    dialog.showModal();
    comment.focus();
  });
}
