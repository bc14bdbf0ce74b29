// The contract's files against real messages, against the examples of deploy/messages.md, and against messages that are wrong.
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { Parser } from '@asyncapi/parser';
import { readFileSync, writeFileSync } from 'node:fs';
import { BAD_COMMANDS, Collector, LONG_COMMANDS } from './collect.mjs';

const root = process.env.ROOT;
const KINDS = ['command', 'reply', 'status', 'dead-letter', 'event'];
const CODES_NOT_COLLECTED = ['Bridge.NoCredentials', 'Bridge.ShuttingDown'];
const EVENTS_NOT_COLLECTED = ['progress'];

let failures = 0;
function check(what, isTrue, detail = '') {
  console.log((isTrue ? 'ok    ' : 'FAULT ') + what + (isTrue || detail === '' ? '' : ': ' + detail));
  failures += isTrue ? 0 : 1;
}

// A copy in which no object may have a field that the schema does not name (the published schemas allow it, for later versions),
// and without the marks of AsyncAPI's parser.
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).filter(([name]) => !name.startsWith('x-parser-')).map(([name, value]) => [name, closed(value)]));
  return schema.type === 'object' && schema.properties ? { ...copy, additionalProperties: false } : copy;
}

// The schemas have conditions that name fields of the object around them, which strictRequired does not know.
const ajv = addFormats(new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false }));
const schemas = {};
const validators = {};
for (const kind of KINDS) {
  const schema = JSON.parse(readFileSync(root + '/config/schema/' + kind + '.json', 'utf8'));
  check(kind + '.json is a JSON Schema of 2020-12', ajv.validateSchema(schema) === true, ajv.errorsText());
  schemas[kind] = schema;
  validators[kind] = { open: ajv.compile(schema), closed: ajv.compile(closed(schema)) };
}

function checkValid(what, kind, body, variant = 'closed') {
  const validate = validators[kind][variant];
  check(what, validate(body), ajv.errorsText(validate.errors) + ' in ' + JSON.stringify(body));
}

function checkInvalid(what, kind, body) {
  check(what, !validators[kind].open(body), JSON.stringify(body));
}

async function checkAsyncapi() {
  const source = root + '/config/asyncapi.yaml';
  const text = readFileSync(source, 'utf8');
  const parse = (changed) => new Parser().parse(changed, { source });
  const faults = (result) => result.diagnostics.filter((found) => found.severity === 0).map((found) => found.path.join('.') + ' ' + found.message);
  const result = await parse(text);
  check('asyncapi.yaml is an AsyncAPI document', result.document !== undefined, faults(result).join('; '));
  for (const [what, from, to] of [['with an action that is none', 'action: receive', 'action: fetch'],
    ['with a channel that is missing', '#/channels/deadLetters', '#/channels/nowhere'], ['with a schema that is missing', 'schema/reply.json', 'schema/nothing.json'],
    ['with a parameter that is missing', '{Instance}', '{Nobody}']]) {
    const broken = await parse(text.replace(from, to));
    check('asyncapi.yaml ' + what + ' is refused', text.includes(from) && faults(broken).length > 0);
  }
  return result.document;
}

// Each kind's schema of headers, with no others than it names.
function headerValidators(document) {
  const found = {};
  for (const message of document.messages().all()) {
    const kind = message.name().replace('deadLetter', 'dead-letter');
    found[kind] ??= ajv.compile(closed(message.headers()?.json() ?? { type: 'object', properties: {} }));
  }
  return found;
}

