# What the benchmark starts and stops: tools, broker, API, bridge, peer. Sourced by run and profile.
# They set: build, tools, bridge, place, more_settings.

die() {
    echo "bench: $*" >&2
    exit 1
}

broker_pid="" responder_pid="" bridge_pid="" tail_pid="" tool_pid="" perf_pid=""
declare -A peer_pids=() # by variant: plain, nodelay
more_pids=()

# SIGTERM, and SIGKILL for what does not end within 20 seconds. Returns the exit code of the process.
stop() {
    local pid=$1 code=0
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    timeout 20 tail -s 0.05 --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || code=$?
    return "$code"
}

cleanup() {
    local code=$?
    trap - EXIT INT TERM
    for pid in "$tool_pid" "$perf_pid" "$tail_pid" "$bridge_pid" "${more_pids[@]}" "${peer_pids[@]}" "$responder_pid" "$broker_pid"; do
        stop "$pid" || true
    done
    rm -rf "$work"
    exit "$code"
}

# A directory for everything, and the end of all processes together with this script.
begin_work() {
    work=$(mktemp -d "$place/ecs-bench.XXXXXX")
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Run a tool so that a signal to this script is not held up by it; sets $result to its output.
tool() {
    local code=0
    "$tools/$1" "${@:2}" >"$work/out" &
    tool_pid=$!
    wait "$tool_pid" || code=$?
    tool_pid=""
    result=$(<"$work/out")
    return "$code"
}

# A number from a flat JSON line.
field() {
    local value
    value=$(sed -n "s/.*\"$1\":\([-0-9.]*\).*/\1/p" <<<"$2")
    [ -n "$value" ] || die "no $1 in: $2"
    echo "$value"
}

calc() { # FORMAT EXPRESSION
    awk "BEGIN { printf \"$1\", ($2) }"
}

median() { # NUMBERS...
    printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# An authority, and a certificate of the broker for 127.0.0.1; both end with the run.
make_certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=bench authority" \
        -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" -keyout "$work/broker.key" -out "$work/broker.csr" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\n' >"$work/broker.ext"
    openssl x509 -req -in "$work/broker.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
        -extfile "$work/broker.ext" -out "$work/broker.pem" 2>/dev/null
    chmod 644 "$work/broker.key"
}

# max_queued_messages: the broker drops silently what a subscriber does not take while that many wait for it (1,000 by default).
# A run with 1,000 outstanding can be just there, when the bridge or the sender is slow for a moment, and a lost command would
# end it. All other limits are the broker's defaults.
start_broker() {
    local attempt
    for attempt in 1 2 3 4 5; do
        broker_port=$("$tools/bench_probe" port) broker_tls_port=$("$tools/bench_probe" port)
        cat >"$work/mosquitto.conf" <<END
user $(id -un)
listener $broker_port 127.0.0.1
listener $broker_tls_port 127.0.0.1
certfile $work/broker.pem
keyfile $work/broker.key
allow_anonymous true
set_tcp_nodelay true
persistence false
max_queued_messages 10000
connection_messages false
log_dest stderr
log_type information
log_type warning
log_type error
END
        : >"$work/broker.log" # before tail looks for it
        mosquitto -c "$work/mosquitto.conf" 2>>"$work/broker.log" &
        broker_pid=$!
        exec {log}< <(exec tail -s 0.05 -n +1 -f --pid="$broker_pid" "$work/broker.log")
        tail_pid=$!
        if grep -qm1 running <&"$log"; then
            stop "$tail_pid" || true
            exec {log}<&-
            tail_pid=""
            return
        fi
        exec {log}<&-
        stop "$broker_pid" || true
    done
    cat "$work/broker.log" >&2
    die "mosquitto does not start (tried $attempt times)"
}

start_responder() { # [OPTIONS of bench_responder]
    rm -f "$work/port"
    mkfifo "$work/port"
    "$tools/bench_responder" --listen 127.0.0.1:0 --port-file "$work/port" "$@" >"$work/responder.out" &
    responder_pid=$!
    exec {port}<>"$work/port"
    read -r -t 30 responder_port <&"$port" || die "bench_responder does not start"
    exec {port}<&-
}

bridge_failed() {
    echo "bench: $1; the last lines of its log:" >&2
    tail -n 20 "$home/bridge.log" >&2
    exit 1
}

# Waits for the retained "online" on TOPIC; returns 1 if PID ends first or none comes.
wait_online() { # PID TOPIC
    local waiter ended="" code=0
    "$tools/bench_load" wait-online --port "$broker_port" --status-topic "$2" 2>"$work/waiter.log" &
    waiter=$! tool_pid=$!
    wait -n -p ended "$1" "$waiter" || code=$?
    if [ "$ended" = "$1" ]; then
        stop "$waiter" || true
        tool_pid=""
        return 1
    fi
    tool_pid=""
    [ "$code" -eq 0 ]
}

starts=0 row_routes="" row_settings="" ledger_store="sqlite:ledger.db" # more of one row

# A fresh instance name each time, so that the retained status of an earlier one is not mistaken.
start_bridge() { # DURABILITY tcp|tls ROUTES; in $home
    starts=$((starts + 1))
    local instance="bench-$starts" uri="mqtt://127.0.0.1:$broker_port" routes="" number
    [ "$2" = tcp ] || uri="mqtts://127.0.0.1:$broker_tls_port"
    if [ "$3" -gt 1 ]; then
        for ((number = 0; number < $3; number++)); do
            routes+="${routes:+,}{ name = \"start-$number\"; topics = (\"ecs-bridge/v1/commands/start-$number\"); }"
        done
        routes="routes = ($routes);"
    fi
    admin_port=$("$tools/bench_probe" port)
    cat >"$home/bridge.cfg" <<END
instance = "$instance";
broker: { uris = ("$uri"); tls: { ca_file = "$work/ca.pem"; }; };
api: { endpoint = "http://127.0.0.1:$responder_port"; max_in_flight = 64; max_in_flight_per_region = 64;
       rate_per_s = 100000.0; rate_burst = 100000; };
ledger: { store = "$ledger_store"; durability = "$1"; };
admin: { listen = "127.0.0.1:$admin_port"; };
log: { level = "warn"; };
${routes:-$row_routes}
$row_settings
$more_settings
END
    (
        cd "$home"
        exec env ALIBABA_CLOUD_ACCESS_KEY_ID=benchAccessKeyId \
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=benchAccessKeySecret \
            "$bridge" run -c bridge.cfg
    ) >"$home/bridge.log" 2>&1 &
    bridge_pid=$!
    wait_online "$bridge_pid" "ecs-bridge/v1/status/$instance" || bridge_failed "the bridge did not come online"
}

# The value of a counter of the bridge, all its series together.
metric() { # NAME
    exec {admin}<>"/dev/tcp/127.0.0.1/$admin_port"
    printf 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$admin_port" >&"$admin"
    awk -v name="$1" 'index($1, name "{") == 1 || $1 == name { sum += $2 } END { print sum + 0 }' <&"$admin"
    exec {admin}<&-
}

stop_bridge() {
    local pid=$bridge_pid code=0
    bridge_pid=""
    stop "$pid" || code=$?
    [ "$code" -eq 0 ] || bridge_failed "the bridge ended with $code on SIGTERM"
}

# From npm, once for each build directory and version.
install_peer() {
    command -v npm >/dev/null || die "--peer needs Node.js and npm"
    peer="$tools/peer"
    mkdir -p "$peer"
    cp "$here/peer/peer.js" "$here/peer/package.json" "$here/peer/.npmrc" "$peer/"
    if ! cmp -s "$here/peer/package-lock.json" "$peer/package-lock.json" || [ ! -d "$peer/node_modules" ]; then
        cp "$here/peer/package-lock.json" "$peer/"
        (cd "$peer" && npm ci >"$work/npm.log" 2>&1) || { cat "$work/npm.log" >&2; die "npm cannot install the peer"; }
    fi
}

# A fresh status topic each time, as for the bridge.
start_peer() { # plain|nodelay
    starts=$((starts + 1))
    local status="ecs-peer/v1/status/$starts"
    node "$peer/peer.js" "$broker_port" "$responder_port" "ecs-peer/v1/commands/$1" "$status" "$1" \
        >"$work/peer-$1.log" 2>&1 &
    peer_pids[$1]=$!
    wait_online "${peer_pids[$1]}" "$status" || { cat "$work/peer-$1.log" >&2; die "the peer did not come online"; }
}

stop_peer() { # plain|nodelay
    local pid=${peer_pids[$1]}
    unset "peer_pids[$1]"
    stop "$pid" || die "the peer ended badly"
}

describe_machine() { # SIZE
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sed -n 1p)
    filesystem=$(stat -f -c %T "$work")
    fsync=$("$tools/bench_probe" fsync "$work")
    build_type=$(sed -n 's/^CMAKE_BUILD_TYPE:[^=]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
    echo "ecs-mqtt-bridge bench ($1): ${cpu:-unknown CPU}, $(nproc) cores, build ${build_type:-unknown}"
    echo "ledger on $filesystem, 4 KiB + fdatasync: p50 $(field p50_us "$fsync") us"
    case "$build_type" in
    Debug | "") echo "note: this is no release build; its figures mean little" ;;
    esac
    [ "$filesystem" != tmpfs ] || echo "note: on tmpfs \"full\" costs nothing; choose a disk with --dir"
}
