// The operator's page: asks /status, /api/commands and /api/watches every two seconds and changes only what differs.
// Everything that comes from outside is set as text, never as markup.
import {
  CLASS_TONES, COMMAND_STATES, COUNTS, EVENTS, GOALS, GROUP_STATES, OUTCOMES, SESSION_STATES, STATES, TROUBLES, WATCH_EVENTS, age, bytes, duration, fewDigits, number, plural,
} from '/words.js';

const EVERY_MS = 2000;
const TIMEOUT_MS = 5000;
const SAMPLES = 120; // in a picture: four minutes
const ROWS_FIRST = 8; // of the commands in work and of the watched groups; the others are shown on request
const OUTCOMES_SHOWN = 15;

const $ = (id) => document.getElementById(id);

const page = {
  status: null, // the last answers
  commands: null,
  watches: null,
  clockMs: 0, // the bridge's clock minus this machine's
  answeredAt: 0, // this machine's monotonic time of the last answer
  failures: 0, // in a row
  isPaused: false,
  isWorkOpen: false,
  isWatchesOpen: false,
  token: '', // of the look-up; empty: none
  foundIsFinal: false,
  samples: [], // [{at, totals, arrived, done, time, work, outbox, slowest, count}]
};

function clockTime(iso) {
  const today = new Date(nowMs()).toISOString().slice(0, 10);
  return iso.startsWith(today) ? iso.slice(11, 19) : iso.slice(0, 10) + ' ' + iso.slice(11, 16);
}

const nowMs = () => Date.now() + page.clockMs; // on the bridge's clock

// ---- changing the document ----

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function setHidden(node, isHidden) {
  if (node.hidden !== isHidden) node.hidden = isHidden;
}

