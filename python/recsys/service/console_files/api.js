// Calls the admin API. The credential is kept for this tab alone, and sent as a header: never a cookie.
const KEY = 'recsys.key', TENANT = 'recsys.tenant';

export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, {status, code});
  }
}

export const session = {
  get key() { return sessionStorage.getItem(KEY) ?? ''; },
  get tenant() { return sessionStorage.getItem(TENANT) ?? ''; },
  status: null,
  open(tenant, key) {
    sessionStorage.setItem(TENANT, tenant);
    sessionStorage.setItem(KEY, key);
  },
  close() {
    sessionStorage.clear();
    session.status = null;
  },
  may(...roles) { return roles.some((role) => session.status?.roles.includes(role)); },
  get edits() { return session.may('operator', 'admin'); },
};

export async function ask(path, {method = 'GET', body, headers = {}} = {}) {
  const sent = {accept: 'application/json', ...headers};
  if (session.key && path.startsWith('/v1/')) sent['x-api-key'] = session.key;
  if (body !== undefined) sent['content-type'] = 'application/json';
  let answer, content;
  try {
    answer = await fetch(path, {
      method, headers: sent, credentials: 'omit', cache: 'no-store', redirect: 'error',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    content = await answer.json();
  } catch {
    throw new Problem(0, 'UNREACHABLE', 'The service does not answer. Nothing is known to have changed.');
  }
  if (!answer.ok && path.startsWith('/v1/')) throw new Problem(answer.status, content.code, content.detail ?? content.title);
  return {content, etag: answer.headers.get('etag')};
}

export const admin = (below, options) =>
  ask(`/v1/admin/tenants/${encodeURIComponent(session.tenant)}/${below}`, options);

/** Returns the history of a document, or an empty one for what was never put. */
export const versions = async (kind) => (await admin(`${kind}/versions`)).content.versions;

/** Returns a document and its tag; before any was put, `empty` and the condition that there is still none. */
export async function document_(kind, empty, version) {
  try {
    const query = version ? `?version=${encodeURIComponent(version)}` : '';
    const {content, etag} = await admin(kind + query);
    return {content, match: {'if-match': etag}};
  } catch (error) {
    if (error.status !== 404 || version || error.code === 'RECSYS_TENANT_NOT_FOUND') throw error;
    return {content: empty, match: {'if-none-match': '*'}};
  }
}

/** Documents that are being edited, and not put yet: one of each kind. */
const blank = () => ({tenant: '', document: null, stored: null, match: null, changed: false, fault: '', text: null});
export const drafts = {rules: blank(), config: blank()};

/** Forgets what is edited: of a kind, or everything. */
export function forget(kinds = Object.keys(drafts)) {
  for (const kind of kinds) Object.assign(drafts[kind], blank());
}

/** Returns whether a document of this tenant is changed and not saved. */
export const isChanged = (kind) => drafts[kind].changed && drafts[kind].tenant === session.tenant;
