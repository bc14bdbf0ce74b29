// Makes a bridge send messages of every kind, and collects them with what was sent.
import mqtt from 'mqtt';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Machine, waitFor } from './machine.mjs';

const work = process.env.WORK;
const COMMANDS = 'ecs-bridge/v1/commands/start';
const EARLY = 'ecs-bridge/v1/commands/early';
const ALERTS = 'alerts';
const WATCHED = 'ecs-bridge/v1/commands/watched';
const CONTINUOUS = 'ecs-bridge/v1/commands/continuous';
const STOP = 'ecs-bridge/v1/commands/stop';
const EXPLAINED = 'ecs-bridge/v1/commands/explained';
const EVENTS = 'ecs-bridge/v1/events/';
const WATCH = 'watch: { poll_min_s = 1; poll_max_s = 1; begin_s = 1; stall_s = 2; blind_s = 2; give_up_s = 86400; };';
const SYNC_MS = 600000;
const MAPPED = 'input = "json"; each = "/alerts"; coalesce_s = 60; map: { RegionId = "cn-beijing"; ReplicaGroupId = "{/group}"; ClientToken = "{/id}"; };';
const REPLIES = 'ecs-bridge/v1/replies/';
const GROUP = 'pg-example';
const valid = { RegionId: 'cn-beijing', ReplicaGroupId: GROUP };

// Commands that the bridge must refuse because of one field, and the code. The schema must refuse them, too.
export const BAD_COMMANDS = [
  ['an unknown field', { ...valid, Oneshot: true }, 'Bridge.UnknownParameter'],
  ['null', { ...valid, OneShot: null }, 'Bridge.InvalidParameter'],
  ['another text than true and false', { ...valid, OneShot: 'yes' }, 'Bridge.InvalidParameter'],
  ['a number as a boolean', { ...valid, OneShot: 1 }, 'Bridge.InvalidParameter'],
  ['upper case in a region', { ...valid, RegionId: 'CN-Beijing' }, 'Bridge.InvalidParameter'],
  ['an empty region', { ...valid, RegionId: '' }, 'Bridge.InvalidParameter'],
  ['a region of 64 bytes', { ...valid, RegionId: 'r'.repeat(64) }, 'Bridge.InvalidParameter'],
  ['a group of 129 bytes', { ...valid, ReplicaGroupId: 'g'.repeat(129) }, 'Bridge.InvalidParameter'],
  ['a group that is not ASCII', { ...valid, ReplicaGroupId: 'pg-\u00e4' }, 'Bridge.InvalidParameter'],
  ['a token of 65 bytes', { ...valid, ClientToken: 't'.repeat(65) }, 'Bridge.InvalidParameter'],
  ['a number as a token', { ...valid, ClientToken: 7 }, 'Bridge.InvalidParameter'],
  ['an empty token', { ...valid, ClientToken: '' }, 'Bridge.InvalidParameter'],
  ['another action', { ...valid, Action: 'DeleteDiskReplicaGroup' }, 'Bridge.InvalidParameter'],
  ['an empty reply topic', { ...valid, ReplyTo: '' }, 'Bridge.InvalidParameter'],
  ['a CorrelationId of 257 bytes', { ...valid, CorrelationId: 'c'.repeat(257) }, 'Bridge.InvalidParameter'],
  ['a time that is none', { ...valid, NotAfter: 'tomorrow' }, 'Bridge.InvalidParameter'],
  ['a trace of 513 bytes', { ...valid, traceparent: 't'.repeat(513) }, 'Bridge.InvalidParameter'],
];

// Commands of the longest values. Neither the bridge nor the schema refuses them for a field.
export const LONG_COMMANDS = [
  { RegionId: 'r'.repeat(63), ReplicaGroupId: 'g'.repeat(128), ClientToken: ' ~'.repeat(32) },
  { ...valid, Action: 'StartDiskReplicaGroup', OneShot: 'true', CorrelationId: 'c'.repeat(256), tracestate: 's'.repeat(512), NotAfter: '2026-01-02T03:04:05+01:00' },
];