// element('p.class', {title: 'x'}, 'text', child)
function element(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Makes the children of `parent` those of `items`, one each, by key: what stays is not moved, so that it keeps the focus.
function reconcile(parent, items, keyOf, make, update, whenFocusIsLost) {
  const wanted = new Set(items.map(keyOf));
  const present = new Map();
  for (const child of [...parent.children]) {
    if (wanted.has(child.dataset.key) && !present.has(child.dataset.key)) {
      present.set(child.dataset.key, child);
      continue;
    }
    const hadFocus = child.contains(document.activeElement);
    child.remove();
    if (hadFocus && whenFocusIsLost) whenFocusIsLost.focus({ preventScroll: true });
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    let child = present.get(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
    update(child, item);
  });
}

function time(iso, text) {
  return element('time', { datetime: iso, title: iso }, text);
}

function setTime(node, iso, text) {
  setAttribute(node, 'datetime', iso);
  setAttribute(node, 'title', iso);
  setText(node, text);
}

// ---- health ----

function stateOf() {
  const status = page.status;
  if (page.failures >= 2 || !status) return status ? 'silent' : page.failures > 0 ? 'unreached' : null;
  if (!status.Live) return 'hanging';
  return status.State === 'degraded' && !status.Ready ? 'blocked' : status.State;
}

function showReason(item, reason) {
  const [meaning, since, advice] = item.children;
  setAttribute(item, 'data-tone', reason.BlocksReady ? 'bad' : 'warn');
  setText(meaning, reason.Meaning);
  setText(since.children[0], reason.Reason);
  setTime(since.children[1], reason.Since, 'for ' + age(nowMs() - Date.parse(reason.Since)));
  setText(since.children[2], 'since ' + clockTime(reason.Since));
  setText(advice.children[1], reason.Advice);
}

function makeReason() {
  return element('li', {}, element('p.meaning'),
    element('p.since', {}, element('span.code'), ' · ', element('time'), ', ', element('span')),
    element('p', {}, element('strong', {}, 'What to do: '), element('span')));
}

function showHealth() {
  const name = stateOf();
  if (!name) return;
  const [tone, title, meaning] = STATES[name] || ['warn', name, ''];
  setAttribute($('health'), 'data-tone', tone);
  setText($('state'), title);
  setText($('state-meaning'), meaning);
  const isSilent = name === 'silent' || name === 'unreached';
  const reasons = (!isSilent && page.status && page.status.ReasonDetails) || [];
  document.body.classList.toggle('stale', isSilent);
  reconcile($('reasons'), reasons, (reason) => reason.Reason, makeReason, showReason);
  setHidden($('reasons'), reasons.length === 0);
  const instance = page.status ? page.status.Instance : 'ecs-mqtt-bridge';
  setText(document.querySelector('title'), title + ' – ' + instance);
}

function showTop() {
  const status = page.status;
  if (status) {
    setText($('identity'), status.Instance + ' · version ' + status.Version + ' · up ' +
      age(nowMs() - Date.parse(status.StartedAt)));
  }
  const sinceMs = performance.now() - page.answeredAt;
  const when = !status ? 'no answer yet' : sinceMs < 3000 ? 'up to date' : 'updated ' + age(sinceMs) + ' ago';
  setText($('updated'), page.isPaused ? 'paused, ' + when : when);
}

// ---- pictures ----

function median(values) {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

function tookMs(outcome) {
  return Date.parse(outcome.CompletedAt) - Date.parse(outcome.ReceivedAt);
}

function addSample() {
  const status = page.status;
  const counts = status.Counts;
  const at = Date.parse(status.At);
  const totals = { arrived: counts.Received, done: counts.Succeeded + counts.Failed + counts.Unknown };
  const last = page.samples[page.samples.length - 1];
  const outcomes = (page.commands && page.commands.Outcomes) || [];
  const recent = outcomes.filter((outcome) => at - Date.parse(outcome.CompletedAt) < 60000);
  if (last && (at <= last.at || totals.arrived < last.totals.arrived)) page.samples = []; // another bridge
  const isFirst = page.samples.length === 0;
  const rate = (name) => (isFirst ? NaN : ((totals[name] - last.totals[name]) * 1000) / (at - last.at));
  page.samples.push({
    at, totals, arrived: rate('arrived'), done: rate('done'), time: median(recent.map(tookMs)),
    work: status.Pending, outbox: status.Outbox.Messages, slowest: Math.max(...recent.map(tookMs)), count: recent.length,
  });
  if (page.samples.length > SAMPLES) page.samples.shift();
}

function svg(name, attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function drawPicture(picture, values) {
  if (picture.children.length === 0) {
    picture.append(svg('path', { class: 'base', d: 'M0 31.5H120' }), svg('path', { class: 'area' }), svg('path', { class: 'curve' }));
  }
  const most = Math.max(...values.filter(Number.isFinite), 1e-9);
  const x = (index) => (120 - (values.length - 1 - index) * (120 / (SAMPLES - 1))).toFixed(1);
  let curve = '';
  let area = '';
  let start = -1;
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) return;
    const isStart = index === 0 || !Number.isFinite(values[index - 1]);
    const isEnd = index === values.length - 1 || !Number.isFinite(values[index + 1]);
    const point = x(index) + ' ' + (31 - (value / most) * 28).toFixed(1);
    if (isStart) start = index;
    curve += (isStart ? 'M' : 'L') + point;
    area += (isStart ? 'M' + x(index) + ' 31.5L' : 'L') + point;
    if (isEnd) {
      area += 'V31.5H' + x(start) + 'Z';
      if (isStart) curve += 'h0.8';
    }
  });
  setAttribute(picture.children[1], 'd', area);
  setAttribute(picture.children[2], 'd', curve);
}

function showFigure(name, text, note) {
  const figure = document.querySelector('[data-figure="' + name + '"]');
  setText(figure.querySelector('b'), text);
  setText(figure.querySelector('.note'), note);
  drawPicture(figure.querySelector('svg'), page.samples.map((sample) => sample[name]));
}

