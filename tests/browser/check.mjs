// What the operator's page shows in a real browser, and how it can be used.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { request } from 'node:http';
import { Machine, START_ROUTE, WAIT_MS, waitFor } from './machine.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const screenshots = process.env.SCREENSHOTS;
const LOOKS = [['light', 360], ['light', 1400], ['dark', 360], ['dark', 1400]];

let failures = 0;
function check(what, isTrue, detail = '') {
  console.log((isTrue ? 'ok    ' : 'FAULT ') + what + (isTrue || detail === '' ? '' : ': ' + detail));
  failures += isTrue ? 0 : 1;
}

// The page in one look. Errors of the console and of the content security policy are faults.
async function open(browser, machine, [scheme, width], hash = '') {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: width < 500 ? 800 : 1000 }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error' && !isExpected(message)) page.problems.push(message.text()); });
  page.on('dialog', (dialog) => { page.problems.push('a dialog: ' + dialog.message()); dialog.dismiss(); });
  await page.goto(machine.page + '/' + hash);
  return page;
}

// The browser reports the 404 of a token without a record, and what it asks for while the bridge does not run.
const isExpected = (message) => message.location().url.includes('/api/commands/') || /net::ERR_CONNECTION/.test(message.text());
const close = (page) => page.context().close();
const waitForState = (page, text) => page.waitForFunction((wanted) => document.getElementById('state').textContent.startsWith(wanted), text);

// Waits for so many further answers to /status.
async function waitForUpdates(page, count) {
  for (let i = 0; i < count; i++) await page.waitForResponse((response) => response.url().endsWith('/status'));
  await page.waitForTimeout(200); // until the answer is shown
}

async function checkAccessibility(page, name) {
  const results = await page.evaluate(async (source) => {
    (0, eval)(source);
    return window.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
  }, axeSource);
  const found = results.violations.map((violation) => violation.id + ' (' + violation.nodes.map((node) => node.target).join(' ') + ')');
  check(name + ': axe-core finds nothing', found.length === 0, found.join(', '));
}

async function look(browser, machine, name, state, prepare = async () => {}) {
  for (const [scheme, width] of LOOKS) {
    const page = await open(browser, machine, [scheme, width]);
    const title = name + '-' + scheme + '-' + width;
    await waitForState(page, state);
    await prepare(page);
    await page.screenshot({ path: screenshots + '/' + title + '.png', fullPage: true });
    const overflow = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    check(title + ': nothing is wider than the window', overflow <= 0, overflow + ' px');
    check(title + ': no error', page.problems.length === 0, page.problems.join('; '));
    await checkAccessibility(page, title);
    await close(page);
  }
}

// Types the token, presses Enter, and waits for its result.
async function lookUp(page, token) {
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
  await page.waitForFunction((wanted) => document.getElementById('found-title').textContent === wanted, token);
}

// Traffic of all kinds: most succeed; some are refused, hang, are tried again, wait for their group.
let sent = 0;
function sendOne(machine) {
  sent++;
  machine.send({ ReplicaGroupId: 'pg-' + String(1 + (sent % 40)).padStart(3, '0'), ClientToken: 'order-2026-' + String(sent).padStart(6, '0'), OneShot: sent % 3 === 0 });
}

