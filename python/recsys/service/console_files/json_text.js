// A document as text, and where in it a field stands.
const MARK = '\u0001here\u0001';

export const textOf = (document_) => JSON.stringify(document_, null, 2);

/** Returns the keys that a pointer (`surfaces.home.weights.pop`, `segmentation[0]`) goes through as far as the document has them. */
export function pathOf(document_, pointer) {
  const path = [];
  let value = document_, rest = pointer;
  while (rest && value !== null && typeof value === 'object') {
    const item = Array.isArray(value) && /^\[(\d+)\]/.exec(rest);
    if (item) {
      if (!(item[1] in value)) break;
      path.push(Number(item[1]));
      rest = rest.slice(item[0].length);
    } else {
      const name = rest.replace(/^\./, '');
      // Names may have dots in them: the longest that fits is meant.
      const key = Object.keys(value).sort((a, b) => b.length - a.length).find((one) => name === one || (name.startsWith(one) && '.['.includes(name[one.length])));
      if (key === undefined) break;
      path.push(key);
      rest = name.slice(key.length);
    }
    value = value[path.at(-1)];
  }
  return path;
}

export const valueAt = (document_, path) => path.reduce((value, key) => (value !== null && typeof value === 'object' && Object.hasOwn(value, key) ? value[key] : undefined), document_);

/** Sets a value, making what is missing on the way; `undefined` removes it, and what is empty without it. */
export function setAt(document_, path, value) {
  const [key, ...rest] = path;
  if (rest.length) {
    const below = Object.hasOwn(document_, key) ? document_[key] : undefined;
    const part = below !== null && typeof below === 'object' && !Array.isArray(below) ? below : {};
    setAt(part, rest, value);
    value = Object.keys(part).length ? part : undefined;
  }
  if (value === undefined) delete document_[key];
  else Object.defineProperty(document_, key, {value, writable: true, enumerable: true, configurable: true});
}

/** Returns where in `textOf(document_)` the value at a path begins and ends. */
export function rangeOf(document_, path) {
  if (!path.length) return [0, 0];
  const marked = JSON.parse(JSON.stringify(document_)), shown = JSON.stringify(MARK);
  valueAt(marked, path.slice(0, -1))[path.at(-1)] = MARK;
  const text = textOf(marked), start = text.indexOf(shown);
  return [start, textOf(document_).length - (text.length - start - shown.length)];
}

/** Returns what is wrong with text that is not a JSON object, and the place in the text; else null. */
export function faultOf(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? null : {at: 0, message: 'A config is a JSON object: { … }.'};
  } catch (error) {
    const at = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length), before = text.slice(0, at).split('\n');
    return {at, message: `Line ${before.length}, column ${before.at(-1).length + 1}: this is not JSON (${error.message.replace(/ in JSON at position.*/s, '')}).`};
  }
}
