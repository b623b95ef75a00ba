"""The simulated vendor as a process, and the vendor's own client that talks to it."""

import os
import subprocess

import databento
import requests

from harness.servers import TOP
from harness.waiting import wait_until
from harness.worker import Worker

KEY = "db-" + "0123456789" * 2 + "simulated"
PROGRAM = os.path.join(TOP, "build", "bin", "penstock-simulator")


def certificate(folder):
    """A key and a self-signed certificate of 127.0.0.1: the vendor's client speaks HTTPS only."""
    key, certificate, both = (os.path.join(folder, name) for name in ("key.pem", "certificate.pem", "tls.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    with open(both, "wb") as file:
        for part in (key, certificate):
            with open(part, "rb") as source:
                file.write(source.read())
    return both, certificate


class Simulator(Worker):
    """tls: what certificate() returned. Without it plain HTTP, which the vendor's client does not speak."""

    def __init__(self, folder, *options, tls=None, program=PROGRAM):
        self.tls = tls
        arguments = [program, "--listen", "127.0.0.1:0", *(["--tls", tls[0]] if tls else []), *map(str, options)]
        super().__init__("simulator", "simulator", arguments, dict(os.environ), str(folder))
        wait_until(lambda: self.port or not self.running, 30, lambda: f"the simulator listens:\n{self.tail()}")
        assert self.running, self.tail()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def client(self, key=KEY):
        return databento.Historical(key, gateway=self.url)

    def request(self, method, path, **options):
        verify = self.tls[1] if self.tls else None
        options = {"auth": (KEY, ""), "timeout": 60, "verify": verify} | options
        return requests.request(method, self.url + path, **options)

    def control(self, method, name, /, **body):
        answer = self.request(method, "/simulator/" + name, json=body or None, auth=None)
        assert answer.ok, answer.text
        return answer.json()

    def fault(self, **what):
        return self.control("POST", "faults", **what)

    def raw(self, **form):
        """get_range as bytes, with what the vendor's client never asks for."""
        answer = self.request("POST", "/v0/timeseries.get_range", data=form)
        assert answer.status_code in (200, 206), answer.text
        return answer.content