function kindOf(topic) {
  if (topic.startsWith('ecs-bridge/v1/commands/')) return 'command';
  if (topic.startsWith('ecs-bridge/v1/status/')) return 'status';
  if (topic.startsWith(EVENTS)) return 'event';
  return topic === 'ecs-bridge/v1/dead-letters' ? 'dead-letter' : 'reply';
}

// Properties of MQTT 5 as the AsyncAPI document names them.
function headersOf(properties = {}) {
  const headers = { ...properties.userProperties };
  if (properties.responseTopic) headers.responseTopic = properties.responseTopic;
  if (properties.correlationData) headers.correlationData = properties.correlationData.toString();
  if (properties.messageExpiryInterval !== undefined) headers.messageExpiryInterval = properties.messageExpiryInterval;
  return headers;
}

export class Collector {
  constructor() {
    this.messages = [];
    this.sent = 0;
    writeFileSync(work + '/acl', 'topic readwrite #\ntopic deny ' + REPLIES + 'forbidden/#\n');
    const route = (name, topic, more) => '{ name = "' + name + '"; topics = ("' + topic + '"); regions = ("cn-*", "r*"); groups = ("pg-*", "g*"); ' + more + ' }';
    this.machine = new Machine({
      broker: 'acl_file ' + work + '/acl\n',
      limits: 'deadline_s = 120; pending = 3;',
      more: 'replies: { expiry_s = 5; };' + WATCH,
      routes: [route('start', COMMANDS, ''), route('early', EARLY, 'accepted_reply = true;'), route('alerts', ALERTS, MAPPED),
        route('watched', WATCHED, 'watch = "until_done";'), route('continuous', CONTINUOUS, 'watch = "continuous";'),
        route('stop', STOP, 'action = "StopDiskReplicaGroup"; watch = "until_done";'), route('explained', EXPLAINED, 'explain = true;')],
    });
  }

  async start() {
    await this.machine.start();
    this.client = await mqtt.connectAsync('mqtt://127.0.0.1:' + this.machine.brokerPort, { protocolVersion: 5, clientId: 'collector', clean: true });
    this.client.on('message', (topic, payload, packet) => this.take(topic, payload, packet));
    await this.client.subscribeAsync(['ecs-bridge/v1/replies/#', 'ecs-bridge/v1/dead-letters', 'ecs-bridge/v1/status/#', EVENTS + '#'], { qos: 1, rap: true });
  }

  take(topic, payload, packet) {
    if (payload.length === 0) return;
    const properties = packet.properties ?? {};
    this.messages.push({
      kind: kindOf(topic), topic, body: JSON.parse(payload), headers: headersOf(properties), qos: packet.qos, retain: packet.retain,
      contentType: properties.contentType, payloadFormatIndicator: properties.payloadFormatIndicator,
    });
  }

  find(kind, isWanted, from = 0) {
    return this.messages.slice(from).find((message) => message.kind === kind && isWanted(message.body, message));
  }

  waitStatus(what, isWanted) {
    return waitFor('the status ' + what, () => this.find('status', isWanted));
  }

  async publish(body, properties = {}, { topic = COMMANDS, retain = false } = {}) {
    const payload = typeof body === 'string' ? body : JSON.stringify(body);
    if (typeof body === 'object') this.messages.push({ kind: 'command', topic, body, headers: headersOf(properties), qos: 1, retain });
    await this.client.publishAsync(topic, payload, { qos: 1, retain, properties });
  }

