// What the page calls things, and how it writes numbers. A pair begins with the tone: good, warn, bad or none.
export const number = new Intl.NumberFormat('en');
export const fewDigits = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
export const plural = (count, one, many) => number.format(count) + ' ' + (count === 1 ? one : many);

export const STATES = {
  online: ['good', 'Online', 'The bridge is subscribed, can publish, and answers commands.'],
  degraded: ['warn', 'Degraded', 'The bridge works, but something is wrong.'],
  blocked: ['bad', 'Degraded', 'No command can be accepted or answered until the cause is gone.'],
  offline: ['bad', 'Stopping', 'The bridge is about to end. Commands stay with the broker.'],
  hanging: ['bad', 'Hanging', 'The event loop has not run for 10 seconds. Restart the bridge; nothing that was acknowledged is lost.'],
  silent: ['bad', 'No answer', 'The bridge does not answer. Check whether it runs: systemctl status ecs-mqtt-bridge. What is shown below is its last answer.'],
  unreached: ['bad', 'No answer', 'The bridge does not answer. Check whether it runs: systemctl status ecs-mqtt-bridge.'],
};
export const OUTCOMES = {
  succeeded: ['good', 'Succeeded'],
  failed: ['bad', 'Failed'],
  unknown: ['warn', 'Unknown'],
};
export const COMMAND_STATES = {
  ready: 'Not called yet, or no attempt had an effect',
  calling: 'The API is being called',
  unsure: 'An attempt may have had an effect; it is repeated with the same token',
  recalling: 'The API is being called again with the same token',
};
export const SESSION_STATES = {
  subscribed: ['good', 'Subscribed'],
  not_subscribed: ['bad', 'Not subscribed'],
  draining: ['none', 'Former session: what it holds is taken'],
  ending: ['none', 'Former session: the broker is asked to end it'],
};
export const EVENTS = {
  'arrived claimed': ['none', 'Arrived and was recorded'],
  'arrived claimed_again': ['none', 'Arrived again: the same token goes to the API again'],
  'arrived waits': ['none', 'A duplicate arrived; it waits for the outcome'],
  'arrived replayed': ['none', 'A duplicate arrived; it got the recorded outcome'],
  'arrived mismatch': ['warn', 'A command with this token and other parameters arrived; it was refused'],
  'arrived refused': ['warn', 'A duplicate arrived; it was refused'],
  'attempt_started': ['none', 'The call began'],
  'attempt_ended succeeded': ['good', 'The API accepted it'],
  'attempt_ended failed': ['bad', 'The attempt had no effect'],
  'attempt_ended no_answer': ['warn', 'No definite answer: the attempt may have had an effect'],
  'attempt_ended not_made': ['none', 'The attempt was not made'],
  'outcome succeeded': ['good', 'Outcome: succeeded'],
  'outcome failed': ['bad', 'Outcome: failed'],
  'outcome unknown': ['warn', 'Outcome: unknown'],
  'reply_acknowledged': ['good', 'The broker acknowledged the reply'],
  'reply_undelivered': ['bad', 'The reply could not be delivered'],
  'interrupted crash': ['bad', 'The bridge crashed or was killed during the call'],
  'interrupted stop': ['warn', 'The bridge stopped during the call'],
  'ordered retry': ['none', 'An operator had it called again (ctl retry)'],
  'ordered resolve': ['none', 'An operator decided the outcome (ctl resolve)'],
  'left_out': ['none', 'Events that are not kept'],
};
// Of a watched group, as the API names it in Status.
export const GROUP_STATES = {
  created: 'Created, not started',
  initial_syncing: 'First full copy under way',
  manual_syncing: 'One-time copy under way',
  syncing: 'Replicating, copies changes',
  normal: 'Replicating',
  stopping: 'Stopping',
  stop_failed: 'Stopping has failed',
  stopped: 'Stopped',
  failovering: 'Failover under way',
  failover_failed: 'Failover has failed',
  failovered: 'Failed over',
  reprotecting: 'Reversing the direction',
  reprotect_failed: 'Reversing the direction has failed',
  invalid: 'A pair of the group is faulty',
  creating: 'Being created',
  create_failed: 'Creating has failed',
  deleting: 'Being deleted',
  delete_failed: 'Deleting has failed',
  deleted: 'Deleted',
};
export const CLASS_TONES = { good: 'good', failed: 'bad' };
export const GOALS = {
  synchronised: 'Watched until its data is copied',
  stopped: 'Watched until it is stopped',
  failovered: 'Watched until it has failed over',
};
export const TROUBLES = [
  ['Blind', 'Its state cannot be read.'],
  ['Lagging', 'Its recovery point is too old.'],
  ['Stalled', 'Nothing has changed for a long time.'],
  ['NotBegun', 'No sign of replication so far.'],
];
export const WATCH_EVENTS = {
  watching: 'Watched from then on',
  seen: 'Can be read again',
  status: 'The state changed',
  synchronised: 'Data copied after the start',
  not_begun: 'No sign of replication',
  lagging: 'Recovery point too old',
  caught_up: 'Recovery point recent again',
  stalled: 'No change for a long time',
  progress: 'The copy progressed',
  blind: 'Cannot be read',
};
export const COUNTS = [
  ['Received', 'Arrived'], ['Resumed', 'Resumed'],
  ['Succeeded', 'Succeeded'], ['Failed', 'Failed'],
  ['Unknown', 'Unknown'], ['Refused', 'Refused'],
  ['Replayed', 'Replayed'], ['Waiting', 'Waiting'],
  ['InWork', 'In work'], ['NotTaken', 'Left at the broker'],
  ['Filtered', 'Filtered'],
];

export function duration(ms) {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 0) ms = 0;
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 10000) return fewDigits.format(ms / 1000) + ' s';
  const s = Math.floor(ms / 1000);
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([size]) => s >= size);
  const [size, unit] = parts[first];
  const rest = first < 2 ? Math.floor((s % size) / parts[first + 1][0]) : 0;
  return Math.floor(s / size) + ' ' + unit + (rest > 0 ? ' ' + rest + ' ' + parts[first + 1][1] : '');
}

// An age for a column: whole seconds, so that it does not change its form while it is read.
export function age(ms) {
  return duration(Math.max(0, Math.floor(ms / 1000)) * 1000).replace('0 ms', '0 s');
}

export function bytes(count) {
  if (count < 1000) return number.format(count) + ' B';
  return count < 1e6 ? fewDigits.format(count / 1e3) + ' kB' : fewDigits.format(count / 1e6) + ' MB';
}
