#!/usr/bin/env python3
"""Alertmanager's webhook to MQTT, unchanged: forward.py PORT BROKER_PORT TOPIC. Answers 503 where the broker does not have it."""
import http.server
import subprocess
import sys

PORT, BROKER_PORT, TOPIC = sys.argv[1:]


class Forwarder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        publish = ["mosquitto_pub", "-h", "127.0.0.1", "-p", BROKER_PORT, "-q", "1", "-t", TOPIC, "-s"]
        self.send_response(200 if subprocess.run(publish, input=body, timeout=20, check=False).returncode == 0 else 503)
        self.end_headers()


http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Forwarder).serve_forever()