function checkMessages(messages, validateHeaders) {
  const count = {};
  const bad = new Set(BAD_COMMANDS.map(([, body]) => body));
  for (const message of messages) {
    const { kind, body } = message;
    const name = kind + ' ' + (count[kind] = (count[kind] ?? 0) + 1) + ' ' + (body.Status ?? body.State ?? '') + ' ' + (body.Error?.Code ?? '');
    if (bad.has(body)) continue;
    checkValid(name, kind, body);
    check(name + ' has the headers of asyncapi.yaml', validateHeaders[kind](message.headers), ajv.errorsText(validateHeaders[kind].errors) + ' in ' + JSON.stringify(message.headers));
    if (kind !== 'command') {
      check(name + ' is JSON, QoS 1', message.contentType === 'application/json' && message.payloadFormatIndicator === true && message.qos === 1, JSON.stringify(message));
    }
  }
  for (const reply of messages.filter((message) => message.kind === 'reply')) {
    const { headers, body } = reply;
    check('the headers of a reply say what its body says', headers.status === body.Status && headers.code === body.Error?.Code && headers.replayed === String(body.Replayed), JSON.stringify(reply));
  }
  checkEvents(messages.filter((message) => message.kind === 'event'));
}

// Headers and topic; and each watch has its events in order, without gaps, up to a final one. A repeated event has the same body.
function checkEvents(events) {
  const watches = new Map();
  for (const { topic, headers, body } of events) {
    check('the headers of an event say what its body says', headers.event === body.Event && headers.seq === String(body.Seq) && headers.final === String(body.Final), JSON.stringify({ headers, body }));
    check('the topic of an event has its group', topic === 'ecs-bridge/v1/events/' + body.ReplicaGroupId, topic);
    const watch = watches.get(body.ClientToken + body.StartedAt) ?? [];
    watches.set(body.ClientToken + body.StartedAt, watch);
    const known = watch.find((other) => other.Seq === body.Seq);
    if (known === undefined) watch.push(body);
    else check('a repeated event is the same', JSON.stringify(known) === JSON.stringify(body), JSON.stringify(body));
  }
  for (const watch of watches.values()) {
    check('the events of ' + watch[0].ClientToken + ' are complete', watch.every((body, i) => body.Seq === i + 1 && body.Final === (i + 1 === watch.length)), JSON.stringify(watch));
  }
}

// What must have been collected for the run to mean something.
function checkCoverage(messages) {
  const bodies = (kind) => messages.filter((message) => message.kind === kind).map((message) => message.body);
  const values = (kind, valueOf) => new Set(bodies(kind).map(valueOf));
  const need = (what, wanted, found) => check(what + ' were collected', wanted.every((one) => found.has(one)), wanted.filter((one) => !found.has(one)).join(', '));
  need('replies of each Status', schemas.reply.properties.Status.enum, values('reply', (body) => body.Status));
  need('statuses of each State', schemas.status.properties.State.enum, values('status', (body) => body.State));
  need('both Reasons of offline', schemas.status.properties.Reason.enum, values('status', (body) => body.Reason));
  const codes = new Set([...values('reply', (body) => body.Error?.Code), ...values('dead-letter', (body) => body.Error.Code)]);
  const own = schemas.reply.properties.Error.then.anyOf.flatMap((one) => one.properties.Code.enum);
  need('errors of the bridge', own.filter((code) => !CODES_NOT_COLLECTED.includes(code)), codes);
  const { properties } = schemas.event;
  need('events of each name', properties.Event.enum.filter((name) => !EVENTS_NOT_COLLECTED.includes(name)), values('event', (body) => body.Event));
  need('events of both outcomes', properties.Outcome.enum, values('event', (body) => body.Outcome));
  need('both values of Basis', properties.Basis.enum, values('event', (body) => body.Basis));
  need('replies with and without a state', ['undecided', 'replicating'], values('reply', (body) => body.Observed?.Conclusion));
  need('replayed replies', [true], values('reply', (body) => body.Replayed));
  for (const kind of KINDS) {
    const names = new Set(bodies(kind).flatMap((body) => [...Object.keys(body), ...Object.keys(body.Error ?? {}), ...Object.keys(body.Observed ?? {}), ...Object.keys(body.Counts ?? {})]));
    const wanted = fieldsOf(schemas[kind]).map((name) => name.split('.').pop()).filter((name) => !NEVER_SENT[kind]?.includes(name));
    need('all fields of ' + kind, wanted, names);
  }
}

