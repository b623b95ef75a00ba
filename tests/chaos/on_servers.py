"""Faults of the servers and of the way to them."""

import contextlib
import os
import shutil
import subprocess

from harness.servers import stack
from local_stack.postgres import bindir
from local_stack.process import PidFile, clean_environment

from chaos.fault import SEEN_SECONDS, Fault
from chaos.on_workers import SESSION_SECONDS

SILENT_SECONDS = 4.0  # how long a database is silent at most
BACKUP_SECONDS = 60
# Of Kafka's log; see ops/local/local_stack/kafka.py.
STARTED = "Performing controller activation"
LOADED = "Finished loading of metadata from __consumer_offsets"
MIXED_UP = "Ignored load completion from __consumer_offsets"
SETTLED_SECONDS = 2.0
AGAIN_MAX = 3
DAY_NS = 86_400 * 10**9


class Restart(Fault):
    """Broker or database goes, and comes again."""

    def __init__(self, name, place, chance, server, how):
        super().__init__(name, place, chance)
        self.server = server
        self.how = how

    def inject(self):
        self.place.restart(self.server, self.how)

    def answer(self):
        """A broker that was killed may mix up two loads of its groups, and says so; an operator starts it again."""
        for _ in range(AGAIN_MAX if (self.server, self.how) == ("kafka", "KILL") else 0):
            self.place.wait(lambda: LOADED in self.said(), SEEN_SECONDS, "the broker has loaded its groups")
            self.place.let_pass(SETTLED_SECONDS)
            if MIXED_UP not in self.said():
                break
            print("  the broker has mixed up its groups; it is started again", flush=True)
            self.place.restart(self.server, "TERM")

    def said(self):
        """What stands in the broker's log since it was started last."""
        with open(self.place.servers.place.log("kafka"), errors="replace") as file:
            return file.read().rpartition(STARTED)[2]


class Net(Fault):
    """Traffic between workers (one of them, or all) and a server is cut, refused, delayed or swallowed."""

    moments = (0.0, 0.6)

    def __init__(self, name, place, chance, proxy, how):
        super().__init__(name, place, chance)
        self.proxy = proxy
        self.how = how
        to_postgres = proxy is place.servers.to_postgres
        self.kinds = ("loader", "orchestrator") if to_postgres else None
        self.heals = 0 if to_postgres else 1

    def victims(self):
        running = [seat for seat in self.place.fleet.running() if not self.kinds or seat.kind in self.kinds]
        return [self.chance.choice(running)] if running and self.chance.random() < 0.6 else running

    def inject(self):
        self.seats = self.victims()
        self.pids = pids = [seat.worker.pid for seat in self.seats]
        if self.how == "delay":
            self.proxy.delay(self.chance.uniform(0.05, 0.4), pids)
        else:
            getattr(self.proxy, self.how)(pids)

    def heal(self):
        """What is silent lasts until a session may be over, what is slow until much is done, a cut is a moment."""
        try:
            if self.how == "hole":
                self.stay_silent()
            elif self.how == "delay":
                self.place.come_to(min(1.0, self.place.progress() + 0.2))
        finally:
            self.proxy.heal()

    def stay_silent(self):
        """Past the sessions of consumers; of connections to a database nobody is told, so for some seconds."""
        if self.proxy is self.place.servers.to_postgres:
            return self.place.let_pass(self.chance.uniform(1.0, SILENT_SECONDS))
        for kind in {seat.kind for seat in self.seats} - {"orchestrator"}:
            self.place.wait(
                lambda kind=kind: self.place.group_members(kind) == self.heard(kind),
                SESSION_SECONDS,
                f"{kind}: who is silent is out of the group",
            )
        return None

    def heard(self, kind):
        """How many are not silent: who was killed meanwhile is back as another process."""
        return sum(
            1 for seat in self.place.fleet.running(kind) if seat.worker.pid not in self.pids and not seat.stopped
        )