function showFigures() {
  const now = page.samples[page.samples.length - 1];
  const status = page.status;
  const most = (name) => Math.max(...page.samples.map((sample) => sample[name]).filter(Number.isFinite), 0);
  const rate = (value) => (Number.isFinite(value) ? fewDigits.format(value) : '–');
  const minutes = Math.max(1, Math.round((now.at - page.samples[0].at) / 60000));
  const span = 'in ' + minutes + ' min';
  const peak = (name) => (page.samples.length > 1 ? 'peak ' + rate(most(name)) + ' ' + span : '');
  showFigure('arrived', rate(now.arrived), peak('arrived'));
  showFigure('done', rate(now.done), peak('done'));
  showFigure('time', duration(now.time), Number.isFinite(now.time) ? 'slowest of ' + number.format(now.count) + ': ' + duration(now.slowest) : 'no outcome in the last minute');
  showFigure('work', number.format(status.Pending), plural(status.InFlight, 'call', 'calls') + ' under way' +
    (status.Waiting > 0 ? ', ' + plural(status.Waiting, 'duplicate waits', 'duplicates wait') : ''));
  showFigure('outbox', number.format(status.Outbox.Messages), bytes(status.Outbox.Bytes));
}

// ---- commands ----

function tokenLink() {
  return element('a.token.code', { href: '#' });
}

function setToken(link, token) {
  setText(link, token);
  setAttribute(link, 'href', '#token=' + encodeURIComponent(token));
  setAttribute(link, 'title', token);
}

function makeRow(columns) {
  return element('tr', { role: 'row' }, ...columns.map(([label, className, ...children]) =>
    element('td' + className, { role: 'cell', 'data-label': label }, ...children)));
}

function makeWorkRow() {
  return makeRow([['Token', '', tokenLink()], ['Group', '', element('span'), ' ', element('small.side')],
    ['Age', '.number', element('time')], ['Attempts', '.number', element('span')],
    ['Why', '', element('span'), element('small')]]);
}

function why(command) {
  if (command.Wait !== 'retry' || !command.NotBefore) return command.WaitMeaning;
  const leftMs = Date.parse(command.NotBefore) - nowMs();
  return 'The last attempt did not succeed. The next one follows ' + (leftMs > 1000 ? 'in ' + age(leftMs) : 'now') + '.';
}

function showWorkRow(row, command) {
  const [token, group, received, attempts, wait] = row.children;
  const last = [command.LastCode, command.LastMessage].filter(Boolean).join(': ');
  setToken(token.children[0], command.ClientToken);
  setText(group.children[0], command.ReplicaGroupId);
  setText(group.children[1], command.RegionId);
  setTime(received.children[0], command.ReceivedAt, age(nowMs() - Date.parse(command.ReceivedAt)));
  setText(attempts.children[0], number.format(command.Attempts));
  setText(wait.children[0], why(command));
  setText(wait.children[1], last ? 'Last answer: ' + last : '');
  setHidden(wait.children[1], last === '');
}

function showWork() {
  const commands = page.commands.InWork;
  const shown = page.isWorkOpen ? commands : commands.slice(0, ROWS_FIRST);
  const hiddenCount = page.commands.Pending - commands.length;
  reconcile($('work').tBodies[0], shown, (command) => command.ClientToken, makeWorkRow, showWorkRow, $('work-title'));
  setHidden($('work'), commands.length === 0);
  setHidden($('work-empty'), commands.length > 0);
  setText($('work-note'), commands.length > 0 && hiddenCount > 0
    ? 'the first ' + number.format(commands.length) + ' of ' + number.format(page.commands.Pending) : '');
  setHidden($('work-more'), commands.length <= ROWS_FIRST);
  setText($('work-more'), page.isWorkOpen ? 'Show fewer' : 'Show all ' + number.format(commands.length));
  setAttribute($('work-more'), 'aria-expanded', String(page.isWorkOpen));
}

