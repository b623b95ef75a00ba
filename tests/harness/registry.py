"""Schema registries of another make: Apicurio as a process, and one of ours that gives ids as no other does."""

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from harness.waiting import wait_until
from harness.worker import die_with_parent

START_SECONDS = 60
FIRST_ID = 1_000_000  # none of our lock's


class Apicurio:
    """jar: apicurio-registry-app's runner, with its libraries beside it."""

    def __init__(self, jar, folder, port):
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self.log_path = os.path.join(folder, "apicurio.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx384m", f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1", "-jar", jar],
                cwd=os.path.dirname(jar),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        wait_until(self.answers, START_SECONDS, lambda: "Apicurio answers:\n" + open(self.log_path).read()[-3000:])

    def answers(self):
        assert self.process.poll() is None, open(self.log_path).read()[-3000:]
        try:
            return requests.get(self.url + "/subjects", timeout=5).ok
        except requests.RequestException:
            return False

    def close(self):
        self.process.kill()
        self.process.wait()


class Strange:
    """Confluent's API as far as somebody registers there: every subject's version has an id of its own.

    refuse: (status, message) for everything, while it is set."""

    def __init__(self, port):
        self.ids = {}
        self.refuse = None
        self.logins = set()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self.handler())
        self.url = f"http://127.0.0.1:{port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def register(self, subject, schema):
        with self.lock:
            return self.ids.setdefault((subject, schema), FIRST_ID + len(self.ids))

    def handler(registry):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                registry.logins.add(self.headers.get("Authorization"))
                status, answer = 200, None
                if registry.refuse:
                    status, message = registry.refuse
                    answer = {"error_code": status, "message": message}
                else:
                    answer = {"id": registry.register(self.path.split("/")[2], body["schema"])}
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