// SessionLostAt takes a broker that loses a session; dead letters are never about the API; the bridge does not ask for the progress of a group.
const NEVER_SENT = { status: ['SessionLostAt'], 'dead-letter': ['HttpStatus', 'RetryAfterMs', 'GroupStatus', 'ObservedAt'], event: ['ProgressPercent'] };

// "RegionId", "Error.Code" and so on.
function fieldsOf(schema, before = '') {
  return Object.entries(schema.properties).flatMap(([name, property]) => [before + name, ...(property.properties ? fieldsOf(property, before + name + '.') : [])]);
}

// A wrong value for each field, a missing one for each that is needed, and the conditions between fields.
function checkBroken(messages) {
  for (const kind of KINDS) {
    for (const { body } of messages.filter((message, i) => message.kind === kind && messages.findIndex((other) => other.kind === kind && sameForm(other.body, message.body)) === i)) {
      if (!validators[kind].open(body)) continue; // a command that was meant to be refused
      for (const name of Object.keys(body)) {
        checkInvalid(kind + ' with an array as ' + name, kind, { ...body, [name]: [[]] });
        checkInvalid(kind + ' with null as ' + name, kind, { ...body, [name]: null });
      }
      for (const name of schemas[kind].required) {
        const { [name]: left, ...rest } = body;
        checkInvalid(kind + ' without ' + name, kind, rest);
      }
    }
  }
  const reply = (status) => messages.find((message) => message.kind === 'reply' && message.body.Status === status).body;
  const without = ({ ...body }, name) => { delete body[name]; return body; };
  const { Error } = reply('failed');
  checkInvalid('succeeded with an error', 'reply', { ...reply('succeeded'), Error });
  checkInvalid('succeeded without a RequestId', 'reply', without(reply('succeeded'), 'RequestId'));
  checkInvalid('failed without an error', 'reply', without(reply('failed'), 'Error'));
  checkInvalid('unknown that is not retryable', 'reply', { ...reply('unknown'), Error: { ...reply('unknown').Error, Retryable: false } });
  const { Observed } = messages.find((message) => message.kind === 'reply' && message.body.Observed?.GroupStatus).body;
  checkInvalid('failed with what was observed', 'reply', { ...reply('failed'), Observed });
  checkInvalid('a state without its time', 'reply', { ...reply('unknown'), Observed: without(Observed, 'ObservedAt') });
  checkInvalid('a recovery point without a state', 'reply', { ...reply('unknown'), Observed: without(Observed, 'GroupStatus') });
  checkInvalid('an observation without a conclusion', 'reply', { ...reply('unknown'), Observed: without(Observed, 'Conclusion') });
  checkInvalid('accepted with an outcome', 'reply', { ...reply('accepted'), CompletedAt: reply('failed').CompletedAt });
  checkInvalid('a code that the bridge does not have', 'reply', { ...reply('failed'), Error: { ...Error, Source: 'bridge', Code: 'Bridge.Nothing' } });
  checkInvalid('a code of the bridge with a wrong category', 'reply', { ...reply('failed'), Error: { ...Error, Source: 'bridge', Code: 'Bridge.Expired', Category: 'denied' } });
  const letter = messages.find((message) => message.kind === 'dead-letter').body;
  checkInvalid('a dead letter by the API', 'dead-letter', { ...letter, Error: { ...letter.Error, Source: 'ecs' } });
  const status = (state) => messages.find((message) => message.kind === 'status' && message.body.State === state).body;
  checkInvalid('degraded without reasons', 'status', without(status('degraded'), 'Reasons'));
  checkInvalid('degraded by nothing', 'status', { ...status('degraded'), Reasons: [] });
  checkInvalid('an unknown reason', 'status', { ...status('degraded'), Reasons: ['tired'] });
  checkInvalid('online with reasons', 'status', { ...status('online'), Reasons: ['outbox_full'] });
  checkInvalid('online without counts', 'status', without(status('online'), 'Counts'));
  const event = (name) => messages.find((message) => message.kind === 'event' && message.body.Event === name).body;
  checkInvalid('a failed group without an error', 'event', without(event('failed'), 'Error'));
  checkInvalid('a failed group that is watched further', 'event', { ...event('failed'), Final: false });
  checkInvalid('a first event that is the last', 'event', { ...event('watching'), Final: true });
  checkInvalid('a stop with an error', 'event', { ...event('stopped'), Error: event('failed').Error });
  checkInvalid('synchronised without a basis', 'event', without(event('synchronised'), 'Basis'));
  checkInvalid('lagging with a basis', 'event', { ...event('lagging'), Basis: 'status' });
  checkInvalid('a new state without the one before', 'event', without(event('status'), 'PreviousStatus'));
  checkInvalid('blind that sees', 'event', { ...event('blind'), Blind: false });
  checkInvalid('seen that is blind', 'event', { ...event('seen'), Blind: true });
  checkInvalid('a recovery point without its age', 'event', without(event('lagging'), 'LagS'));
  checkInvalid('an event that does not exist', 'event', { ...event('gone'), Event: 'lost' });
  checkInvalid('Seq 0', 'event', { ...event('watching'), Seq: 0 });
  checkInvalid('an error of the API as that of a group', 'event', { ...event('failed'), Error: { ...event('failed').Error, Source: 'ecs' } });
  checkInvalid('offline without a reason', 'status', without(status('offline'), 'Reason'));
}