async function makeTraffic(machine) {
  machine.startSender();
  await machine.fault({ Fault: 'hang', Match: { ReplicaGroupId: 'pg-database' }, Count: -1 });
  await machine.fault({ Fault: 'reset_before', Match: { ReplicaGroupId: 'pg-billing' }, Count: -1 });
  await machine.fault({ Fault: 'html_502', Match: { ReplicaGroupId: 'pg-archive' }, Count: 2 });
  await machine.fault({ Fault: 'error', Code: 'OperationDenied.InvalidStatus', Match: { ReplicaGroupId: 'pg-007' }, Count: -1 });
  machine.send({ ReplicaGroupId: 'pg-database', ClientToken: 'hanging-call' });
  machine.send({ ReplicaGroupId: 'pg-database', ClientToken: 'behind-the-hanging-call' });
  machine.send({ ReplicaGroupId: 'pg-billing', ClientToken: 'tried-again' });
  machine.send({ ReplicaGroupId: 'pg-archive', ClientToken: '5f0c2a8e61b7d94a3c1e8f7a2b6d0c9e5f0c2a8e61b7d94a3c1e8f7a2b6d0c9e' });
  machine.send({ ReplicaGroupId: '<b>pg</b>', ClientToken: '<img src=x onerror=alert(1)>' });
  machine.send({ ReplicaGroupId: 'pg-duplicate', ClientToken: 'sent/twice #1' });
  machine.send({ ReplicaGroupId: 'pg-duplicate', ClientToken: 'sent/twice #1' });
  const timer = setInterval(() => { for (let i = 0; i < 1 + (sent % 5); i++) sendOne(machine); }, 100);
  timer.unref(); // a run that fails before it is cleared ends all the same
  return () => clearInterval(timer);
}

// One group of each kind is watched.
async function startWatches(machine) {
  const changeGroup = (group, change) => machine.order('groups', { RegionId: 'cn-beijing', ReplicaGroupId: group, ...change });
  await changeGroup('pg-copying', { Status: 'created', ShownStatus: 'initial_syncing' });
  for (const group of ['pg-copying', 'pg-lagging', 'pg-copied']) {
    machine.sendTo(WATCHED_TOPIC, { ReplicaGroupId: group, ClientToken: '<i>' + group + '</i>' });
  }
  const list = async () => (await (await fetch(machine.page + '/api/watches')).json()).Watches;
  await waitFor('all groups are watched', async () => (await list()).filter((watch) => watch.GroupStatus).length === 3);
  await changeGroup('pg-copying', { Status: 'stopped', RecoverAgeS: -1 });
  await changeGroup('pg-lagging', { Status: 'stopped', ShownStatus: 'normal', RecoverAgeS: 5000 });
  await waitFor('a group is in trouble', async () => (await list()).some((watch) => watch.InTrouble));
}

async function checkWatches(page) {
  await page.waitForFunction(() => document.querySelectorAll('#watches tbody tr').length === 3);
  await page.waitForFunction(() => document.querySelector('#watches tbody tr').innerText.includes('Its recovery point is too old'));
  const rows = await page.locator('#watches tbody tr').allInnerTexts();
  check('a group in trouble is listed first', rows[0].includes('pg-lagging'), rows.join(' | '));
  check('a group that lags is shown with the age of its recovery point', /Its recovery point is too old\..*old\s+more than the RPO of 15 min/s.test(rows[0]), rows[0]);
  check('a group that was copied is shown', rows[1].includes('Replicating') && rows[1].includes('RPO 15 min'), rows[1]);
  check('a group under way is shown', rows[2].includes('First full copy under way') && rows[2].includes('Watched until its data is copied'), rows[2]);
  check('the number of groups is shown', (await page.locator('#watches-note').innerText()) === '3 groups');
}

async function checkContent(page) {
  await page.waitForFunction(() => document.querySelectorAll('#work tbody tr').length >= 3 && document.querySelectorAll('#outcomes tbody tr').length >= 5);
  await page.waitForFunction(() => document.querySelector('[data-figure=arrived] b').textContent !== '–');
  const work = await page.locator('#work tbody').innerText();
  check('a command that is being called is shown', work.includes('hanging-call') && work.includes('The API is being called.'), work);
  check('a command behind another of its group is shown with the reason', work.includes('An earlier command for the same group is not finished.'), work);
  check('a command that is tried again is shown with its last answer', /The next one follows/.test(work) && work.includes('Bridge.NoDefiniteAnswer'), work);
  const session = await page.locator('#sessions').innerText();
  check('the session at the broker is shown', session.includes('ecs-mqtt-bridge-bridge-1-in') && session.includes('Subscribed'), session);
  check('the page has a title with the state', (await page.title()) === 'Online – bridge-1', await page.title());
}

