/* recsys.init({userId, url}); recsys.list(element, {requestId}) for items with data-item-id;
   recsys.conversion(requestId, itemId, value). Equal records count once, so all is retried. */
((w) => {
  const opts = {url: '/v1/events', share: 0.5, ms: 1000, every: 3000, max: 500}, lists = [];
  let queue = [], wait = 0, timer, busy;
  const stored = (text) => {
    try { return text ? localStorage.recsys = text : JSON.parse(localStorage.recsys); } catch { /* none */ }
  };
  const later = () => {
    stored(JSON.stringify(queue));
    if (!timer && queue.length) timer = setTimeout(send, wait || opts.every);
  };
  const add = (kind, record) => {
    queue.push([kind, {...record, user_id: opts.userId, ts: new Date().toISOString()}]);
    queue.splice(0, queue.length - opts.max);
    later();
  };
  const outcome = (event_type, request_id, item_id, value) => add('outcomes', {request_id, item_id, event_type, value});
  const body = (batch) => {
    const all = {outcomes: [], exposures: []};
    batch.forEach(([kind, record]) => all[kind].push(record));
    return new Blob([JSON.stringify(all)], {type: 'application/json'});
  };
  const send = () => {
    timer = 0;
    if (busy) return;
    const batch = queue.slice(0, 100), settle = (again) => {
      busy = false;
      if (!again) queue = queue.filter((one) => !batch.includes(one));
      wait = again && Math.min(60000, (wait || 500) * 2);
      later();
    };
    busy = true;
    fetch(opts.url, {method: 'POST', body: body(batch)})
      .then((answer) => settle(answer.status === 429 || answer.status > 499), () => settle(true));
  };
  const leave = () => {
    lists.splice(0).forEach((show) => show());
    if (queue.length) navigator.sendBeacon(opts.url, body(queue.slice(-100)));
  };
  w.recsys = {
    init: (given) => { Object.assign(opts, given); queue = stored() || []; later(); },
    conversion: (requestId, itemId, value) => outcome('conversion', requestId, itemId, value),
    list: (root, {requestId, context, exposures}) => {
      const items = [...root.querySelectorAll('[data-item-id]')], seen = new Set(), timers = {};
      const eye = new IntersectionObserver((entries) => entries.forEach(({target, intersectionRatio}) => {
        const rank = items.indexOf(target) + 1;
        clearTimeout(timers[rank]);
        if (intersectionRatio >= opts.share) timers[rank] = setTimeout(() => seen.add(rank), opts.ms);
      }), {threshold: opts.share});
      items.forEach((item) => eye.observe(item));
      root.addEventListener('click', ({target}) => {
        const item = target.closest('[data-item-id]');
        if (item) outcome('click', requestId, item.dataset.itemId);
      });
      if (exposures) lists.push(() => seen.size && add('exposures', {request_id: requestId, context,
        items: [...seen].sort((a, b) => a - b).map((rank) => ({item_id: items[rank - 1].dataset.itemId, rank}))}));
    }
  };
  document.addEventListener('visibilitychange', () => document.hidden && leave());
  w.addEventListener('pagehide', leave);
})(window);