function sameForm(a, b) {
  return Object.keys(a).join() === Object.keys(b).join() && a.Status === b.Status && a.State === b.State && a.Event === b.Event;
}

// The examples of the page, by the sections they are in, and the fields of its tables.
function checkPage() {
  const page = readFileSync(root + '/deploy/messages.md', 'utf8');
  for (const kind of KINDS) {
    const title = '\n## ' + { command: 'Command', reply: 'Reply', status: 'Status', 'dead-letter': 'Dead letter', event: 'Event' }[kind] + '\n';
    const section = page.split(title)[1]?.split('\n## ')[0] ?? '';
    const examples = [...section.matchAll(/```json\n(.*?)```/gs)].map((match) => match[1]);
    check('messages.md has examples of ' + kind, examples.length > 0);
    for (const [i, example] of examples.entries()) checkValid('messages.md: example ' + (i + 1) + ' of ' + kind, kind, JSON.parse(example));
    const described = [...section.matchAll(/^\| `([A-Za-z.]+)` \|/gm)].map((match) => match[1]);
    const wanted = fieldsOf(schemas[kind]).filter((name) => kind !== 'dead-letter' || !name.startsWith('Error.'));
    check('messages.md describes each field of ' + kind, wanted.every((name) => described.includes(name)), wanted.filter((name) => !described.includes(name)).join(', '));
    check('messages.md describes no other field of ' + kind, described.every((name) => wanted.includes(name)), described.filter((name) => !wanted.includes(name)).join(', '));
  }
}

const document = await checkAsyncapi();
for (const [what, body, code] of BAD_COMMANDS) checkInvalid('a command with ' + what + ' (' + code + ')', 'command', body);
for (const body of LONG_COMMANDS) checkValid('a command with the longest values', 'command', body);
checkPage();
const collector = new Collector();
try {
  await collector.start();
  await collector.collect();
} catch (error) {
  check('all messages were collected', false, error.stack);
  console.log(readFileSync(process.env.WORK + '/bridge.log', 'utf8').split('\n').slice(-30).join('\n'));
} finally {
  await collector.stop();
}
writeFileSync(process.env.MESSAGES, JSON.stringify(collector.messages, null, 1));
if (failures === 0) {
  checkMessages(collector.messages, headerValidators(document));
  checkCoverage(collector.messages);
  checkBroken(collector.messages);
}
console.log(failures === 0 ? 'schema: all checks hold' : 'schema: ' + failures + ' faults');
process.exit(failures === 0 ? 0 : 1);
