# Bridges that share a ledger. Sourced by postgres. Uses parts/machine.bash.

# What may still run.
end_bench() {
    local pid
    for pid in "$tool_pid" "$tail_pid" "$bridge_pid" "${more_pids[@]}" "$responder_pid" "$broker_pid"; do
        stop "$pid" || true
    done
}

# They share the work by a shared subscription, as deploy/shared-ledger.md says. Each time with a new broker: it would go on
# queueing a part of the commands in the sessions of bridges that have been stopped.
start_bridges() { # COUNT
    local number
    start_broker
    row_routes='routes = ( { name = "start"; share = "bench"; } );'
    for ((number = 0; number < $1; number++)); do
        home="$work/bridge-$number"
        mkdir "$home"
        start_bridge full tcp 1
        more_pids+=("$bridge_pid")
        bridge_pid=""
    done
}

stop_bridges() {
    local pid code
    for pid in "${more_pids[@]}"; do
        code=0
        stop "$pid" || code=$?
        [ "$code" -eq 0 ] || bridge_failed "a bridge ended with $code on SIGTERM"
    done
    more_pids=()
    stop "$broker_pid" || true
    broker_pid=""
    rm -rf "$work"/bridge-*
}

# 1,000 outstanding, of 10,000 groups, so that commands seldom wait for others of their group.
measure_bridges() { # API COUNT COMMANDS
    local before after rate
    start_bridges "$2"
    tool bench_load commands --port "$broker_port" --watch-pid "${more_pids[0]}" --broker-pid "$broker_pid" \
        --responder-pid "$responder_pid" --command-topic ecs-bridge/v1/commands/start --window 1000 --commands "$3" \
        --warmup 1000 --groups 10000 || bridge_failed "the load ended badly: $result"
    rate=$(field commands_per_s "$result")
    [ "$2" -ne "${bridges%% *}" ] || first_rate=$rate
    printf '%-18s %7d | %10.0f %8.1f %8.1f | %8.2f\n' "$1" "$2" "$rate" "$(calc %.3f "$(field p50_us "$result") / 1000")" \
        "$(calc %.3f "$(field p99_us "$result") / 1000")" "$(calc %.3f "$rate / $first_rate")"
    stop_bridges
}

# The API answers at once, so that the machine is the limit; or after a while, so that the API is.
measure_all_bridges() {
    local count first_rate=1
    echo "bridges that share the ledger, $records records, 1,000 outstanding; broker, sender and API on the same cores:"
    printf '%-18s %7s | %10s %8s %8s | %8s\n' API bridges commands/s p50ms p99ms "x first"
    sql <<<"DELETE FROM command WHERE owner IS NOT NULL; DELETE FROM outbox; DELETE FROM bridge; VACUUM ANALYZE; CHECKPOINT;"
    make_certificates
    start_responder
    for count in $bridges; do
        measure_bridges "at once" "$count" 8000
    done
    stop "$responder_pid" || true
    start_responder --delay-ms "$delay_ms"
    for count in $bridges; do
        measure_bridges "after $delay_ms ms" "$count" 8000
    done
    echo
}
