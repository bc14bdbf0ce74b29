# Processes, ports and files of the run. All processes are ended by their process id.
# shellcheck shell=bash disable=SC2154

declare -A pids=()

fail() {
    echo "$(basename "$here"): $*" >&2
    keep=yes
    exit 69
}

clean_up() {
    local name
    trap - EXIT INT TERM
    # In its own way first: the process that was started need not be the broker itself.
    [ -z "${pids[broker]:-}" ] || broker_stop >/dev/null 2>&1 || true
    for name in "${!pids[@]}"; do
        kill -KILL "${pids[$name]}" 2>/dev/null || true
    done
    if [ "$keep" = yes ]; then
        echo "kept: $base" >&2
    else
        rm -rf "$base"
    fi
}

# install_packages PACKAGE...: installs the missing Debian packages. No service is started: each broker here is a process of
# the run, with its own directory, and a system that uses one of them for something else is not disturbed.
install_packages() {
    local missing=() package policy=/usr/sbin/policy-rc.d made=no
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "these packages are missing; install them as root: ${missing[*]}"
    echo "Installing: ${missing[*]}"
    if [ ! -e $policy ]; then
        made=yes
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$base/apt.log" 2>&1 ||
        { [ $made = no ] || rm -f $policy; fail "cannot install ${missing[*]}: see $base/apt.log"; }
    [ $made = no ] || rm -f $policy
}

# wait_for SECONDS COMMAND...: waits until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the range of ephemeral ports.
free_port() {
    local candidate
    for _ in 1 2 3 4 5 6 7 8 9; do
        candidate=$((20000 + RANDOM % 12000))
        if port_is_free "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# start NAME COMMAND...: starts a process with the log $work/NAME.log.
start() {
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 &
    pids[$name]=$!
    disown $! # so that the shell prints nothing about a process that is killed
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# stop NAME [SIGNAL [PID]]: ends a process and waits for it. PID is the one to signal where it is not the one that was started.
stop() {
    local name=$1 pid=${pids[$1]:-}
    [ -n "$pid" ] || return 0
    kill "-${2:-TERM}" "${3:-$pid}" 2>/dev/null || true
    if ! wait_for 30 is_gone "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
        fault "$name does not end"
    fi
    unset "pids[$name]"
}

api() { curl -sf --max-time 10 "http://127.0.0.1:$api_port/_sim/$1" "${@:2}"; }
api_total() { api totals | jq ".$1"; }
bridge_status() { curl -sf --max-time 10 "http://127.0.0.1:$admin_port/status"; }

start_simulator() {
    start simulator "$simulator" --listen 127.0.0.1:0 --port-file "$work/api.port" --access-key interop-id:interop-secret \
        --auto-create --fast
    wait_for 10 test -s "$work/api.port" || fail "the simulator does not start: see $work/simulator.log"
    api_port=$(cat "$work/api.port")
}

write_bridge_settings() {
    cat >"$work/bridge.conf" <<END
instance = "interop";
broker: { uris = ("mqtt://127.0.0.1:$port"); protocol = $protocol; reconnect_max_s = 2;${bridge_login:-} };
api: { endpoint = "http://127.0.0.1:$api_port"; rate_per_s = 5000.0; rate_burst = 5000; };
ledger: { store = "sqlite:$work/ledger.db"; };
admin: { listen = "127.0.0.1:$admin_port"; };
log: { level = "debug"; };
routes = ( { name = "start"; action = "StartDiskReplicaGroup"; regions = ("cn-beijing"); groups = ("*");
             topics = ("ecs-bridge/v1/commands/start", "$dots_topic"); } );
END
}

is_ready() { curl -sf --max-time 5 "http://127.0.0.1:$admin_port/readyz"; }

start_bridge() {
    start bridge env ALIBABA_CLOUD_ACCESS_KEY_ID=interop-id ALIBABA_CLOUD_ACCESS_KEY_SECRET=interop-secret \
        "$bridge" run --config "$work/bridge.conf"
    wait_for 30 is_ready
}

# mqtt PROGRAM ARGUMENTS...: a client of mosquitto-clients with the protocol and the login of the broker. It becomes the
# process it is called in, so that a process started with start() can be ended.
mqtt() {
    local program=$1
    shift
    exec stdbuf -oL "$program" -h 127.0.0.1 -p "$port" -V "$([ "$protocol" = 5 ] && echo 5 || echo 311)" "${client_login[@]}" "$@"
}

# publish ARGUMENTS...: publishes at QoS 1; prints the number of messages that the broker has acknowledged.
publish() {
    (mqtt mosquitto_pub -q 1 -d "$@") 2>&1 | grep -cE 'received PUBACK \(Mid: [0-9]+, RC:(0|16)\)' || true
}

# Starts the client that takes all replies. Its session lasts, so it gets what comes while it is not connected.
start_inbox() {
    : >>"$work/inbox.log"
    local count
    count=$(grep -c '^Subscribed' "$work/inbox.log" || true)
    start inbox mqtt mosquitto_sub -d -i interop-inbox -c -q 1 -t 'ecs-bridge/v1/replies/#' -t ecs-bridge/v1/dead-letters \
        -F 'reply %t %p'
    wait_for 10 inbox_has_subscribed "$count" || fail "the client for replies does not connect: see $work/inbox.log"
}
inbox_has_subscribed() { [ "$(grep -c '^Subscribed' "$work/inbox.log")" -gt "$1" ]; }

# The replies to a token, one JSON object a line.
replies() { sed -n 's/^reply [^ ]* //p' "$work/inbox.log" | grep -F "\"ClientToken\":\"$1\"" || true; }
count_replies() { replies "$1" | wc -l; }
has_replies() { [ "$(count_replies "$1")" -ge "$2" ]; }
# reply TOKEN FILTER: a value of the last reply, "none" without one.
reply() {
    local last
    last=$(replies "$1" | tail -n 1)
    if [ -n "$last" ]; then jq -r "$2" <<<"$last"; else echo none; fi
}