class DiskFull(Fault):
    """The tablespace that the bars are in has no room left."""

    alone = True
    size = "64m"
    name_in_database = "small"

    @staticmethod
    def impossible(place):
        if os.getuid() != 0:
            return "only root can mount a small file system"
        probe = place.folder / "probe"
        probe.mkdir(exist_ok=True)
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", probe], capture_output=True, text=True
        )
        if tried.returncode:
            return f"no small file system can be mounted: {tried.stderr.strip()}"
        subprocess.run(["umount", probe], check=True)
        return ""

    def before(self):
        self.mount = os.path.join(self.place.servers.postgres.outside, "small")
        os.makedirs(self.mount, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.mount], check=True)
        self.room = os.path.join(self.mount, "space")
        self.place.servers.postgres.own(self.room, 0o700)
        self.admin(
            f"CREATE TABLESPACE {self.name_in_database} OWNER penstock LOCATION '{self.room}';", "the tablespace"
        )
        for day in sorted({bar["ts_event"] // DAY_NS for bar in self.place.workload.rows.values()}):
            self.place.pipeline.query("SELECT etl.ensure_month('ohlcv_data', '1970-01-01'::date + %s::integer)", day)
        self.move(self.name_in_database)

    def admin(self, sql, what):
        done = self.place.servers.postgres.psql(sql, self.place.pipeline.database)
        assert done.returncode == 0, f"{what}: {done.stderr}"

    def move(self, space):
        """The months that are there, and those to come."""
        pipeline = self.place.pipeline
        months = pipeline.query(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ohlcv_data'::regclass"
        )
        for (table,) in months:
            pipeline.query(f"ALTER TABLE {table} SET TABLESPACE {space}")
            indexes = pipeline.query(
                "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass", table
            )
            for (index,) in indexes:
                pipeline.query(f"ALTER INDEX {index} SET TABLESPACE {space}")
        pipeline.query(f"ALTER TABLE ohlcv_data SET TABLESPACE {space}")

    def inject(self):
        """Fills what is left; a little room is found at first."""
        self.filler = os.path.join(self.mount, "filler")
        with open(self.filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def heal(self):
        def full():
            return any("No space left" in seat.worker.log() for seat in self.place.fleet.running("loader"))

        try:
            self.place.keep_busy(full, SEEN_SECONDS, "a loader finds the disk full")
        finally:
            os.unlink(self.filler)

    def answer(self):
        self.place.wait(self.place.ended, SEEN_SECONDS, "the run ends once there is room")
        self.move("pg_default")
        self.admin(f"DROP TABLESPACE {self.name_in_database};", "the tablespace")

    def end(self):
        if os.path.ismount(self.mount):
            subprocess.run(["umount", "-l", self.mount], check=True)


class Backup(Fault):
    """The database is put back to an earlier base backup; the run that it does not know is run again."""

    alone = True
    moments = (0.1, 0.6)

    def before(self):
        postgres = self.place.servers.postgres
        self.copy = os.path.join(postgres.outside or str(self.place.folder), "backup")
        self.take = self.chance.random() < 0.5  # before the run, else in its middle
        if self.take:
            self.take_backup()

    def take_backup(self):
        postgres = self.place.servers.postgres
        shutil.rmtree(self.copy, ignore_errors=True)
        subprocess.run(
            [os.path.join(bindir(), "pg_basebackup"), "-D", self.copy, "-c", "fast", "-X", "stream"]
            + ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres"],
            env=clean_environment(PGPASSFILE=postgres.pgpass),
            check=True,
            capture_output=True,
            timeout=BACKUP_SECONDS,
        )

    def inject(self):
        if not self.take:
            self.take_backup()
        self.place.wait_progress(min(0.95, self.moment + 0.3))
        self.put_back()

    def put_back(self):
        postgres = self.place.servers.postgres
        for connection in self.place.pipeline.connections.values():
            connection.close()
        PidFile(self.place.servers.place.run("postgres")).stop([(2, 30)])
        shutil.rmtree(postgres.data)
        subprocess.run(["cp", "-a", self.copy, postgres.data], check=True)
        if account := postgres.account():
            subprocess.run(["chown", "-R", f"{account['user']}:{account['group']}", postgres.data], check=True)
        os.chmod(postgres.data, 0o700)
        stack(self.place.servers.folder, "up", "--only", "kafka,postgres", "--throwaway")

    def answer(self):
        """What is in the topics of a run that nobody knows is loaded; then the files are run again."""
        shutil.rmtree(self.copy)
        place = self.place
        known = [run for run in place.runs if place.status(run)]
        place.runs[:] = known
        for run in known:
            place.wait(lambda number=run: place.status(number) in ("success", "failed"), SEEN_SECONDS, "it ends")
        place.start_run()
