"""Kafka on 127.0.0.1: one broker, or three of which one may be away; each is a controller, too (KRaft).

The recipe's figures stand in ops/local/README.md.
"""

import base64
import os
import re
import secrets
import shutil
import signal
import subprocess

from local_stack.place import numbered
from local_stack.process import KILL, PidFile, Problem, clean_environment, launch, wait_until

POM = os.path.join(os.path.dirname(__file__), "..", "kafka", "pom.xml")

# Readiness is a metadata answer; a machine under load may take far longer than the usual four seconds.
READY_SECONDS = 90

PROPERTIES = """\
# Written by ops/local/stack at every start.
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={brokers}
min.insync.replicas={insync}
offsets.topic.replication.factor={brokers}
offsets.topic.num.partitions={brokers}
transaction.state.log.replication.factor={brokers}
transaction.state.log.min.isr={insync}
transaction.state.log.num.partitions={brokers}
share.coordinator.state.topic.replication.factor={brokers}
share.coordinator.state.topic.min.isr={insync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
log.segment.bytes=67108864
controlled.shutdown.enable=true
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms={heartbeat_ms}
"""

HEAP_ALONE, HEAP_OF_SEVERAL = "512m", "384m"
# Of several, Kafka's own: a broker that is only slow must not be taken for dead, as the others would have its partitions
# to lead. One that is alone is missed by nobody, and is back sooner.
SESSION_MS, HEARTBEAT_MS = 9000, 2000
SESSION_ALONE_MS, HEARTBEAT_ALONE_MS = 3000, 500

# For tests, which wait for sessions to be over and for transactions of the dead to be ended.
IMPATIENT = """\
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
"""


def version():
    with open(POM) as file:
        return re.search(r"<kafka.version>(.*?)</kafka.version>", file.read()).group(1)


def jars():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "penstock", f"kafka-{version()}")


# Says when it has loaded its groups. After a hard kill it may load them twice at once, and puts halves of both together
# ("Ignored load completion"): groups have no offsets then, or old ones, and join no more until it is started again.
COORDINATOR = "org.apache.kafka.coordinator.common.runtime.CoordinatorRuntime"


class Kafka:
    jvm_options = format_options = ()  # of a broker that a test sets up in its own way

    def __init__(self, place, number=1):
        self.place = place
        self.number = number
        self.name = numbered("kafka", number)
        self.port_names = {self.name, numbered("controller", number)}
        self.log = place.log(self.name)
        self.pidfile = PidFile(place.run(self.name))
        self.properties = place.path(self.name, "server.properties")
        self.data = place.path(self.name, "data")

    @property
    def address(self):
        return f"127.0.0.1:{self.place.ports[self.name]}"

    def running(self):
        return self.pidfile.pid()

    def start(self, throwaway):
        java = shutil.which("java")
        if not java:
            raise Problem("there is no java on PATH; Kafka's broker needs Java 17: make install-deps")
        if not os.path.isdir(jars()):
            raise Problem(f"Kafka's jars are not in {jars()}: make install-deps")
        if not shutil.which("kcat"):
            raise Problem("there is no kcat on PATH: make install-deps")
        # For minutes only: the compiler that starts fast. Else the one that ends up fast.
        jit = ["-XX:TieredStopAtLevel=1"] if throwaway else []
        self.command = [
            java,
            "-Xms128m",
            f"-Xmx{HEAP_ALONE if self.place.brokers == 1 else HEAP_OF_SEVERAL}",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-Xshare:auto",
            *jit,
            *self.jvm_options,
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            f"-Dorg.slf4j.simpleLogger.log.{COORDINATOR}=info",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
            "-cp",
            os.path.join(jars(), "*"),
        ]
        os.makedirs(self.data, exist_ok=True)
        with open(self.properties, "w") as file:
            file.write(self.configuration() + (IMPATIENT if throwaway and not self.is_proxied() else ""))
        if not os.path.exists(os.path.join(self.data, "meta.properties")):
            self.format()
        launch(self.pidfile, [*self.command, "kafka.Kafka", self.properties], self.log, clean_environment())

    def is_proxied(self):
        """Then it is tried out what the broker does in its own time."""
        return "proxy" in self.place.ports

    def configuration(self):
        ports = self.place.ports
        proxied = self.is_proxied()
        alone = self.place.brokers == 1
        controllers = {n: ports[numbered("controller", n)] for n in range(1, self.place.brokers + 1)}
        return PROPERTIES.format(
            number=self.number,
            voters=",".join(f"{n}@127.0.0.1:{port}" for n, port in controllers.items()),
            port=ports[self.name],
            controller=controllers[self.number],
            brokers=self.place.brokers,
            insync=1 if alone else self.place.brokers - 1,
            session_ms=SESSION_ALONE_MS if alone else SESSION_MS,
            heartbeat_ms=HEARTBEAT_ALONE_MS if alone else HEARTBEAT_MS,
            data=self.data,
            listener=f",PROXIED://127.0.0.1:{ports['proxied']}" if proxied else "",
            advertised=f",PROXIED://127.0.0.1:{ports['proxy']}" if proxied else "",
        )

    def cluster(self):
        """The id that a broker of this stack has already; a new one where none has."""
        for name in self.place.broker_names():
            try:
                with open(self.place.path(name, "data", "meta.properties")) as file:
                    return re.search(r"(?m)^cluster\.id=(.*)$", file.read()).group(1)
            except FileNotFoundError:
                pass
        return "A" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]

    def format(self):
        cluster = self.cluster()
        with open(self.log, "ab") as output:
            done = subprocess.run(
                [*self.command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.properties, *self.format_options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=clean_environment(),
            )
        if done.returncode:
            raise Problem(f"Kafka's storage could not be formatted in {self.data}", self.log)

    def answers(self):
        asked = subprocess.run(
            ["kcat", "-b", self.address, "-L", "-m", "2"], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return asked.returncode == 0 and f"broker {self.number} at" in asked.stdout

    def wait(self):
        wait_until(lambda: not self.running() or self.answers(), READY_SECONDS)
        if not self.running():
            self.pidfile.remove()
            raise Problem("Kafka ended while it was starting", self.log)
        if not self.answers():
            raise Problem(f"Kafka on {self.address} gave no answer within {READY_SECONDS} s", self.log)

    def ask_to_stop(self):
        """All of several at once: the last ones could not take their leave of a controller that is gone."""
        if pid := self.running():
            os.kill(pid, signal.SIGTERM)

    def stop(self):
        self.pidfile.stop([(signal.SIGTERM, 20), KILL])

    def purge(self):
        shutil.rmtree(self.place.path(self.name), ignore_errors=True)