async function checkEscaping(page) {
  const token = '<img src=x onerror=alert(1)>';
  await lookUp(page, token);
  const made = await page.evaluate(() => document.querySelectorAll('main img, main i, main b:not(.figure b)').length);
  check('text from outside is never markup', made === 0, made + ' elements');
}

async function checkLookUp(page) {
  await lookUp(page, 'sent/twice #1');
  await page.waitForFunction(() => document.querySelectorAll('#found-history li').length >= 6);
  const text = await page.locator('#found').innerText();
  for (const wanted of ['sent/twice #1', 'Succeeded', 'pg-duplicate', 'Arrived and was recorded', 'A duplicate arrived', 'Outcome: succeeded', 'The broker acknowledged the reply', 'RequestId']) {
    check('the look-up shows: ' + wanted, text.includes(wanted), text);
  }
  await page.waitForFunction(() => document.activeElement.id === 'found-title');
  check('the result has the focus', true);
  await lookUp(page, '<i>pg-lagging</i>');
  const watched = await page.locator('#found-facts').innerText();
  check('the look-up shows the watch', /Group state\s+Replicating\s+Last change.*Last event\s+Recovery point too old, .*Watched at most until/s.test(watched), watched);
  await page.fill('#token', 'never-sent');
  await page.click('#look button');
  await page.waitForFunction(() => document.getElementById('found-text').textContent.startsWith('The ledger has no record'));
  check('a token without a record is said so', true);
  await page.locator('#work a', { hasText: 'behind-the-hanging-call' }).click();
  await page.waitForFunction(() => document.getElementById('found-title').textContent === 'behind-the-hanging-call');
  check('a token of a table leads to its record', (await page.inputValue('#token')) === 'behind-the-hanging-call');
}

async function checkFocusStays(page) {
  const link = page.locator('#work a', { hasText: 'hanging-call' }).first();
  await page.evaluate(() => scrollTo(0, 120));
  await link.focus();
  const before = await page.evaluate(() => { document.activeElement.isTheSame = true; return scrollY; });
  await waitForUpdates(page, 3);
  const after = await page.evaluate(() => ({ isTheSame: document.activeElement.isTheSame === true, y: scrollY }));
  check('the focus stays on a link of a table during updates', after.isTheSame);
  check('the page does not scroll by itself', Math.abs(after.y - before) < 2, before + ' -> ' + after.y);
  await page.fill('#token', 'half a tok');
  await page.evaluate(() => document.getElementById('token').setSelectionRange(2, 4));
  await waitForUpdates(page, 3);
  const field = await page.evaluate(() => [document.activeElement.id, document.activeElement.value, document.activeElement.selectionStart].join('|'));
  check('a half-typed token keeps its text, focus and selection', field === 'token|half a tok|2', field);
}

async function checkNoFlicker(page) {
  await page.evaluate(() => {
    window.made = 0;
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of [...change.addedNodes, ...change.removedNodes]) window.made += node.nodeType === 1 ? 1 : 0;
    }).observe(document.body, { childList: true, subtree: true });
  });
  await waitForUpdates(page, 3);
  const made = await page.evaluate(() => window.made);
  check('updates of an idle bridge make and remove no element', made === 0, made + ' elements');
}

async function checkKeyboard(page) {
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  const reached = new Set();
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.tagName));
  }
  for (const wanted of ['pause', 'token', 'token code']) check('the keyboard reaches ' + wanted, reached.has(wanted), [...reached].join(', '));
  await page.focus('#pause');
  await page.keyboard.press('Enter');
  let asked = 0;
  page.on('request', () => { asked++; });
  await page.waitForTimeout(6000);
  check('a paused page asks nothing', asked === 0, asked + ' requests');
  check('it says so', (await page.locator('#updated').innerText()).startsWith('paused'));
  await page.keyboard.press('Enter');
  await waitForUpdates(page, 1);
  check('it goes on when it is told to', true);
}