  // Publishes with a Response Topic of its own and resolves with the reply of this status.
  async ask(body, status, { code, properties = {}, ...options } = {}) {
    const responseTopic = REPLIES + 'to/' + (++this.sent);
    await this.publish(body, { responseTopic, correlationData: Buffer.from('c-' + this.sent), ...properties }, options);
    const reply = await waitFor('a reply ' + status + ' ' + (code ?? ''), () => this.find('reply', (found, message) => message.topic === responseTopic && found.Status === status));
    if (code !== undefined && reply.body.Error?.Code !== code) throw new Error(JSON.stringify(body) + ' got ' + JSON.stringify(reply.body) + ', not ' + code);
    return reply;
  }

  ctl(...words) {
    return promisify(execFile)(process.env.BRIDGE, ['ctl', '--config', work + '/bridge.conf', ...words]);
  }

  // A control request to the simulator.
  async order(what, body) {
    const answer = await fetch(this.machine.api + '/_sim/' + what, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error('the simulator does not take ' + what + ': ' + (await answer.text()));
  }

  soon(ms) { return new Date(Date.now() + ms).toISOString(); }

  // The API accepts it; duplicates; an early reply; a command without MQTT 5.
  async collectSuccesses() {
    const command = { ...valid, ClientToken: 'nightly-2026-01-02', OneShot: true };
    const trace = { userProperties: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'vendor=1' } };
    await this.ask(command, 'succeeded', { properties: { ...trace, messageExpiryInterval: 60 } });
    await this.ask(command, 'succeeded');
    await this.ask({ ...command, OneShot: false }, 'failed', { code: 'IdempotentParameterMismatch' });
    await this.ask({ ...valid, ReplicaGroupId: 'pg-early' }, 'accepted', { topic: EARLY });
    await this.publish({ ...valid, ReplicaGroupId: 'pg-old', ClientToken: 'mqtt-311', OneShot: 'false', Action: 'StartDiskReplicaGroup',
      ReplyTo: REPLIES + 'old/1', CorrelationId: 'order-7', NotAfter: this.soon(60000), ...trace.userProperties });
    await waitFor('the reply to ReplyTo', () => this.find('reply', (body) => body.CorrelationId === 'order-7'));
  }

  // The API refuses it, or gives no definite answer.
  async collectFailures() {
    const fault = async (name, match, body, status, code, more = {}) => {
      await this.machine.fault({ Fault: name, Count: -1, Match: { ReplicaGroupId: match }, ...more });
      await this.ask({ ...valid, ReplicaGroupId: match, ...body }, status, { code });
    };
    await fault('error', 'pg-cooldown', { OneShot: true }, 'failed', 'OperationDenied.ManualSyncLimit', { Code: 'OperationDenied.ManualSyncLimit' });
    await fault('error', 'pg-none', {}, 'failed', 'NoSuchResource', { Code: 'NoSuchResource' });
    await fault('error', 'pg-much', { NotAfter: this.soon(1500) }, 'failed', 'Throttling.User', { Code: 'Throttling.User' });
    await fault('error', 'pg-new', {}, 'failed', 'NobodyKnowsThis', { Code: 'NobodyKnowsThis', Http: 400, Message: 'New.' });
    await fault('error', 'pg-error', { NotAfter: this.soon(1500), ClientToken: 'unknown-1' }, 'unknown', 'InternalError', { Code: 'InternalError' });
    await fault('html_502', 'pg-html', { NotAfter: this.soon(1500) }, 'unknown', 'Bridge.NoDefiniteAnswer');
    await this.machine.clearFaults();
  }

  // The state of the group in a refusal, and in outcomes that are unknown: seen, and not to be read.
  async collectExplained() {
    const code = 'OperationDenied.InvalidStatus';
    await this.setGroup('pg-failovered', { Status: 'failovered' });
    await this.ask({ ...valid, ReplicaGroupId: 'pg-failovered' }, 'failed', { topic: EXPLAINED, code });
    for (const group of ['pg-seen', 'pg-unseen']) {
      await this.setGroup(group, { Status: 'normal', RecoverAgeS: 60 });
      await this.machine.fault({ Fault: 'reset_before', Match: { ReplicaGroupId: group } });
      await this.machine.fault({ Fault: 'error', Code: code, Match: { ReplicaGroupId: group } });
      if (group === 'pg-unseen') await this.machine.fault({ Fault: 'omit', Match: { ReplicaGroupId: group } });
      await this.ask({ ...valid, ReplicaGroupId: group }, 'unknown', { topic: EXPLAINED, code });
    }
  }

