// What a team writes in an afternoon with mqtt.js and the vendor's SDK, and what the bridge is compared with: it subscribes to
// the commands, calls StartDiskReplicaGroup for each, at most 64 at once as the bridge does, and publishes the reply. mqtt.js
// acknowledges a message as soon as it has handed it over, so a crash loses what is in memory; nothing is stored, nothing is
// repeated, no order is kept.
//
// node peer.js BROKER_PORT API_PORT COMMAND_TOPIC STATUS_TOPIC plain|nodelay
//
// plain    the sockets as Node.js makes them: Nagle's algorithm holds a reply back until the broker has acknowledged the one
//          before, which it delays by 40 ms
// nodelay  with TCP_NODELAY, which one line in the script sets
//
// Publishes {"State":"online"} (retained) on the status topic when it is subscribed. Ends on SIGTERM.
'use strict';

const mqtt = require('mqtt');
const { default: OpenApi, $OpenApiUtil: { Config, OpenApiRequest, Params } } = require('@alicloud/openapi-core');
const { RuntimeOptions } = require('@darabonba/typescript');

const CALLS_MAX = 64;
const [brokerPort, apiPort, commandTopic, statusTopic, sending] = process.argv.slice(2);

const api = new OpenApi(new Config({
    accessKeyId: 'benchAccessKeyId',
    accessKeySecret: 'benchAccessKeySecret',
    endpoint: `127.0.0.1:${apiPort}`,
    protocol: 'HTTP',
}));
const operation = new Params({
    action: 'StartDiskReplicaGroup',
    version: '2021-07-30',
    protocol: 'HTTP',
    pathname: '/',
    method: 'POST',
    authType: 'AK',
    style: 'RPC',
    reqBodyType: 'formData',
    bodyType: 'json',
});
const runtime = new RuntimeOptions({ autoretry: false });

const broker = mqtt.connect(`mqtt://127.0.0.1:${brokerPort}`, {
    protocolVersion: 5,
    clientId: `bench-peer-${process.pid}`,
    clean: true,
    reconnectPeriod: 0,
});

async function start(command) {
    const query = {
        RegionId: command.RegionId,
        ReplicaGroupId: command.ReplicaGroupId,
        OneShot: String(command.OneShot),
        ClientToken: command.ClientToken,
    };
    try {
        const answer = await api.callApi(operation, new OpenApiRequest({ query }), runtime);
        return { Status: 'succeeded', RequestId: answer.body.RequestId };
    } catch (error) {
        return { Status: 'failed', Error: { Code: error.code, Message: error.message } };
    }
}

const waiting = [];
let calls = 0;

async function work() {
    calls++;
    while (waiting.length > 0) {
        const { payload, properties } = waiting.shift();
        const command = JSON.parse(payload);
        const receivedAt = new Date().toISOString();
        const outcome = await start(command);
        const reply = { ...outcome, ...command, ReceivedAt: receivedAt, CompletedAt: new Date().toISOString() };
        broker.publish(properties.responseTopic, JSON.stringify(reply), {
            qos: 1,
            properties: { correlationData: properties.correlationData, contentType: 'application/json' },
        });
    }
    calls--;
}

broker.on('message', (topic, payload, packet) => {
    waiting.push({ payload, properties: packet.properties });
    if (calls < CALLS_MAX) {
        work();
    }
});
broker.on('connect', async () => {
    broker.stream.setNoDelay(sending === 'nodelay');
    await broker.subscribeAsync(commandTopic, { qos: 1 });
    await broker.publishAsync(statusTopic, '{"State":"online"}', { qos: 1, retain: true });
});
for (const event of ['error', 'close']) {
    broker.on(event, (error) => {
        console.error(`peer: connection to the broker: ${error ? error.message : event}`);
        process.exit(1);
    });
}
process.on('SIGTERM', () => process.exit(0));
