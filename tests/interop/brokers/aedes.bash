# aedes, a broker for Node.js, MQTT 3.1.1, with its own storage in memory.
# shellcheck shell=bash disable=SC2034,SC2154

protocol=4 client_login=() bridge_login='' burst_settings='' aedes_version=0.51.3

broker_install() {
    command -v node >/dev/null || install_packages nodejs
    command -v npm >/dev/null || install_packages npm
    install_packages mosquitto-clients
    [ ! -d "$build/interop/node_modules/aedes" ] || return 0
    mkdir -p "$build/interop"
    npm install --prefix "$build/interop" --no-audit --no-fund --ignore-scripts "aedes@$aedes_version" >"$base/npm.log" 2>&1 ||
        fail "npm cannot install aedes: see $base/npm.log"
}
broker_version() { echo "$aedes_version"; }
broker_configure() { :; }
broker_start() {
    start broker env NODE_PATH="$build/interop/node_modules" node "$here/brokers/aedes.js" "$port"
    wait_for 20 port_is_open "$port"
}
broker_stop() { stop broker; }
