# The measurements of the benchmark. Sourced by run and profile. Uses parts/machine.bash.

total_commands=0 bare_calls=0
declare -A loop_of=() # by calls in flight: which of libcurl's two ways to wait is the cheaper one
declare -A cell=()    # the figures of the last cell
declare -A peer_rates=() peer_cpus=() peer_ratios=() peer_p50s=() rate_gains=() cpu_shares=() peer_rounds=()

bare() { # IN_FLIGHT CALLS LOOP; sets $result
    tool bench_bare --port "$responder_port" --in-flight "$1" --calls "$2" --warmup 200 --loop "$3" ||
        die "bench_bare failed: $result"
    bare_calls=$((bare_calls + $2 + 200))
}

# The cheaper of the two is the stricter reference: by CPU time with 64 in flight, by latency with one.
choose_reference() {
    local width poll
    for width in 64 1; do
        local by=cpu_us_per_call count=$calls
        [ "$width" -ne 1 ] || by=p50_us count=$singles
        bare "$width" "$count" poll
        poll=$result
        bare "$width" "$count" socket
        loop_of[$width]=$(awk "BEGIN { print ($(field $by "$poll") <= $(field $by "$result") ? \"poll\" : \"socket\") }")
        both_loops+="${both_loops:+,}$poll,$result"
    done
}

# The reference, measured again beside each load, because the speed of a shared machine changes from second to second.
reference() { # IN_FLIGHT; sets bare_cpu, bare_p50
    local count=$calls
    [ "$1" -ne 1 ] || count=$singles
    bare "$1" "$count" "${loop_of[$1]}"
    bare_cpu=$(field cpu_us_per_call "$result") bare_p50=$(field p50_us "$result")
}

load() { # PID TOPIC OUTSTANDING COMMANDS WARMUP [OPTIONS]; sets $result
    tool bench_load commands --port "$broker_port" --watch-pid "$1" --broker-pid "$broker_pid" \
        --responder-pid "$responder_pid" --command-topic "$2" --window "$3" --commands "$4" --warmup "$5" "${@:6}" || {
        echo "$result" >&2
        [ "$1" = "$bridge_pid" ] || { cat "$work"/peer-*.log >&2; die "the load of the peer ended badly"; }
        bridge_failed "the load with $3 outstanding ended badly"
    }
    total_commands=$((total_commands + $4 + $5 - $(field replays "$result")))
    [ "$(field duplicates "$result")" -eq 0 ] || echo "note: repeated replies: $result" >&2
}

load_bridge() {
    load "$bridge_pid" ecs-bridge/v1/commands/start "$@"
}

load_peer() { # plain|nodelay ...
    load "${peer_pids[$1]}" "ecs-peer/v1/commands/$1" "${@:2}"
}

# Node.js compiles what runs often while it runs, so a peer works for a while before it is measured.
warm_peer() { # plain|nodelay
    load_peer "$1" 64 1000 1000
}

begin_cell() {
    cell=()
    rates=() cpus=() ratios=() p50s=() p99s=() cores=() rounds_json=""
    peer_rates=() peer_cpus=() peer_ratios=() peer_p50s=() rate_gains=() cpu_shares=() peer_rounds=() # by variant
}

# Keeps one load of the bridge. Its reference is the mean of the one before and the one after it.
note_round() { # LOAD BARE_BEFORE BARE_AFTER
    local rate cpu ratio
    rate=$(field commands_per_s "$1") cpu=$(field cpu_us "$1")
    ratio=$(calc %.3f "$cpu / (($2 + $3) / 2)")
    rates+=("$rate") cpus+=("$cpu") ratios+=("$ratio")
    p50s+=("$(field p50_us "$1")") p99s+=("$(field p99_us "$1")")
    cell[broker]=$(field broker_cpu_us "$1") cell[sender]=$(field sender_cpu_us "$1")
    cell[responder]=$(field responder_cpu_us "$1")
    cores+=("$(calc %.3f "($cpu + ${cell[broker]} + ${cell[sender]} + ${cell[responder]}) * $rate / 1e6")")
    cell[switches]=$(calc %.2f "$(field voluntary_switches "$1") + $(field involuntary_switches "$1")")
    rounds_json+="${rounds_json:+,
   }{\"ratio\":$ratio,\"bare_before_us\":$2,\"bare_after_us\":$3,\"load\":$1}"
}