  // An operator has found out what became of a command.
  async collectResolved() {
    await this.ctl('resolve', 'unknown-1', '--as', 'failed', '--note', 'The group was not started.');
    await waitFor('the reply of a resolved command', () => this.find('reply', (body) => body.ClientToken === 'unknown-1' && body.Error?.Code === 'Bridge.Resolved'));
  }

  async collectRefusals() {
    for (const [, body, code] of BAD_COMMANDS) await this.ask(body, 'failed', { code });
    await this.ask(LONG_COMMANDS[0], 'succeeded');
    await this.ask(LONG_COMMANDS[1], 'failed', { code: 'Bridge.Expired' });
    await this.ask('{', 'failed', { code: 'Bridge.MalformedPayload' });
    await this.ask('{"ClientToken":"' + 'x'.repeat(17000) + '"}', 'failed', { code: 'Bridge.PayloadTooLarge' });
    await this.ask({ RegionId: 'cn-beijing' }, 'failed', { code: 'Bridge.MissingParameter' });
    await this.ask({ ...valid, RegionId: 'us-east-1' }, 'failed', { code: 'Bridge.NotAllowed' });
    await this.ask(valid, 'failed', { code: 'Bridge.Retained', retain: true });
    await this.publish({ ...valid, ClientToken: 'elsewhere', ReplyTo: 'other/topic' });
    await waitFor('a reply to a forbidden topic', () => this.find('reply', (body) => body.ClientToken === 'elsewhere' && body.Error?.Code === 'Bridge.ReplyTopicNotAllowed'));
  }

  // limits.pending calls hang, so one more command is too much.
  async collectOverload() {
    await this.machine.fault({ Fault: 'hang', Count: -1, Match: { RegionId: 'cn-hanging' } });
    const waiting = [1, 2, 3].map((n) => this.ask({ RegionId: 'cn-hanging', ReplicaGroupId: 'pg-' + n }, 'succeeded'));
    await waitFor('three calls', async () => (await (await fetch(this.machine.page + '/status')).json()).Pending === 3);
    await this.ask({ ...valid, ReplicaGroupId: 'pg-4' }, 'failed', { code: 'Bridge.Overloaded' });
    await this.machine.clearFaults();
    await Promise.all(waiting);
  }

  // Commands of elements, one of them coalesced, and dead letters of an element and of a whole message.
  async collectMapped() {
    const publish = (alerts) => this.client.publishAsync(ALERTS, JSON.stringify({ alerts }), { qos: 1 });
    await publish([{ id: 'alert-1', group: 'pg-mapped' }, { id: 'alert-2', group: 'pg-mapped' }, { group: 'pg-mapped' }]);
    await waitFor('the reply of an element', () => this.find('reply', (body) => body.ClientToken === 'alert-1' && body.Element === 0));
    await waitFor('a coalesced reply', () => this.find('reply', (body) => body.ClientToken === 'alert-2' && body.Coalesced === true));
    await waitFor('the dead letter of an element', () => this.find('dead-letter', (body) => body.Element === 2));
    await publish(Array(65).fill({}));
    await waitFor('too many commands', () => this.find('dead-letter', (body) => body.Error.Code === 'Bridge.TooManyCommands'));
  }

