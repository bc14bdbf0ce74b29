# The tables, the aims and bench.json. Sourced by run. Uses parts/machine.bash.

rows_json="" growth_json="" watching_json="" aims="" aims_json="" limits=""

aim() { # WHAT MEASURED COMPARISON LIMIT UNIT
    local word=missed is_reached=false
    [ "$(calc %d "$2 $3 $4")" -eq 0 ] || word=reached is_reached=true
    aims+=$(printf '%-8s %-66s aim %s %s %s, measured %s' "$word" "$1" "$3" "$4" "$5" "$2")$'\n'
    aims_json+="${aims_json:+,
}{\"what\":\"$1\",\"measured\":$2,\"comparison\":\"$3\",\"aim\":$4,\"unit\":\"$5\",\"reached\":$is_reached}"
}

mib_of() { # FIELD JSON
    calc %.1f "$(field "$1" "$2") / 1024"
}

print_rows_head() {
    printf '%-4s %-8s | %-34s | %-34s | %-20s | %-13s | %s\n' "" "" "      64 outstanding" "   1,000 outstanding" \
        "   one at a time" " memory MiB" "idle"
    printf '%-4s %-8s | %6s %6s %6s %6s %6s | %6s %6s %6s %6s %6s | %6s %6s %6s | %6s %6s | %s\n' over durable \
        cmd/s CPUus "x bare" p50ms p99ms cmd/s CPUus "x bare" p50ms p99ms p50ms p99ms added priv. PSS "wakes/s"
}

ms() { # MICROSECONDS
    calc %.2f "$1 / 1000"
}

print_many() { # for a row: the figures in cell
    printf ' | %6.0f %6.0f %6.1f %6.1f %6.1f' "${cell[rate]}" "${cell[cpu]}" "${cell[ratio]}" \
        "$(ms "${cell[p50]}")" "$(ms "${cell[p99]}")"
}

# Who used the cores with 1,000 outstanding, and how long the disk took just then.
note_limits() { # WHAT FDATASYNC
    limits+=$(printf '%-17s %6.0f %7.0f %7.0f %5.0f   %5.2f   %9.0f' "$1" "${cell[cpu]}" "${cell[broker]}" \
        "${cell[sender]}" "${cell[responder]}" "${cell[cores]}" "$(field p50_us "$2")")$'\n'
}

print_limits() {
    echo "CPU us per command with 1,000 outstanding, last round; cores in use; fdatasync afterwards, p50 us:"
    printf '%-17s %6s %7s %7s %5s   %5s   %9s\n%s' "" bridge broker sender API cores fdatasync "$limits"
    echo "broker and sender alone relay $relay_rate commands/s with their replies"
    echo
}

peer_lines=""

note_peer() { # DURABILITY OUTSTANDING plain|nodelay
    peer_lines+=$(printf '%-9s %5s %-8s | %6.0f %6.0f %6.1f %6.1f | %6.2f %6.2f' "$1" "$2" "$3" "${cell[$3_rate]}" \
        "${cell[$3_cpu]}" "${cell[$3_ratio]}" "$(ms "${cell[$3_p50]}")" "${cell[$3_gain]}" "${cell[$3_share]}")$'\n'
}

print_peer() {
    [ -n "$peer_lines" ] || return 0
    echo "the peer, over TCP (Node.js $(node --version), mqtt.js $(version_of mqtt), openapi-core $(version_of @alicloud/openapi-core)):"
    printf '%-9s %5s %-8s | %6s %6s %6s %6s | %s\n%s\n' bridge outst. peer cmd/s CPUus "x bare" p50ms \
        "bridge / peer: cmd/s, CPU" "$peer_lines"
}

version_of() { # PACKAGE
    sed -n 's/^ *"version": "\(.*\)".*/\1/p' "$peer/node_modules/$1/package.json" | sed -n 1p
}

memory_lines="" sparse_lines=""

note_memory() { # WHAT WHEN MEMORY
    local name line
    line=$(printf '%-17s %-22s' "$1" "$2")
    for name in private_dirty_kib private_clean_kib private_kib pss_kib; do
        line+=$(printf ' %8s' "$(mib_of "$name" "$3")")
    done
    memory_lines+=$line$'\n'
}

print_memory() {
    echo "memory of all processes, MiB. Dirty pages are the bridge's own; clean ones are pages of files, mostly of libraries,"
    echo "that no other process maps now: they are shared with the next program that uses the library, and the kernel can drop them."
    printf '%-17s %-22s %8s %8s %8s %8s\n%s\n' "" "" dirty clean private PSS "$memory_lines"
}

note_sparse() { # WHAT LOAD
    local name line
    line=$(printf '%-17s %8d' "$1" "$(field commands "$2")")
    for name in p50_us p90_us p99_us max_us; do
        line+=$(printf ' %6.2f' "$(ms "$(field "$name" "$2")")")
    done
    sparse_lines+=$line$'\n'
}

print_sparse() {
    echo "single commands, 20 to 40 ms apart: from publish to reply, ms:"
    printf '%-17s %8s %6s %6s %6s %6s\n%s\n' "" commands p50 p90 p99 max "$sparse_lines"
}

print_growth_head() {
    echo "growth, ${durabilities%% *} over TCP, 1,000 outstanding; against the first value of the same kind:"
    printf '%-24s | %7s %7s %7s | %s\n' "" cmd/s CPUus "x bare" "cmd/s     CPU (x bare)"
}

print_growth() { # NAME FIRST_RATE FIRST_RATIO
    printf '%-24s | %7.0f %7.0f %7.2f | x %4.2f   x %4.2f\n' "$1" "${cell[rate]}" "${cell[cpu]}" "${cell[ratio]}" \
        "$(calc %.3f "${cell[rate]} / $2")" "$(calc %.3f "${cell[ratio]} / $3")"
}

print_watching_head() {
    echo "watched groups, each asked for every 10 s (poll_max_s); a new recovery point every 15 minutes; 100 groups a call:"
    printf '%-8s | %-17s | %-24s | %-15s | %s\n' "" "  private, MiB" "  first answers" " CPU ms" ""
    printf '%-8s | %8s %8s | %8s %6s %8s | %7s %7s | %11s %8s\n' groups "0 groups" watching "CPU s" s "MiB" "a round" "/ s" \
        "calls/round" "us/call"
}

print_watching() { # GROUPS MEMORY_BEFORE MEMORY_FIRST MEMORY FIRST_CPU_MS FIRST_S STEADY ROUND_S CALLS
    local cpu
    cpu=$(field cpu_us_per_s "$7")
    printf '%-8d | %8s %8s | %8.2f %6.1f %8s | %7.1f %7.1f | %11s %8.0f\n' "$1" "$(mib_of private_kib "$2")" \
        "$(mib_of private_kib "$4")" "$(calc %.3f "$5 / 1000")" "$6" "$(mib_of private_kib "$3")" \
        "$(calc %.3f "$cpu * $8 / 1000")" "$(calc %.3f "$cpu / 1000")" "$9" \
        "$(calc %.0f "$cpu * $(field seconds "$7") / $(field calls "$7")")"
}

write_json() { # RESPONDER
    cat >"$json" <<END
{"size":"$size","cpu":"${cpu//\"/}","cores":$(nproc),"build_type":"$build_type",
"filesystem":"$filesystem","fdatasync":$fsync,
"bare":[$both_loops],
"relay":${relay_json:-null},
"rows":[
$rows_json],
"growth":[
$growth_json],
"watching":[
$watching_json],
"aims":[
$aims_json],
"responder":$1}
END
}