function statusOf(machine, path, host) {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port: machine.adminPort, path, headers: { Host: host } }, (answer) => { answer.resume(); resolve(answer.statusCode); })
      .on('error', reject).end();
  });
}

async function checkHosts(machine) {
  for (const path of ['/', '/page.js', '/status', '/api/commands', '/api/commands/hanging-call', '/api/watches']) {
    const foreign = await statusOf(machine, path, 'attacker.example');
    const own = await statusOf(machine, path, 'localhost:1');
    check(path + ' is not for a foreign name', foreign === 421 && own === 200, foreign + ' and ' + own);
  }
}

const WATCHED_TOPIC = 'ecs-bridge/v1/commands/watched';
const machine = new Machine({
  routes: [START_ROUTE, '{ name = "watched"; action = "StartDiskReplicaGroup"; regions = ("*"); groups = ("*"); topics = ("' + WATCHED_TOPIC + '"); watch = "continuous"; }'],
  more: 'watch: { poll_min_s = 1; poll_max_s = 1; };',
});
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
try {
  await machine.start();
  let page = await open(browser, machine, ['light', 1400]);
  await waitForState(page, 'Online');
  await page.screenshot({ path: screenshots + '/empty-light-1400.png', fullPage: true });
  const stopTraffic = await makeTraffic(machine);
  await checkContent(page);
  await startWatches(machine);
  await checkWatches(page);
  await checkEscaping(page);
  await checkLookUp(page);
  await checkFocusStays(page);
  await checkHosts(machine);
  await waitForUpdates(page, Number(process.env.PICTURE_UPDATES || 15)); // for the pictures
  await lookUp(page, 'sent/twice #1');
  await page.screenshot({ path: screenshots + '/traffic-light-1400.png', fullPage: true });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: screenshots + '/traffic-dark-1400.png', fullPage: true });
  await page.setViewportSize({ width: 360, height: 800 });
  await page.screenshot({ path: screenshots + '/traffic-dark-360.png', fullPage: true });
  check('no error of the page', page.problems.length === 0, page.problems.join('; '));
  await look(browser, machine, 'healthy', 'Online', async (it) => {
    await it.waitForFunction(() => document.querySelectorAll('#outcomes tbody tr').length >= 5);
    await lookUp(it, 'sent/twice #1');
  });
  stopTraffic();
  await waitFor('only the commands that hang are in work', async () => (await (await fetch(machine.page + '/status')).json()).Pending <= 3);
  await page.setViewportSize({ width: 1400, height: 1000 });
  await checkKeyboard(page);

  await machine.stopBroker();
  await machine.waitReady(503);
  await look(browser, machine, 'degraded', 'Degraded');
  const degraded = await open(browser, machine, ['light', 1400]);
  await waitForState(degraded, 'Degraded');
  check('the reasons say what to do', (await degraded.locator('#reasons').innerText()).includes('Check that the broker'));

  await machine.clearFaults();
  await checkNoFlicker(await open(browser, machine, ['light', 1400]).then(async (it) => {
    await waitForState(it, 'Degraded');
    await waitFor('nothing is in work', async () => (await (await fetch(machine.page + '/status')).json()).Pending === 0);
    await waitForUpdates(it, 2);
    return it;
  }));
  page = await open(browser, machine, ['light', 1400]);
  await waitForState(page, 'Degraded');
  await machine.stopBridge();
  await waitForState(page, 'No answer');
  check('reasons of a bridge that does not answer are not shown as present', await page.locator('#reasons').isHidden());
  await page.screenshot({ path: screenshots + '/silent-light-1400.png', fullPage: true });
  await checkAccessibility(page, 'silent-light-1400');
  machine.startBroker();
  machine.startBridge();
  await waitForState(page, 'Online');
  check('the page goes on when the bridge is back', true);
} catch (error) {
  check('the run', false, String(error.stack));
} finally {
  await browser.close();
  await machine.stop();
}
console.log(failures === 0 ? 'all checks hold' : failures + ' fault(s)');
process.exitCode = failures === 0 ? 0 : 1;
