// The processes of the run: broker, simulator, bridge. Each is ended by its process id.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { openSync, existsSync, readFileSync, writeFileSync } from 'node:fs';

const work = process.env.WORK;
export const WAIT_MS = 30000;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function waitFor(what, condition) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch {
      // not yet
    }
    if (Date.now() > end) throw new Error('this did not happen: ' + what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function start(name, program, args, env = {}) {
  const log = openSync(work + '/' + name + '.log', 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
  child.ended = new Promise((resolve) => child.on('exit', resolve));
  return child;
}

async function end(child, signal) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await child.ended;
}

export const START_ROUTE = '{ name = "start"; action = "StartDiskReplicaGroup"; regions = ("*"); groups = ("*"); topics = ("ecs-bridge/v1/commands/start"); }';

export class Machine {
  // Parts of the settings of the bridge, and further lines of the broker's.
  constructor({ routes = [START_ROUTE], limits = 'deadline_s = 120;', more = '', broker = '' } = {}) {
    this.settings = { routes, limits, more, broker };
  }

  async start() {
    this.brokerPort = await freePort();
    this.adminPort = await freePort();
    this.page = 'http://127.0.0.1:' + this.adminPort;
    this.startBroker();
    this.simulator = start('simulator', process.env.SIMULATOR, ['--listen', '127.0.0.1:0', '--port-file', work + '/api.port',
      '--access-key', 'browser-id:browser-secret', '--auto-create', '--sync-ms', '0', '--rpo', '0.1']);
    await waitFor('the simulator listens', () => existsSync(work + '/api.port') && readFileSync(work + '/api.port', 'utf8') !== '');
    this.api = 'http://127.0.0.1:' + readFileSync(work + '/api.port', 'utf8').trim();
    writeFileSync(work + '/bridge.conf', [
      'instance = "bridge-1";',
      'broker: { uris = ("mqtt://127.0.0.1:' + this.brokerPort + '"); reconnect_max_s = 1; };',
      'api: { endpoint = "' + this.api + '"; rate_per_s = 500.0; rate_burst = 500; };',
      'ledger: { store = "sqlite:' + work + '/ledger.db"; };',
      'limits: { ' + this.settings.limits + ' };',
      this.settings.more,
      'admin: { listen = "127.0.0.1:' + this.adminPort + '"; };',
      'routes = ( ' + this.settings.routes.join(', ') + ' );',
    ].join('\n'));
    this.startBridge();
    await this.waitReady(200);
  }

  startBroker() {
    writeFileSync(work + '/broker.conf', 'listener ' + this.brokerPort + ' 127.0.0.1\nallow_anonymous true\n' +
      'persistence true\npersistence_location ' + work + '/\n' + (process.getuid() === 0 ? 'user root\n' : '') +
      this.settings.broker);
    this.broker = start('broker', 'mosquitto', ['-c', work + '/broker.conf']);
  }

  startBridge() {
    this.bridge = start('bridge', process.env.BRIDGE, ['run', '--config', work + '/bridge.conf'],
      { ALIBABA_CLOUD_ACCESS_KEY_ID: 'browser-id', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'browser-secret' });
  }

  stopBroker() { return end(this.broker, 'SIGTERM'); }
  stopBridge(signal = 'SIGTERM') { return end(this.bridge, signal); }
  stopApi() { return end(this.simulator, 'SIGTERM'); }

  waitReady(status) {
    return waitFor('/readyz answers ' + status, async () => (await fetch(this.page + '/readyz')).status === status);
  }

  async fault(fault) {
    const answer = await fetch(this.api + '/_sim/faults', { method: 'POST', body: JSON.stringify(fault) });
    if (!answer.ok) throw new Error('the simulator does not take the fault: ' + (await answer.text()));
  }

  async order(path, body) {
    const answer = await fetch(this.api + '/_sim/' + path, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error('the simulator does not take the order: ' + (await answer.text()));
  }

  clearFaults() { return fetch(this.api + '/_sim/faults', { method: 'DELETE' }); }

  // A publisher for commands, one connection for all.
  startSender() {
    this.sender = spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(this.brokerPort), '-q', '1', '-l',
      '-t', 'ecs-bridge/v1/commands/start'], { stdio: ['pipe', 'ignore', 'ignore'] });
    this.sender.ended = new Promise((resolve) => this.sender.on('exit', resolve));
    this.sender.stdin.on('error', () => {}); // the broker is stopped in between
  }

  send(command) {
    this.sender.stdin.write(JSON.stringify({ RegionId: 'cn-beijing', ...command }) + '\n');
  }

  // One command to a topic of its own.
  sendTo(topic, command) {
    spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(this.brokerPort), '-q', '1', '-t', topic,
      '-m', JSON.stringify({ RegionId: 'cn-beijing', ...command })], { stdio: 'ignore' });
  }

  async stop() {
    await end(this.sender, 'SIGKILL');
    await end(this.bridge, 'SIGKILL');
    await end(this.broker, 'SIGKILL');
    await end(this.simulator, 'SIGKILL');
  }
}