  async collectDeadLetters() {
    const letter = (what, isWanted) => waitFor('a dead letter: ' + what, () => this.find('dead-letter', isWanted));
    await this.publish('RegionId=cn-beijing');
    await letter('no JSON', (body) => body.Error.Code === 'Bridge.MalformedPayload');
    await this.publish('{"ClientToken":"' + 'x'.repeat(17000) + '"}');
    await letter('too large', (body) => body.Error.Code === 'Bridge.PayloadTooLarge');
    await this.publish({ ...valid, ReplicaGroupId: 'pg-forbidden', ClientToken: 'undelivered', ReplyTo: REPLIES + 'forbidden/1' });
    await this.waitStatus('degraded by a refused reply', (body) => body.Reasons?.includes('reply_refused'));
    await letter('not delivered', (body) => body.Error.Code === 'Bridge.ReplyUndelivered');
    await this.waitStatus('online after it', (body) => body.State === 'online');
  }

  // Three crashes during one call.
  async collectSetAside() {
    await this.machine.fault({ Fault: 'hang', Count: -1, Match: { RegionId: 'cn-crash' } });
    const starts = async () => (await (await fetch(this.machine.api + '/_sim/totals')).json()).Starts;
    const before = await starts();
    const reply = this.ask({ RegionId: 'cn-crash', ReplicaGroupId: 'pg-crash', ClientToken: 'crash-1' }, 'unknown', { code: 'Bridge.SetAside' });
    for (let crash = 1; crash <= 3; crash++) {
      await waitFor('call ' + crash, async () => (await starts()) >= before + crash);
      await this.machine.stopBridge('SIGKILL');
      this.machine.startBridge();
    }
    await reply;
    await this.waitStatus('degraded by a command set aside', (body) => body.Reasons?.includes('command_set_aside'));
    await this.machine.clearFaults();
  }

  waitEvent(name, token, isWanted = () => true) {
    return waitFor('the event ' + name + ' of ' + token, () => this.find('event', (body) => body.Event === name && body.ClientToken === token && isWanted(body)));
  }

  setGroup(group, change) {
    return this.order('groups', { ...valid, ReplicaGroupId: group, ...change });
  }

  // A start or stop that is watched; the token is the group's name unless the body has another.
  async watch(group, { body = {}, topic = WATCHED, status = 'succeeded', ...options } = {}) {
    const command = { ...valid, ReplicaGroupId: group, ClientToken: group, ...body };
    await this.ask(command, status, { topic, ...options });
    return this.waitEvent('watching', command.ClientToken);
  }

  // The copies under way end half a second later.
  endCopies() {
    return this.order('clock', { AdvanceMs: SYNC_MS - 500 });
  }

  async collectEvents() {
    await this.order('times', { RpoS: 900, SyncMs: SYNC_MS });
    await this.collectCopies();
    await this.collectOfContinuous();
    await this.collectEnds();
    await this.collectProgress();
    await this.collectGaveUp();
  }

