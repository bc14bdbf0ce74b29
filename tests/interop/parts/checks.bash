# What is done with each broker. A check notes what the broker does; it is a fault where the bridge breaks a promise.
# shellcheck shell=bash disable=SC2154

commands_topic=ecs-bridge/v1/commands/start
status_topic=ecs-bridge/v1/status/interop
dots_topic=interop.dots/commands

rows=(version status response command duplicate refusal retained dots reconnect restart crash burst away tuned will total)
declare -A titles=(
    [version]="version, MQTT"
    [status]="status topic"
    [response]="reply place of the sender"
    [command]="a command"
    [duplicate]="a duplicate"
    [refusal]="a refusal"
    [retained]="a retained command"
    [dots]="dots in topics"
    [reconnect]="broker restarts, bridge runs"
    [restart]="5 commands queued, broker restarts"
    [crash]="kill -9 with 20 in flight, 10 queued"
    [burst]="burst of $burst_count, bridge runs"
    [away]="burst of $burst_count, bridge is down"
    [tuned]="the same, broker's limit raised"
    [will]="Last Will"
    [total]="effects / tokens that arrived"
)

note() {
    printf '%s\n' "$2" >"$work/row.$1"
    printf '%-38s %s\n' "${titles[$1]}" "$2"
}

fault() {
    faults=$((faults + 1))
    keep=yes
    printf 'FAULT (%s): %s\n' "$broker" "$*"
}

# command_json TOKEN [FIELDS]: the JSON of a command for a group of its own.
command_json() {
    printf '{"RegionId":"cn-beijing","ReplicaGroupId":"pg-%s","ClientToken":"%s"%s}' "$1" "$1" "${2:-}"
}

# Sends commands PREFIX-1 to PREFIX-COUNT; prints how many the broker has acknowledged.
send_many() { # PREFIX COUNT
    local i
    for ((i = 1; i <= $2; i++)); do
        printf '%s\n' "$(command_json "$1-$i")"
    done >"$work/$1.lines"
    publish -t "$commands_topic" -l <"$work/$1.lines"
}

# How many tokens with this prefix had an effect; each has a group of its own, so the state shows them.
effects_of() { # PREFIX
    api state | jq --arg prefix "$1-" '[.Tokens | to_entries[] | select((.key | startswith($prefix)) and .value.Effects > 0)] | length'
}

# --- the bridge's account ---

account() { bridge_status | jq -c '.Counts + {Lost: .SessionsLost}'; }
account_is_quiet() { # LAST_FILE
    local now
    now=$(account) || return 1
    jq -e '.InWork == 0 and .BeingTaken == 0 and .Waiting == 0 and .Outbox == 0' <<<"$now" >/dev/null || return 1
    [ "$now" = "$(cat "$1" 2>/dev/null)" ] && return 0
    printf '%s' "$now" >"$1"
    sleep 1.5 # the same account again after this time: nothing arrives any more
    return 1
}

# Waits until nothing arrives any more and everything that arrived is answered; then the account must be complete.
settle() {
    rm -f "$work/account"
    wait_for 120 account_is_quiet "$work/account" || fault "the bridge does not come to rest: $(account)"
    account | jq -e '.Received + .Resumed == .Succeeded + .Failed + .Unknown + .Refused + .Replayed + .NotTaken + .Filtered' >/dev/null ||
        fault "messages without an outcome: $(account)"
    account | jq -e '.Unknown == 0' >/dev/null || fault "unknown outcomes: $(account)"
}

restart_bridge() {
    stop bridge "${1:-TERM}"
    start_bridge || fault "the bridge is not ready after a restart: see $work/bridge.log"
}

# --- checks, in this order ---

check_status() {
    local line
    line=$( (mqtt mosquitto_sub -q 1 -t "$status_topic" -C 1 -W 5 -F '%r %p') 2>/dev/null || true)
    case "$line" in
        1*'"State":"online"'*) note status "online, retained" ;;
        '') note status "not retained" ;;
        *) note status "retained: $(jq -r .State <<<"${line#* }")" ;;
    esac
}

check_command() {
    publish -t "$commands_topic" -m "$(command_json first)" >/dev/null
    wait_for 15 has_replies first 1 || true
    note command "$(reply first .Status)"
    [ "$(reply first .Status)" = succeeded ] || fault "a command gets no reply, or no success"
}

check_duplicate() {
    publish -t "$commands_topic" -m "$(command_json first)" >/dev/null
    wait_for 15 has_replies first 2 || true
    note duplicate "Replayed $(reply first .Replayed)"
    [ "$(reply first .Replayed)" = true ] || fault "a duplicate is not answered from the record"
    [ "$(api tokens/first | jq .Calls)" = 1 ] || fault "a duplicate was called"
}

check_refusal() {
    publish -t "$commands_topic" -m "$(command_json refused ',"Typo":1')" >/dev/null
    wait_for 15 has_replies refused 1 || true
    note refusal "$(reply refused .Error.Code)"
    [ "$(reply refused .Error.Code)" = Bridge.UnknownParameter ] || fault "a refusal does not arrive"
}

