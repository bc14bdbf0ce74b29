# mosquitto, MQTT 5, with the settings of Debian's own mosquitto.conf: the default limits, and persistence. It publishes its
# counters each second instead of every 10 s.
# shellcheck shell=bash disable=SC2034,SC2154

protocol=5 client_login=() bridge_login='' burst_settings='max_queued_messages 0'

broker_install() { install_packages mosquitto mosquitto-clients; }
broker_version() { { PATH=$PATH:/usr/sbin mosquitto -h || true; } | sed -n '1s/mosquitto version //p'; }

broker_configure() {
    cat >"$work/mosquitto.conf" <<END
user $(id -un)
listener $port 127.0.0.1
allow_anonymous true
sys_interval 1
persistence true
persistence_location $work/
END
}

# The settings that deploy/brokers.md advises against the loss of a burst.
broker_configure_for_bursts() { echo "$burst_settings" >>"$work/mosquitto.conf"; }

# How many messages it has dropped since its start, for any client.
broker_dropped() {
    local count
    count=$( (mqtt mosquitto_sub -t '$SYS/broker/publish/messages/dropped' -C 1 -W 3) 2>/dev/null || true)
    echo "${count:-0}"
}

broker_start() {
    PATH=$PATH:/usr/sbin start broker mosquitto -c "$work/mosquitto.conf"
    wait_for 10 port_is_open "$port"
}
broker_stop() { stop broker; }