  // By the state, where the API shows no recovery point; then by the recovery point.
  async collectCopies() {
    await this.order('describe', { Quirks: ['no_point'] });
    await this.watch('pg-no-point');
    await this.endCopies();
    await this.waitEvent('synchronised', 'pg-no-point', (body) => body.Final && body.Basis === 'status');
    await this.order('describe', { Quirks: [] });
    await this.watch('pg-copy', { properties: { userProperties: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } } });
    await this.watch('pg-continuous', { topic: CONTINUOUS });
    await this.endCopies();
    await this.waitEvent('synchronised', 'pg-copy', (body) => body.Final && body.Basis === 'recover_point');
    await this.waitEvent('status', 'pg-copy');
    await this.waitEvent('synchronised', 'pg-continuous', (body) => !body.Final);
  }

  // A group that replicates falls behind, and cannot be read for a time; at last a stop takes over.
  async collectOfContinuous() {
    await this.setGroup('pg-continuous', { RecoverAgeS: 100000 });
    await this.waitEvent('lagging', 'pg-continuous', (body) => body.RpoExceeded);
    await this.setGroup('pg-continuous', { RecoverAgeS: 0 });
    await this.waitEvent('caught_up', 'pg-continuous');
    await this.machine.fault({ Fault: 'error', Code: 'Forbidden', Count: -1, Match: { Action: 'DescribeDiskReplicaGroups', ReplicaGroupId: 'pg-continuous' } });
    await this.waitEvent('blind', 'pg-continuous');
    await this.waitStatus('degraded by a group that may not be read', (body) => body.Reasons?.includes('watch_denied'));
    await this.machine.clearFaults();
    await this.waitEvent('seen', 'pg-continuous', (body) => body.Blind === false);
    await this.watch('pg-continuous', { topic: STOP, body: { ClientToken: 'stop-1' } });
    await this.waitEvent('superseded', 'pg-continuous');
    await this.waitEvent('done', 'stop-1');
  }

  async collectEnds() {
    await this.watch('pg-slow');
    await this.waitEvent('stalled', 'pg-slow');
    await this.setGroup('pg-slow', { Status: 'stopped' });
    await this.waitEvent('stopped', 'pg-slow');
    await this.setGroup('pg-idle', { Status: 'created', ShownStatus: 'created' });
    await this.watch('pg-idle');
    await this.waitEvent('not_begun', 'pg-idle');
    await this.setGroup('pg-idle', { Status: 'invalid', ShownStatus: '' });
    await this.waitEvent('failed', 'pg-idle', (body) => body.Pairs?.some((pair) => pair.StatusMessage));
    await this.machine.fault({ Fault: 'error_after', Code: 'InternalError', Count: -1, Match: { ReplicaGroupId: 'pg-unsure' } });
    await this.watch('pg-unsure', { status: 'unknown', body: { NotAfter: this.soon(1500) } });
    await this.machine.clearFaults();
    await this.setGroup('pg-unsure', { Status: 'deleted' });
    await this.waitEvent('gone', 'pg-unsure', (body) => body.Outcome === 'unknown');
  }

  async changeSettings(text, replacement) {
    const file = work + '/bridge.conf';
    writeFileSync(file, readFileSync(file, 'utf8').replace(text, replacement));
    await this.ctl('reload');
  }

  async collectProgress() {
    await this.changeSettings('give_up_s = 86400', 'progress_s = 1; give_up_s = 86400');
    await this.watch('pg-progress');
    await this.order('clock', { AdvanceMs: SYNC_MS / 2 });
    await this.waitEvent('progress', 'pg-progress', (body) => body.ProgressPercent >= 50);
    await this.setGroup('pg-progress', { Status: 'deleted' });
    await this.waitEvent('gone', 'pg-progress');
    await this.changeSettings('progress_s = 1; ', '');
  }

  // A shorter time, for the watches that begin from now on.
  async collectGaveUp() {
    await this.changeSettings('give_up_s = 86400', 'give_up_s = 1');
    await this.watch('pg-short');
    await this.waitEvent('gave_up', 'pg-short');
  }

  async collectOffline() {
    await this.machine.stopApi();
    await this.ask({ ...valid, ReplicaGroupId: 'pg-unreachable', NotAfter: this.soon(1500) }, 'failed', { code: 'Bridge.Unreachable' });
    await this.machine.stopBridge('SIGTERM');
    await this.waitStatus('offline at a stop', (body) => body.Reason === 'stopped');
    this.machine.startBridge();
    await this.machine.waitReady(200);
    await this.machine.stopBridge('SIGKILL');
    await this.waitStatus('offline by the Last Will', (body) => body.Reason === 'connection_lost');
  }

  async collect() {
    await this.collectSuccesses();
    await this.collectFailures();
    await this.collectExplained();
    await this.collectResolved();
    await this.collectRefusals();
    await this.collectOverload();
    await this.collectMapped();
    await this.collectDeadLetters();
    await this.collectSetAside();
    await this.collectEvents();
    await this.collectOffline();
  }

  async stop() {
    await this.client?.endAsync(true);
    await this.machine.stop();
  }
}