# Keeps one load of a peer beside the load of the bridge in the same round.
note_peer_round() { # plain|nodelay LOAD BARE_BEFORE BARE_AFTER
    local rate cpu ratio last=$((${#rates[@]} - 1))
    rate=$(field commands_per_s "$2") cpu=$(field cpu_us "$2")
    ratio=$(calc %.3f "$cpu / (($3 + $4) / 2)")
    peer_rates[$1]+=" $rate" peer_cpus[$1]+=" $cpu" peer_ratios[$1]+=" $ratio" peer_p50s[$1]+=" $(field p50_us "$2")"
    rate_gains[$1]+=" $(calc %.3f "${rates[$last]} / $rate")"
    cpu_shares[$1]+=" $(calc %.3f "${ratios[$last]} / $ratio")"
    peer_rounds[$1]+="${peer_rounds[$1]:+,
   }{\"ratio\":$ratio,\"bare_before_us\":$3,\"bare_after_us\":$4,\"load\":$2}"
}

end_peer() { # plain|nodelay; the lists are split into words
    cell[$1_rate]=$(median ${peer_rates[$1]}) cell[$1_cpu]=$(median ${peer_cpus[$1]})
    cell[$1_ratio]=$(median ${peer_ratios[$1]}) cell[$1_p50]=$(median ${peer_p50s[$1]})
    cell[$1_gain]=$(median ${rate_gains[$1]}) cell[$1_share]=$(median ${cpu_shares[$1]})
    cell[json]+=",\"peer_$1\":{\"commands_per_s\":${cell[$1_rate]},\"cpu_us\":${cell[$1_cpu]}"
    cell[json]+=",\"cpu_ratio\":${cell[$1_ratio]},\"p50_us\":${cell[$1_p50]},\"bridge_rate_to_peer\":${cell[$1_gain]}"
    cell[json]+=",\"bridge_cpu_to_peer\":${cell[$1_share]},\"rounds\":[
   ${peer_rounds[$1]}]}"
}

end_cell() { # OUTSTANDING
    local variant
    cell[rate]=$(median "${rates[@]}") cell[cpu]=$(median "${cpus[@]}") cell[ratio]=$(median "${ratios[@]}")
    cell[p50]=$(median "${p50s[@]}") cell[p99]=$(median "${p99s[@]}") cell[cores]=$(median "${cores[@]}")
    cell[json]="{\"outstanding\":$1,\"commands_per_s\":${cell[rate]},\"cpu_us\":${cell[cpu]},\"cpu_ratio\":${cell[ratio]}"
    cell[json]+=",\"p50_us\":${cell[p50]},\"p99_us\":${cell[p99]},\"switches\":${cell[switches]},\"busy_cores\":${cell[cores]}"
    for variant in "${!peer_rates[@]}"; do
        end_peer "$variant"
    done
    cell[json]+=",\"rounds\":[
   $rounds_json]}"
}

# Many outstanding: reference, bridge, reference, then each peer that runs and a reference; again for each round.
measure_many() { # OUTSTANDING COMMANDS ROUNDS [OPTIONS of bench_load]; fills cell
    local round variant before load_json warmup=$(($1 < 200 ? $1 * 2 : 400)) each=$((($2 + $3 - 1) / $3))
    local arguments=("${@:4}")
    case " ${arguments[*]} " in
    *" --replays "*) warmup=$((each / 2)) ;; # so that each outcome is replayed once
    esac
    begin_cell
    reference 64
    for ((round = 0; round < $3; round++)); do
        before=$bare_cpu
        load_bridge "$1" "$each" "$warmup" "${arguments[@]}"
        load_json=$result
        reference 64
        note_round "$load_json" "$before" "$bare_cpu"
        for variant in "${!peer_pids[@]}"; do
            before=$bare_cpu
            load_peer "$variant" "$1" "$((each < peer_most ? each : peer_most))" "$warmup"
            load_json=$result
            reference 64
            note_peer_round "$variant" "$load_json" "$before" "$bare_cpu"
        done
    done
    end_cell "$1"
}

# One at a time: the p50 of the bridge less that of a bare call and that of two ways through the broker, each measured before
# and after it.
measure_one() { # COMMANDS ROUNDS; fills cell
    local round before before_p50 echo_before echo_after echo_mean load_json added=() each=$((($1 + $2 - 1) / $2))
    begin_cell
    reference 1
    measure_echo 1 "$singles"
    echo_after=$result
    for ((round = 0; round < $2; round++)); do
        before=$bare_cpu before_p50=$bare_p50 echo_before=$echo_after
        load_bridge 1 "$each" 20
        load_json=$result
        reference 1
        measure_echo 1 "$singles"
        echo_after=$result
        note_round "$load_json" "$before" "$bare_cpu"
        echo_mean=$(calc %.1f "($(field p50_us "$echo_before") + $(field p50_us "$echo_after")) / 2")
        added+=("$(calc %.1f "$(field p50_us "$load_json") - ($before_p50 + $bare_p50) / 2 - $echo_mean")")
    done
    end_cell 1
    cell[added]=$(median "${added[@]}")
    cell[json]="{\"added_p50_us\":${cell[added]},${cell[json]#\{}"
}

# Single commands with pauses: all parts have fallen asleep when the next one comes.
measure_sparse() { # COMMANDS; sets $result
    load_bridge 1 "$1" 5 --gap-ms 20
}

measure_echo() { # OUTSTANDING COMMANDS; sets $result
    tool bench_load echo --port "$broker_port" --window "$1" --commands "$2" --broker-pid "$broker_pid" || die "echo: $result"
}

measure_idle() { # SECONDS; sets $result
    sleep 12 # what follows the last command has ended by then: its counts are published after 10 s
    tool bench_probe idle "$bridge_pid" "$1" || bridge_failed "the bridge ended while it was idle"
}

# Waits until the bridge has stored so many events about watched groups.
await_watch_events() { # COUNT
    local tries
    for ((tries = 0; tries < 240; tries++)); do
        [ "$(metric ecs_mqtt_bridge_watch_events_total)" -lt "$1" ] || return 0
        sleep 0.5
    done
    bridge_failed "the watched groups were not all seen within two minutes"
}

# CPU time, calls and updates of the ledger while groups are watched, each second of SECONDS.
measure_watching() { # SECONDS; sets $result
    local calls
    calls=$(metric ecs_mqtt_bridge_watch_calls_total)
    tool bench_probe idle "$bridge_pid" "$1" || bridge_failed "the bridge ended while it watched"
    calls=$(($(metric ecs_mqtt_bridge_watch_calls_total) - calls))
    result="{\"calls\":$calls,${result#\{}"
}
