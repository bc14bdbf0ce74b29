# RabbitMQ with its MQTT plugin, MQTT 3.1.1. The node has an epmd of its own, which the run ends.
# shellcheck shell=bash disable=SC2034,SC2154

protocol=4 client_login=() bridge_login='' burst_settings=''

broker_install() { install_packages rabbitmq-server mosquitto-clients; }
broker_version() { dpkg-query -W -f '${Version}' rabbitmq-server; }

broker_configure() {
    rabbit_ports=("$(free_port)" "$(free_port)")
    mkdir -p "$work/home"
    printf 'listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:%s\n' "$port" >"$work/rabbitmq.conf"
    echo '[rabbitmq_mqtt].' >"$work/plugins"
    start epmd epmd -port "${rabbit_ports[0]}" -address 127.0.0.1
}

broker_start() {
    rm -f "$work/rabbitmq.pid"
    start broker env HOME="$work/home" ERL_EPMD_PORT="${rabbit_ports[0]}" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME=interop@localhost RABBITMQ_MNESIA_BASE="$work/mnesia" RABBITMQ_LOG_BASE="$work/log" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$work/plugins" RABBITMQ_CONFIG_FILE="$work/rabbitmq.conf" \
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_PID_FILE="$work/rabbitmq.pid" RABBITMQ_DIST_PORT="${rabbit_ports[1]}" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none' \
        /usr/lib/rabbitmq/bin/rabbitmq-server
    wait_for 60 port_is_open "$port"
}

# The process that was started is a script; the node has written its own process id.
broker_stop() { stop broker TERM "$(cat "$work/rabbitmq.pid")"; }
broker_end() { stop epmd; }
