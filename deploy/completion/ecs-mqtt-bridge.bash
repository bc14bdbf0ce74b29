# Completion for bash. The words come from `--help` of the installed program, so they are those of its version.
_ecs_mqtt_bridge() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p')
    elif [[ $before == -c || $before == --config ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        compopt -o filenames 2>/dev/null
        return
    elif [[ $word == -* ]]; then
        words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n 's/^  \(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p')
    else
        # The words after `ledger` and `ctl`: the lines of their help that begin with two spaces and a lower-case word.
        words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n '/^Options:/q; s/^  \([a-z][a-z-]*\) .*/\1/p')
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _ecs_mqtt_bridge ecs-mqtt-bridge