# MQTT 5: Response Topic and Correlation Data. MQTT 3.1.1: ReplyTo and CorrelationId.
check_response() {
    local answer
    if [ "$protocol" = 5 ]; then
        answer=$( (mqtt mosquitto_rr -q 1 -W 10 -t "$commands_topic" -e ecs-bridge/v1/replies/own -D publish correlation-data c-1 \
            -m "$(command_json own)" -F '%D %p') 2>/dev/null || true)
        case "$answer" in
            *c-1*succeeded*) note response "Response Topic, correlation" ;;
            *succeeded*) note response "Response Topic, no correlation" ;;
            *) note response "no reply"; fault "a command with a Response Topic gets no reply" ;;
        esac
        return
    fi
    publish -t "$commands_topic" -m "$(command_json own ',"ReplyTo":"ecs-bridge/v1/replies/mine","CorrelationId":"c-1"')" >/dev/null
    wait_for 15 has_replies own 1 || true
    grep -q '^reply ecs-bridge/v1/replies/mine .*"CorrelationId":"c-1"' "$work/inbox.log" ||
        fault "a command with ReplyTo gets no reply there"
    note response "ReplyTo, CorrelationId"
}

# While the bridge runs, a retained command reaches it as any other with MQTT 3.1.1, which does not tell a subscriber
# that a new message is retained. What the broker has stored is delivered at the next subscription.
check_retained() {
    local live stored
    publish -r -t "$commands_topic" -m "$(command_json kept)" >/dev/null
    wait_for 10 has_replies kept 1 || true
    live=$(reply kept '.Error.Code // .Status')
    restart_bridge
    settle
    stored="not delivered again"
    if has_replies kept 2; then
        stored="then $(reply kept '.Error.Code // (if .Replayed then "replayed" else .Status end)')"
    fi
    publish -r -n -t "$commands_topic" >/dev/null
    note retained "$live, $stored"
    settle
}

# RabbitMQ uses dots as the separator of topic levels, so it delivers another topic than the one that was published.
check_dots() {
    local command reply_at
    publish -t "$commands_topic" -m "$(command_json dots.1)" >/dev/null
    wait_for 10 has_replies dots.1 1 || fault "a token with a dot gets no reply"
    reply_at=$(sed -n 's/^reply \([^ ]*\) .*"ClientToken":"dots\.1".*/\1/p' "$work/inbox.log" | tail -n 1)
    publish -t "$dots_topic" -m "$(command_json dots.2)" >/dev/null
    wait_for 10 has_answer_of_dots || fault "a command of a topic with a dot has neither a reply nor a dead letter"
    command=$(sed -n 's/^reply ecs-bridge\/v1\/dead-letters //p' "$work/inbox.log" | jq -r '.Topic | select(startswith("interop"))')
    if [ -z "$command" ] && [ "$reply_at" = ecs-bridge/v1/replies/dots.1 ]; then
        note dots "kept"
    else
        note dots "changed: ${dots_topic%%/*} to ${command%/*} (a dead letter), reply at ${reply_at#*/*/}"
    fi
}
has_answer_of_dots() { has_replies dots.2 1 || grep -q '^reply ecs-bridge/v1/dead-letters .*"Topic":"interop' "$work/inbox.log"; }

check_reconnect() {
    stop inbox
    broker_stop
    broker_start || fail "$broker does not start again: see $work/broker.log"
    start_inbox
    wait_for 60 is_ready || fault "the bridge does not connect again"
    publish -t "$commands_topic" -m "$(command_json again)" >/dev/null
    if wait_for 20 has_replies again 1; then note reconnect "works again"; else fault "no reply after a restart of the broker"; fi
}

check_restart() {
    local acknowledged arrived told
    settle
    stop bridge
    acknowledged=$(send_many queued 5)
    stop inbox
    broker_stop
    broker_start || fail "$broker does not start again: see $work/broker.log"
    start_inbox
    start_bridge || fault "the bridge is not ready after the broker's restart"
    settle
    arrived=$(effects_of queued)
    told=$(bridge_status | jq 'if .SessionLostAt then "session_lost" else "no session_lost" end' -r)
    if [ "$arrived" = "$acknowledged" ]; then
        note restart "session kept: $arrived of $acknowledged"
    else
        note restart "session gone: $arrived of $acknowledged, $told"
        [ "$told" = session_lost ] || fault "a session is gone, and the bridge does not say so"
    fi
}

# All calls are under way when the bridge is killed. While it is away, more commands wait in its session.
check_crash() {
    local acknowledged arrived i missing=0
    api faults -d '{"Fault":"latency","DelayMs":1500,"Count":20}' >/dev/null
    acknowledged=$(send_many flying 20)
    wait_for 20 has_starts 10 || fault "the commands are not called"
    stop bridge KILL
    acknowledged=$((acknowledged + $(send_many waiting 10)))
    api faults -X DELETE >/dev/null
    start_bridge || fault "the bridge is not ready after kill -9"
    settle
    arrived=$(($(effects_of flying) + $(effects_of waiting)))
    for i in $(seq 20); do has_replies "flying-$i" 1 || missing=$((missing + 1)); done
    for i in $(seq 10); do has_replies "waiting-$i" 1 || missing=$((missing + 1)); done
    note crash "$arrived of $acknowledged, $missing without reply"
    [ "$arrived" = "$acknowledged" ] || fault "commands were lost at kill -9: $arrived of $acknowledged"
    [ "$missing" = 0 ] || fault "replies were lost at kill -9"
}
has_starts() { [ "$(api state | jq '[.Tokens | to_entries[] | select((.key | startswith("flying-")) and .value.Calls > 0)] | length')" -ge "$1" ]; }