function makeOutcomeRow() {
  return makeRow([['Outcome', '', element('span.mark'), element('small.error')], ['Token', '', tokenLink()],
    ['Group', '', element('span'), ' ', element('small.side')], ['Took', '.number', element('span')],
    ['Ended', '.number', element('time')]]);
}

function showOutcomeRow(row, outcome) {
  const [status, token, group, took, ended] = row.children;
  const [tone, words] = OUTCOMES[outcome.Status] || ['none', outcome.Status];
  const code = outcome.Error ? outcome.Error.Code : '';
  setAttribute(status.children[0], 'data-tone', tone);
  setText(status.children[0], words);
  setText(status.children[1], code);
  setAttribute(status.children[1], 'title', code);
  setHidden(status.children[1], code === '');
  setToken(token.children[0], outcome.ClientToken);
  setText(group.children[0], outcome.ReplicaGroupId);
  setText(group.children[1], outcome.RegionId);
  setText(took.children[0], duration(tookMs(outcome)));
  setTime(ended.children[0], outcome.CompletedAt, clockTime(outcome.CompletedAt));
}

function showOutcomes() {
  const all = page.commands.Outcomes;
  const newestFirst = (a, b) => b.CompletedAt.localeCompare(a.CompletedAt) || b.ReceivedAt.localeCompare(a.ReceivedAt);
  const outcomes = [...(all || [])].sort(newestFirst).slice(0, OUTCOMES_SHOWN);
  const keyOf = (outcome) => outcome.ClientToken + ' ' + outcome.CompletedAt;
  reconcile($('outcomes').tBodies[0], outcomes, keyOf, makeOutcomeRow, showOutcomeRow, $('outcomes-title'));
  setHidden($('outcomes'), outcomes.length === 0);
  setHidden($('outcomes-empty'), outcomes.length > 0);
  setText($('outcomes-empty'), all ? 'No outcome is recorded yet.' : 'The ledger cannot be read now.');
  setText($('outcomes-note'), outcomes.length > 0 ? 'newest first' : '');
}

// ---- watched groups ----

function makeWatchRow() {
  return makeRow([['Group', '', element('span'), ' ', element('small.side'), element('small', {}, tokenLink())],
    ['State', '', element('span.mark'), element('small.trouble'), element('small', {}, element('span'), ', started ', element('time'))],
    ['Recovery', '', element('span.mark'), element('small')],
    ['Last event', '', element('span'), element('small', {}, element('time'))]]);
}

// [tone, words]
function stateWords(watch) {
  if (!watch.GroupStatus) return ['none', 'Not read yet'];
  const percent = watch.ProgressPercent === undefined || watch.Class !== 'moving' ? '' : ', ' + watch.ProgressPercent + ' %';
  return [CLASS_TONES[watch.Class] || 'none', (GROUP_STATES[watch.GroupStatus] || watch.GroupStatus) + percent];
}

function lastEventWords(watch) {
  if (watch.LastEvent) return WATCH_EVENTS[watch.LastEvent] || watch.LastEvent;
  return watch.Seq > 0 ? 'None since the restart' : 'None yet';
}

