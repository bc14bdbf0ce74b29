# ejabberd with mod_mqtt, MQTT 5. It runs without Erlang distribution, so no epmd is needed.
# shellcheck shell=bash disable=SC2034,SC2154

protocol=5 client_login=(-u interop@localhost -P interop) burst_settings='max_queue: 100000'
bridge_login=' username = "interop@localhost"; password_file = "password";'

broker_install() { install_packages ejabberd mosquitto-clients; }
broker_version() { dpkg-query -W -f '${Version}' ejabberd; }

broker_configure() {
    mkdir -p "$work/home" "$work/database" "$work/log"
    (umask 077 && echo interop >"$work/password")
    bridge_login=" username = \"interop@localhost\"; password_file = \"$work/password\";"
    cat >"$work/ejabberd.yml" <<END
hosts: [localhost]
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
listen:
  - {port: $port, ip: "127.0.0.1", module: mod_mqtt}
modules:
  mod_mqtt:
    access_subscribe: {"#": all}
    access_publish: {"#": all}
END
}

broker_configure_for_bursts() { echo "    $burst_settings" >>"$work/ejabberd.yml"; }

broker_start() {
    start broker env HOME="$work/home" ERL_LIBS="$(dirname "$(dpkg -L ejabberd | grep -m1 'ejabberd-[0-9.-]*$')")" \
        EJABBERD_CONFIG_PATH="$work/ejabberd.yml" EJABBERD_LOG_PATH="$work/log/ejabberd.log" ERL_CRASH_DUMP_BYTES=0 \
        erl +sbwt none -noinput -mnesia dir "\"$work/database\"" -s ejabberd
    wait_for 60 port_is_open "$port"
}
broker_stop() { stop broker; }
