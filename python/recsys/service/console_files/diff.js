// The difference of two documents, line by line.
import {h} from './page.js';

const MAX_CELLS = 4e6, AROUND = 3;

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

export const lines = (document_) => JSON.stringify(sorted(document_), null, 2).split('\n');

/** Returns [sign, line] pairs that turn `a` into `b`: a longest common subsequence between equal ends. */
export function compare(a, b) {
  let start = 0, end = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const x = a.slice(start, a.length - end), y = b.slice(start, b.length - end), made = [];
  const same = (line) => [' ', line];
  if (x.length * y.length > MAX_CELLS) { // too large to align: one block for another
    made.push(...x.map((line) => ['-', line]), ...y.map((line) => ['+', line]));
  } else {
    const width = y.length + 1, longest = new Uint32Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = y.length - 1; j >= 0; j--) {
        longest[i * width + j] = x[i] === y[j] ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      }
    }
    let i = 0, j = 0;
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) { made.push(same(x[i])); i++; j++; }
      else if (j >= y.length || (i < x.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) made.push(['-', x[i++]]);
      else made.push(['+', y[j++]]);
    }
  }
  return [...a.slice(0, start).map(same), ...made, ...a.slice(a.length - end).map(same)];
}

/** Returns the difference of two documents as a node. */
export function showDiff(before, after) {
  const all = compare(lines(before), lines(after));
  const near = new Set();
  all.forEach(([sign], at) => { if (sign !== ' ') for (let n = at - AROUND; n <= at + AROUND; n++) near.add(n); });
  if (!near.size) return h('p', {class: 'muted'}, 'No difference.');
  const rows = [];
  let hidden = 0;
  const fold = () => { if (hidden) rows.push(h('div', {class: 'fold'}, `… ${hidden} equal lines`)); hidden = 0; };
  all.forEach(([sign, line], at) => {
    if (!near.has(at)) { hidden++; return; }
    fold();
    rows.push(h('div', {class: {'+': 'added', '-': 'removed', ' ': ''}[sign]}, `${sign} ${line}`));
  });
  fold();
  return h('div', {class: 'diff mono', role: 'region', 'aria-label': 'Difference', tabindex: '0'}, rows);
}
