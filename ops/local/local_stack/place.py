"""The folder of one stack: its ports, its secrets, the configuration that its programs read."""

import fcntl
import json
import os
import re
import secrets
import shlex
import time

from local_stack.process import Problem, choose_port, read_json, write_atomic

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

PREFERRED = {"kafka": 19092, "controller": 19093, "postgres": 15432, "api": 8000}
PORTS_OF_BROKER = 2  # each has a controller
KEPT_SECONDS = 5  # that a former port is waited for


def numbered(name, number):
    """Of the first there may be the only one."""
    return name if number == 1 else f"{name}-{number}"


CONFIG = """\
# Written by `make up` for this machine's private Kafka and PostgreSQL. Yours to edit: from now on only the ports in it
# are kept up to date.
kafka:
  bootstrap.servers: "{bootstrap}"
topics:
  replication_factor: {brokers}
database:
  dsn_file: "{dir}/dsn"
api:
  url: "http://127.0.0.1:{api}"
  token_file: "{dir}/token"
orchestrator:
  http: {{port: {api}}}
  subscriptions: "{dir}/subscriptions.yaml"
"""

SUBSCRIPTIONS = """\
# What to ingest; the orchestrator reads this file anew when it changes.
subscriptions: []
"""


class Place:
    def __init__(self, folder, say=print):
        self.dir = os.path.realpath(folder)
        self.say = say
        self.config = self.path("penstock.yaml")
        self.state_file = self.path("state.json")
        self.load()

    def load(self):
        state = read_json(self.state_file)
        self.id = state.get("id") or secrets.token_hex(16)
        self.ports = state.get("ports") or {}
        self.known_dir = state.get("dir", self.dir)
        self.brokers = self.known_brokers = state.get("brokers") or 1

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def run(self, name):
        return self.path("run", name + ".pid")

    def log(self, name):
        return self.path("log", name + ".log")

    def exists(self):
        return os.path.exists(self.state_file)

    def make(self):
        for folder in ("run", "log", "data"):
            os.makedirs(self.path(folder), exist_ok=True)

    def lock(self):
        """One command at a time changes a stack; released when the process ends."""
        file = open(self.path("run", "lock"), "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.say("another command is changing this stack; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        self.lock_held = file
        self.load()

    # --- brokers -----------------------------------------------------------------------------------------------------
    def settle_brokers(self, count):
        """None: as many as there are. What is in them is on so many of them."""
        if count is None or count == self.brokers:
            return
        if os.path.exists(self.path("kafka", "data", "meta.properties")):
            raise Problem(
                f"this stack has {self.brokers} of Kafka's brokers, and topics that are on so many: for {count},"
                " `ops/local/stack down --purge` first, which removes all data"
            )
        self.brokers = count

    def broker_names(self):
        return [numbered("kafka", number) for number in range(1, self.brokers + 1)]

    def bootstrap(self):
        return ",".join(f"127.0.0.1:{self.ports[name]}" for name in self.broker_names())

    # --- ports -------------------------------------------------------------------------------------------------------
    def preferred(self):
        found = dict(PREFERRED)
        for number in range(2, self.brokers + 1):
            for name in ("kafka", "controller"):
                found[numbered(name, number)] = PREFERRED[name] + (number - 1) * PORTS_OF_BROKER
        return found

    def settle_ports(self, used, anywhere, proxy=None):
        """Keeps each port that its owner uses or that is free, and chooses another for the rest. used: names in use.

        A port that was ours is waited for: a server that was killed is gone before the kernel has let go of its port,
        and its clients know no other. proxy: where the broker's second listener sends its clients to; what listens
        there is not ours.
        """
        before = dict(self.ports)
        for name, preferred in self.preferred().items():
            if name in used and name in self.ports:
                continue
            others = {port for other, port in self.ports.items() if other != name}
            wanted = before.get(name) or (None if anywhere else preferred)
            self.ports[name] = choose_port(wanted, others, KEPT_SECONDS if name in before else 0)
        if proxy:
            self.ports["proxy"] = proxy
        if "proxy" in self.ports and "kafka" not in used:
            others = {port for name, port in self.ports.items() if name != "proxied"}
            self.ports["proxied"] = choose_port(before.get("proxied"), others, KEPT_SECONDS)
        state = {"id": self.id, "dir": self.dir, "brokers": self.brokers, "ports": self.ports}
        write_atomic(self.state_file, json.dumps(state, indent=1) + "\n")
        return before

    # --- files -------------------------------------------------------------------------------------------------------
    def write_files(self, before, postgres):
        if not os.path.exists(self.path("token")):
            write_atomic(self.path("token"), secrets.token_urlsafe(32) + "\n", 0o600)
        write_atomic(self.path("dsn"), postgres.dsn() + "\n", 0o600)
        self.write_config(before)
        if not os.path.exists(self.path("subscriptions.yaml")):
            write_atomic(self.path("subscriptions.yaml"), SUBSCRIPTIONS)
        values = {
            "PENSTOCK_CONFIG": self.config,
            "KAFKA": self.bootstrap(),
            "API": f"http://127.0.0.1:{self.ports['api']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["postgres"]),
            "PGUSER": "penstock",
            "PGDATABASE": "penstock",
            "PGPASSFILE": self.path("pgpass"),
        }
        lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())
        programs = shlex.quote(self.programs())
        lines += f"case :$PATH: in *:{programs}:*) ;; *) export PATH={programs}:$PATH ;; esac\n"
        write_atomic(self.path("env"), lines)

    def write_config(self, before):
        try:
            with open(self.config) as file:
                text = file.read()
        except FileNotFoundError:
            write_atomic(
                self.config,
                CONFIG.format(dir=self.dir, bootstrap=self.bootstrap(), brokers=self.brokers, api=self.ports["api"]),
            )
            return
        new = text.replace(f'"{self.known_dir}/', f'"{self.dir}/')
        for name in (*self.broker_names(), "api"):
            if before.get(name) and before[name] != self.ports[name]:
                new = new.replace(f"127.0.0.1:{before[name]}", f"127.0.0.1:{self.ports[name]}")
        if self.brokers != self.known_brokers:
            new = self.with_brokers(new)
        if before.get("api"):
            new = new.replace(f"port: {before['api']}", f"port: {self.ports['api']}")
        if new != text:
            write_atomic(self.config, new)

    def with_brokers(self, text):
        """The configuration of a stack that had another number of them."""
        text, lists = re.subn(r"(?m)^  bootstrap\.servers: .*$", f'  bootstrap.servers: "{self.bootstrap()}"', text)
        factor = f"  replication_factor: {self.brokers}"
        text, factors = re.subn(r"(?m)^  replication_factor: .*$", factor, text)
        if not factors and not re.search(r"(?m)^topics:", text):
            text, factors = f"{text}topics:\n{factor}\n", 1
        if not lists or not factors:
            raise Problem(f"set bootstrap.servers and topics.replication_factor in {self.config} for {self.brokers} brokers")
        return text

    # --- programs ----------------------------------------------------------------------------------------------------
    def programs(self):
        return os.environ.get("PENSTOCK_BIN") or os.path.join(TOP, "build", "bin")

    def program(self, name):
        path = os.path.join(self.programs(), name)
        if not os.access(path, os.X_OK):
            raise Problem(f"{path} is not there; build it first: make")
        return path

    def trim_log(self, name):
        """A log that grew while nobody trimmed it is kept once as .1."""
        path = self.log(name)
        if os.path.exists(path) and os.path.getsize(path) > LOG_BYTES_MAX:
            os.replace(path, path + ".1")


LOG_BYTES_MAX = 20 * 1024 * 1024


def ago(when):
    seconds = max(0, int(time.time() - when))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