# The broker acknowledges each command of a burst to its sender; what arrives depends on its limits. Where the broker
# counts what it drops (broker_dropped), no more may be missing; elsewhere nothing may be missing.
burst() { # ROW PREFIX
    local acknowledged arrived answered told dropped=0 before=0
    told=$(losses_told)
    ! declare -F broker_dropped >/dev/null || before=$(broker_dropped)
    acknowledged=$(send_many "$2" "$burst_count")
    [ -n "${pids[bridge]:-}" ] || start_bridge || fault "the bridge is not ready after the burst"
    settle
    arrived=$(effects_of "$2")
    answered=$(replies_with_prefix "$2")
    ! declare -F broker_dropped >/dev/null || dropped=$(($(broker_dropped) - before))
    # A broker may end the session with all its commands. More than that the bridge cannot know.
    if [ "$(losses_told)" -gt "$told" ]; then
        note "$1" "session gone: $arrived of $acknowledged, session_lost"
        return
    fi
    note "$1" "$arrived of $acknowledged acknowledged, $answered replies"
    [ $((acknowledged - arrived)) -le "$dropped" ] ||
        fault "$((acknowledged - arrived)) acknowledged commands did not arrive; the broker dropped $dropped"
}
# A second loss in a row has a log event of its own.
losses_told() { grep -cE 'event=session_(lost|never_present)' "$work/bridge.log" || true; }
# The client for replies reads behind the bridge.
replies_with_prefix() {
    local last=-1 now=0
    while [ "$now" != "$last" ]; do
        last=$now
        sleep 1 # nothing new in this time: all that the broker delivers has arrived
        now=$(grep -o "\"ClientToken\":\"$1-[0-9]*\"" "$work/inbox.log" | sort -u | wc -l)
    done
    echo "$now"
}

check_burst() { burst burst burst; }
check_away() {
    stop bridge
    burst away away
}
check_tuned() {
    if [ -z "$burst_settings" ]; then
        note tuned "-"
        return
    fi
    stop bridge
    stop inbox
    broker_stop
    broker_configure_for_bursts
    broker_start || fail "$broker does not start with $burst_settings"
    start_inbox
    start_bridge || fault "the bridge is not ready"
    stop bridge
    burst tuned tuned
    [ "$(effects_of tuned)" = "$burst_count" ] || fault "commands are lost although the broker does not drop any"
}

# With MQTT 5 the Will waits 10 s, so that a quick restart is no outage.
check_will() {
    local begin
    start watcher mqtt mosquitto_sub -q 1 -t "$status_topic" -F '%p'
    wait_for 10 grep -q '"State"' "$work/watcher.log" || true
    begin=$SECONDS
    stop bridge KILL
    if wait_for 40 grep -q '"State":"offline"' "$work/watcher.log"; then
        note will "offline after $((SECONDS - begin)) s"
    else
        note will "none"
    fi
    stop watcher
}

check_total() {
    local effects tokens most
    effects=$(api_total Effects)
    most=$(api_total MaxEffectsPerToken)
    tokens=$(api state | jq '[.Tokens[] | select(.Effects > 0)] | length')
    note total "$effects / $tokens"
    if [ "$most" != 1 ] || [ "$effects" != "$tokens" ]; then
        fault "a token had more than one effect"
    fi
}

run_broker() { # NAME
    local row
    work=$base/$1
    mkdir -p "$work"
    port=$(free_port)
    admin_port=$(free_port)
    api_port=''
    start_simulator
    broker_configure
    broker_start || fail "$1 does not start: see $work/broker.log"
    note version "$(broker_version), $([ "$protocol" = 5 ] && echo 5 || echo 3.1.1)"
    write_bridge_settings
    start_inbox
    start_bridge || fail "the bridge does not come up with $1: see $work/bridge.log"
    for row in status command duplicate refusal response retained dots reconnect restart crash burst away tuned will total; do
        "check_$row"
    done
    for row in bridge inbox; do stop $row; done
    broker_stop
    ! declare -F broker_end >/dev/null || broker_end
    unset -f broker_end broker_configure_for_bursts broker_dropped
    stop simulator
}

print_table() { # BROKER...
    local row name
    printf '\n| |'
    printf ' %s |' "$@"
    printf '\n|---|'
    for name in "$@"; do printf -- '---|'; done
    for row in "${rows[@]}"; do
        printf '\n| %s |' "${titles[$row]}"
        for name in "$@"; do printf ' %s |' "$(cat "$base/$name/row.$row" 2>/dev/null || echo '?')"; done
    done
    echo
}
