// Signs in, and shows the page that the address names.
import {ask, admin, drafts, forget, session} from './api.js';
import {field, h, notice, select} from './page.js';
import * as config from './config.js';
import * as experiments from './experiments.js';
import * as health from './health.js';
import * as history from './history.js';
import * as preview from './preview.js';
import * as rules from './rules.js';

const PAGES = {preview, rules, config, experiments, history, health};
const main = document.getElementById('main');
let shown = 0;

async function tenants() {
  const {content} = await ask('/version');
  return [...new Set(Object.keys(content.snapshots).map((name) => name.split('/')[0]))].sort();
}

/** Learns who asks; without a credential this works in development alone. */
async function identify() {
  if (!session.tenant) session.open((await tenants())[0] ?? 'demo', '');
  session.status = (await admin('status')).content;
}

function signIn(fault = '') {
  const tenant = h('input', {required: true, value: session.tenant, autocomplete: 'organization', name: 'tenant'});
  const key = h('input', {required: true, type: 'password', autocomplete: 'off', name: 'key'});
  const open = (event) => {
    event.preventDefault();
    session.open(tenant.value.trim(), key.value.trim());
    render();
  };
  const form = h('form', {class: 'panel', submit: open}, h('h1', {tabindex: '-1'}, 'Sign in'),
    h('p', {class: 'muted'}, 'With an API key of the role viewer, operator or admin. It is forgotten when this tab is closed.'),
    h('div', {class: 'grid'}, field('Tenant', tenant), field('API key', key)),
    h('div', {class: 'row'}, h('button', {class: 'main'}, 'Sign in')));
  key.fault(fault);
  main.replaceChildren(form);
  document.getElementById('who').replaceChildren();
  (session.tenant ? key : tenant).focus();
}

async function head() {
  const names = session.key ? [] : [...new Set([...await tenants(), session.tenant])];
  const change = (event) => { session.open(event.target.value, ''); forget(); render(); };
  const chosen = select(names.map((name) => [name, name]), session.tenant, {change, id: 'tenant'});
  const leave = () => { forget(); session.close(); signIn(); };
  document.getElementById('who').replaceChildren(...(session.key
    ? [h('span', {}, session.tenant), h('span', {class: 'badge'}, session.status.roles.join(', ')),
       h('button', {class: 'small', click: leave}, 'Sign out')]
    : [h('label', {for: 'tenant'}, 'Tenant'), chosen, h('span', {class: 'badge caution'}, 'development')]));
}

async function render() {
  const turn = ++shown;
  const name = location.hash.slice(2).split('?')[0] || 'preview';
  const page = PAGES[name] ?? preview;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    await identify();
    await head();
    const made = await page.make();
    if (turn !== shown) return;
    document.title = `${page.title} · recsys console`;
    main.replaceChildren(h('h1', {tabindex: '-1'}, page.title), ...made.filter(Boolean));
    main.querySelector('h1').focus({preventScroll: true});
    page.ready?.();
  } catch (error) {
    if (turn !== shown) return;
    if (error.status === 401) signIn(session.key ? error.message : '');
    else if (error.status === 403 && !session.status) { const told = error.message; sessionStorage.removeItem('recsys.key'); signIn(told); }
    else main.replaceChildren(h('h1', {}, page.title), notice('bad', error.message ?? String(error)),
      h('div', {class: 'row'}, h('button', {click: render}, 'Try again')));
  }
}

addEventListener('hashchange', (event) => { if (location.hash !== '#main') render(event); });
addEventListener('beforeunload', (event) => { if (Object.values(drafts).some((draft) => draft.changed)) event.preventDefault(); });
addEventListener('recsys:reload', render);
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
render();