function showWatchRow(row, watch) {
  const [group, state, recovery, event] = row.children;
  const [tone, words] = stateWords(watch);
  const trouble = TROUBLES.filter(([name]) => watch[name]).map(([, text]) => text).join(' ');
  const hasPoint = watch.LastRecoverPoint !== undefined;
  setText(group.children[0], watch.ReplicaGroupId);
  setText(group.children[1], watch.RegionId);
  setToken(group.children[2].children[0], watch.ClientToken);
  setAttribute(state.children[0], 'data-tone', watch.InTrouble && tone !== 'bad' ? 'warn' : tone);
  setAttribute(state.children[0], 'title', watch.GroupStatus || '');
  setText(state.children[0], words);
  setText(state.children[1], trouble);
  setHidden(state.children[1], trouble === '');
  setText(state.children[2].children[0], watch.Synchronised ? 'Data copied, watched further' : GOALS[watch.Goal] || 'Watched');
  setTime(state.children[2].children[1], watch.StartedAt, clockTime(watch.StartedAt));
  setAttribute(recovery.children[0], 'class', hasPoint ? 'mark' : '');
  setAttribute(recovery.children[0], 'data-tone', !hasPoint ? '' : watch.RpoExceeded ? 'warn' : 'good');
  setAttribute(recovery.children[0], 'title', watch.LastRecoverPoint || '');
  setText(recovery.children[0], hasPoint ? age(watch.LagS * 1000) + ' old' : 'None yet');
  setText(recovery.children[1], watch.RpoS === undefined ? '' : (watch.RpoExceeded ? 'more than the RPO of ' : 'RPO ') + duration(watch.RpoS * 1000));
  setText(event.children[0], lastEventWords(watch));
  setHidden(event.children[1], !watch.LastEvent);
  if (watch.LastEvent) setTime(event.children[1].children[0], watch.LastEventAt, clockTime(watch.LastEventAt));
}

function showWatches() {
  const { Count: count, Watches: watches } = page.watches;
  const shown = page.isWatchesOpen ? watches : watches.slice(0, ROWS_FIRST);
  const keyOf = (watch) => watch.RegionId + ' ' + watch.ReplicaGroupId + ' ' + watch.ClientToken;
  reconcile($('watches').tBodies[0], shown, keyOf, makeWatchRow, showWatchRow, $('watches-title'));
  setHidden($('watches'), watches.length === 0);
  setHidden($('watches-empty'), watches.length > 0);
  setText($('watches-note'), count > watches.length ? 'the first ' + number.format(watches.length) + ' of ' + number.format(count)
    : count > 0 ? plural(count, 'group', 'groups') : '');
  setHidden($('watches-more'), watches.length <= ROWS_FIRST);
  setText($('watches-more'), page.isWatchesOpen ? 'Show fewer' : 'Show all ' + number.format(watches.length));
  setAttribute($('watches-more'), 'aria-expanded', String(page.isWatchesOpen));
}

// ---- sessions and counts ----

function makeSession() {
  return element('li', {}, element('p', {}, element('span.mark')), element('p.code'), element('p'));
}

function showSession(item, session) {
  const [state, id, filters] = item.children;
  const [tone, words] = SESSION_STATES[session.State] || ['none', session.State];
  setAttribute(state.children[0], 'data-tone', tone);
  setText(state.children[0], words);
  setText(id, session.ClientId);
  setText(filters, session.Filters.join(', '));
}

function showSessions() {
  const sessions = page.status.Sessions;
  reconcile($('sessions'), sessions, (session) => session.ClientId, makeSession, showSession);
  setHidden($('sessions'), sessions.length === 0);
  setHidden($('sessions-empty'), sessions.length > 0);
}

// `pairs` are [term, value]; the terms and the values are children one after the other.
function showFacts(list, pairs) {
  const items = pairs.flatMap(([term, value]) => [['dt', term, term], ['dd', term, value]]);
  reconcile(list, items, ([tag, term]) => tag + ' ' + term, ([tag]) => element(tag), (node, [, , text]) => setText(node, text));
}

function showCounts() {
  const counts = page.status.Counts;
  showFacts($('counts'), COUNTS.filter(([name]) => name in counts).map(([name, words]) => [words, number.format(counts[name])]));
}

// ---- the look-up ----

// [tone, what happened, details]
function eventWords(event) {
  const [tone, words] = EVENTS[event.Event + (event.Result ? ' ' + event.Result : '')] || EVENTS[event.Event] ||
    ['none', event.Event + (event.Result ? ': ' + event.Result : '')];
  const details = [];
  if (event.Attempt) details.push('attempt ' + number.format(event.Attempt));
  if (event.Code) details.push(event.Code);
  if (event.RequestId && event.Event !== 'outcome') details.push('RequestId ' + event.RequestId);
  if (event.Replies > 1) details.push(number.format(event.Replies) + ' replies');
  if (event.Count) details.push(plural(event.Count, 'event', 'events'));
  return [tone, words, details.join(' · ')];
}

