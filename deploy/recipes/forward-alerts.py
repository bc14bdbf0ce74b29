#!/usr/bin/env python3
"""Alertmanager's webhook to MQTT commands: a start for each firing alert that has the labels region and replica_group."""
import http.server
import json
import pathlib
import subprocess

START_GROUP = pathlib.Path(__file__).resolve().with_name("start-group")


class Forwarder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
        starts = [(a["labels"]["region"], a["labels"]["replica_group"], a["fingerprint"] + a["startsAt"])
                  for a in alerts if a["status"] == "firing" and {"region", "replica_group"} <= a["labels"].keys()]
        codes = [subprocess.run([START_GROUP, *start], check=False).returncode for start in starts]
        # Alertmanager sends the notification again after a 5xx, with the same fingerprint and startsAt: the same token.
        self.send_response(503 if any(code not in (0, 1) for code in codes) else 200)
        self.end_headers()


http.server.ThreadingHTTPServer(("127.0.0.1", 9095), Forwarder).serve_forever()