function makeEvent() {
  return element('li', {}, element('time'), element('p'), element('small'));
}

function showEvent(item, [, event, previousMs]) {
  const [tone, words, details] = eventWords(event);
  const laterMs = Date.parse(event.At) - previousMs;
  setAttribute(item, 'data-tone', tone);
  setTime(item.children[0], event.At, clockTime(event.At) + (Number.isFinite(laterMs) && laterMs > 0 ? ', ' + duration(laterMs) + ' later' : ''));
  setText(item.children[1], words);
  setText(item.children[2], details);
  setHidden(item.children[2], details === '');
}

function showHistory(events) {
  const items = events.map((event, index) => [index, event, index > 0 ? Date.parse(events[index - 1].At) : NaN]);
  reconcile($('found-history'), items, ([index]) => String(index), makeEvent, showEvent);
  setHidden($('found-history'), events.length === 0);
  setHidden($('found-history-title'), events.length === 0);
}

const RECORD_SHOWN = new Set(['ClientToken', 'State', 'Status', 'Route', 'Action', 'RegionId', 'ReplicaGroupId', 'Attempts',
  'Crashes', 'ReceivedAt', 'Deadline', 'NotBefore', 'RequestId', 'Error', 'CompletedAt', 'ExpiresAt', 'Watch', 'History']);

function factsOf(record) {
  const error = record.Error || {};
  const pairs = [['Action', record.Action], ['Region', record.RegionId], ['Group', record.ReplicaGroupId]];
  for (const [name, value] of Object.entries(record)) { // the action's own parameters
    if (!RECORD_SHOWN.has(name)) pairs.push([name, String(value)]);
  }
  pairs.push(['Route', record.Route], ['Attempts', String(record.Attempts)], ['Arrived', clockTime(record.ReceivedAt)]);
  if (record.CompletedAt) pairs.push(['Ended', clockTime(record.CompletedAt)], ['Took', duration(tookMs(record))]);
  else if (record.Deadline) pairs.push(['Deadline', clockTime(record.Deadline)]);
  if (record.RequestId) pairs.push(['RequestId', record.RequestId]);
  if (error.Code) pairs.push(['Code', error.Code]);
  if (error.Message) pairs.push(['Message', error.Message]);
  if (error.Hint) pairs.push(['Hint', error.Hint]);
  if (record.ExpiresAt) pairs.push(['Kept until', clockTime(record.ExpiresAt)]);
  return record.Watch ? pairs.concat(watchFacts(record.Watch)) : pairs;
}

function watchFacts(watch) {
  const pairs = [['Group state', GROUP_STATES[watch.GroupStatus] || watch.GroupStatus || 'Not read yet']];
  if (watch.ChangedAt) pairs.push(['Last change', clockTime(watch.ChangedAt)]);
  pairs.push(['Last event', lastEventWords(watch) + (watch.LastEvent ? ', ' + clockTime(watch.LastEventAt) : '')]);
  pairs.push(['Watched since', clockTime(watch.StartedAt)], ['Watched at most until', clockTime(watch.EndsAt)]);
  return pairs;
}

function showFound(title, text, record) {
  const outcome = record && record.State === 'done' ? OUTCOMES[record.Status] : undefined;
  setHidden($('found'), false);
  setText($('found-title'), title);
  setText($('found-text'), outcome ? outcome[1] : text);
  setAttribute($('found-text'), 'class', outcome ? 'mark' : '');
  setAttribute($('found-text'), 'data-tone', outcome ? outcome[0] : '');
  showFacts($('found-facts'), record ? factsOf(record) : []);
  showHistory((record && record.History) || []);
}

function isFinal(record) {
  const events = record.History || [];
  const last = events.length > 0 ? events[events.length - 1].Event : '';
  return record.State === 'done' && !record.Watch && (events.length === 0 || last === 'reply_acknowledged' || last === 'reply_undelivered');
}

async function lookUp(hasFocus) {
  const token = page.token;
  let answer;
  let record = null;
  try {
    answer = await fetch('/api/commands/' + encodeURIComponent(token), { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.ok) record = await answer.json();
  } catch {
    answer = null;
  }
  if (token !== page.token) return; // another one was asked for meanwhile
  if (record) {
    showFound(record.ClientToken, (COMMAND_STATES[record.State] || record.State) + '.', record);
    page.foundIsFinal = isFinal(record);
  } else if (answer && answer.status === 404) {
    showFound(token, 'The ledger has no record of this token: no such command was taken, or its record has expired.', null);
  } else if (hasFocus || $('found').hidden) {
    showFound(token, answer && answer.status === 503 ? 'The ledger cannot be read now.' : 'The bridge does not answer.', null);
  }
  if (hasFocus) $('found-title').focus();
}

function followHash(hasFocus) {
  const match = /^#token=(.+)$/.exec(location.hash);
  let token = '';
  try {
    token = match ? decodeURIComponent(match[1]) : '';
  } catch {
    token = '';
  }
  page.token = token;
  page.foundIsFinal = false;
  if (token === '') {
    setHidden($('found'), true);
    return;
  }
  $('token').value = token;
  lookUp(hasFocus);
}

// ---- asking ----

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(path + ' answered ' + answer.status);
  return answer.json();
}

function show() {
  showTop();
  showHealth();
  if (page.status) {
    showSessions();
    showCounts();
  }
  if (page.samples.length > 0) showFigures();
  if (page.commands) {
    showWork();
    showOutcomes();
  }
  if (page.watches) showWatches();
}

async function update() {
  const [status, commands, watches] = await Promise.allSettled([ask('/status'), ask('/api/commands'), ask('/api/watches')]);
  if (status.status === 'fulfilled') {
    page.status = status.value;
    page.clockMs = Date.parse(page.status.At) - Date.now();
    page.answeredAt = performance.now();
    page.failures = 0;
  } else {
    page.failures++;
  }
  if (commands.status === 'fulfilled') page.commands = commands.value;
  if (watches.status === 'fulfilled') page.watches = watches.value;
  if (status.status === 'fulfilled') addSample();
  show();
  if (page.token !== '' && !page.foundIsFinal && status.status === 'fulfilled') await lookUp(false);
}

let timer = 0;
let isUpdating = false;

async function turn() {
  clearTimeout(timer);
  if (isUpdating || page.isPaused || document.hidden) return;
  isUpdating = true;
  try {
    await update();
  } finally {
    isUpdating = false;
  }
  if (!page.isPaused && !document.hidden) timer = setTimeout(turn, EVERY_MS);
}

$('pause').addEventListener('click', () => {
  page.isPaused = !page.isPaused;
  setAttribute($('pause'), 'aria-pressed', String(page.isPaused));
  showTop();
  turn();
});
$('work-more').addEventListener('click', () => {
  page.isWorkOpen = !page.isWorkOpen;
  showWork();
});
$('watches-more').addEventListener('click', () => {
  page.isWatchesOpen = !page.isWatchesOpen;
  showWatches();
});
$('look').addEventListener('submit', (event) => {
  event.preventDefault();
  const hash = '#token=' + encodeURIComponent($('token').value.trim());
  if (location.hash === hash) followHash(true);
  else location.hash = hash;
});
addEventListener('hashchange', () => followHash(true));
document.addEventListener('visibilitychange', turn);
setInterval(() => { if (!document.hidden) showTop(); }, 1000);
followHash(false);
turn();
