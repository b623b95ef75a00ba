"""One private PostgreSQL server on 127.0.0.1 and a unix socket.

PENSTOCK_PG_BINDIR names the programs of another server than the newest that is installed. Where that has TimescaleDB, it is
loaded with it, so that databases may make the extension.

initdb refuses root, and the unprivileged user that is taken instead cannot enter a 0700 checkout: then the data lies
under /var/tmp (PENSTOCK_PG_ROOT) in a folder named after this stack's, linked from it. The folder carries the stack's
id: what an earlier stack of the same path left behind is moved aside, never taken over.
"""

import glob
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

from local_stack.process import KILL, PidFile, Problem, clean_environment, launch, start_time, wait_until, write_atomic

READY_SECONDS = 60
OLD_SERVER_SECONDS = 30
OLDEST = 15
BINDIR = "PENSTOCK_PG_BINDIR"
SOCKET_PATH_MAX = 80  # of 107, less the name that PostgreSQL appends

CONF = """\
# Written by ops/local/stack at every start.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
max_connections = 200
shared_buffers = '{shared_buffers}'
max_wal_size = '4GB'
checkpoint_timeout = '15min'
synchronous_commit = on
fsync = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
logging_collector = off
"""
TIMESCALE = """\
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
max_worker_processes = 32
"""


def bindir(major=None):
    """The newest installed server's programs, or those of the one version that a data folder was made by."""
    if chosen := os.environ.get(BINDIR):
        return chosen
    found = {}
    for path in glob.glob("/usr/lib/postgresql/*/bin"):
        version = re.search(r"/(\d+)/bin$", path)
        if version and os.access(os.path.join(path, "initdb"), os.X_OK):
            found[int(version.group(1))] = path
    if major is not None:
        if major not in found:
            raise Problem(
                f"the data was made by PostgreSQL {major}, which is not installed: apt-get install postgresql-{major}"
            )
        return found[major]
    if not found or max(found) < OLDEST:
        raise Problem(f"PostgreSQL {OLDEST} or newer is not installed: make install-deps")
    return found[max(found)]


def has_timescale(programs):
    """Whether the server that has these programs can load the extension."""
    asked = subprocess.run([os.path.join(programs, "pg_config"), "--sharedir"], capture_output=True, text=True)
    return os.path.exists(os.path.join(asked.stdout.strip(), "extension", "timescaledb.control"))


class Postgres:
    name = "postgres"

    def __init__(self, place):
        self.place = place
        self.log = place.log(self.name)
        self.pidfile = PidFile(place.run(self.name))
        self.link = place.path("pg")
        self.pgpass = place.path("pgpass")
        name = "penstock-" + hashlib.sha256(place.dir.encode()).hexdigest()[:12]
        self.outside = (
            os.path.join(os.environ.get("PENSTOCK_PG_ROOT") or "/var/tmp", name) if os.getuid() == 0 else None
        )
        self.data = os.path.join(self.outside, "data") if self.outside else self.link
        self.sockets = self.socket_folder()

    def socket_folder(self):
        folder = os.path.join(self.outside, "socket") if self.outside else self.place.path("run", "pg")
        return folder if len(folder) <= SOCKET_PATH_MAX else ""

    @property
    def port(self):
        return self.place.ports["postgres"]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def running(self):
        return self.pidfile.pid()

    # --- whose files these are ---------------------------------------------------------------------------------------
    def account(self):
        """Options for subprocess that make the server's programs run as somebody who is not root."""
        if os.getuid() != 0:
            return {}
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise Problem(
                "as root PostgreSQL runs as the user postgres, and there is none: make install-deps"
            ) from None
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def own(self, path, mode):
        os.makedirs(path, mode=mode, exist_ok=True)
        os.chmod(path, mode)
        if account := self.account():
            os.chown(path, account["user"], account["group"])

    def prepare_outside(self):
        stamp = os.path.join(self.outside, "stack")
        if os.path.lexists(self.outside):
            if os.path.islink(self.outside) or os.stat(self.outside).st_uid != 0:
                raise Problem(
                    f"{self.outside} belongs to somebody else; remove it, or set PENSTOCK_PG_ROOT to another folder"
                )
            with open(stamp) if os.path.exists(stamp) else open(os.devnull) as file:
                if file.read().strip() == self.place.id:
                    return
            self.set_aside()
        os.makedirs(self.outside, mode=0o755)
        os.chmod(self.outside, 0o755)
        write_atomic(stamp, self.place.id + "\n")

    def set_aside(self):
        """Data of a stack that stood in the same path and is gone: its server is stopped, its files are kept."""
        self.clear_lock_file()
        kept = f"{self.outside}.{time.strftime('%Y%m%dT%H%M%S')}"
        os.rename(self.outside, kept)
        self.place.say(
            f"an earlier stack of this path left its database: kept as {kept}; remove it when nothing in it is needed"
        )

    def processes(self):
        """A server and its backends work in the data folder."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{entry}/cwd") == self.data and start_time(int(entry)):
                    found.append(int(entry))
            except OSError:  # gone, or another user's
                pass
        return found

    def clear_lock_file(self):
        """Makes the folder free to be used.

        A server that this stack's pid file does not know is stopped; the backends of a killed one are waited for. What
        is then left of postmaster.pid is removed: the server itself would take its pid for a live one where that was
        given to another process, or where nothing reaps the dead (a container without an init).
        """
        lock = os.path.join(self.data, "postmaster.pid")
        try:
            with open(lock) as file:
                pid = int(file.readline())
        except (FileNotFoundError, ValueError):
            pid = None
        if pid in self.processes():
            os.kill(pid, signal.SIGINT)
        if not wait_until(lambda: not self.processes(), OLD_SERVER_SECONDS):
            raise Problem(f"another server still works in {self.data} (pid {pid}): it does not end")
        for left in [lock, *glob.glob(os.path.join(glob.escape(self.sockets), ".s.PGSQL.*") if self.sockets else "")]:
            if os.path.lexists(left):
                os.unlink(left)

    # --- the first start ---------------------------------------------------------------------------------------------
    def initdb(self):
        admin, user = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        with tempfile.NamedTemporaryFile("w", dir=self.outside or self.place.dir) as password:
            password.write(admin + "\n")
            password.flush()
            if account := self.account():
                os.chown(password.name, account["user"], account["group"])
            with open(self.log, "ab") as output:
                done = subprocess.run(
                    [
                        os.path.join(bindir(), "initdb"),
                        "-D",
                        self.data,
                        "-U",
                        "postgres",
                        f"--pwfile={password.name}",
                        "--auth=scram-sha-256",
                        "--encoding=UTF8",
                        "--locale=C.UTF-8",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=clean_environment(),
                    cwd="/",
                    **self.account(),
                )
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            raise Problem(f"initdb failed in {self.data}", self.log)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as file:
            file.write("\ninclude = 'penstock.conf'\n")
        lines = [f"*:*:*:postgres:{admin}", f"*:*:*:penstock:{user}"]
        write_atomic(self.pgpass, "\n".join(lines) + "\n", 0o600)

    def password(self):
        with open(self.pgpass) as file:
            return re.search(r":penstock:(.*)$", file.read(), re.M).group(1)

    def dsn(self, database="penstock"):
        """For workers: the socket, which saves a fifth of a load's time over TCP, where its path is not too long."""
        host = self.sockets or "127.0.0.1"
        return f"host={host} port={self.port} dbname={database} user=penstock password={self.password()}"

    # --- start, stop -------------------------------------------------------------------------------------------------
    def start(self, throwaway):
        if self.outside:
            self.prepare_outside()
            if not os.path.lexists(self.link):
                os.symlink(self.data, self.link)
        version = os.path.join(self.data, "PG_VERSION")
        made = os.path.exists(self.pgpass)  # written once initdb was through
        if made != os.path.exists(version):
            gone = version if made else self.pgpass
            anew = f"ops/local/stack --dir {self.place.dir} down --purge"
            raise Problem(f"{gone} is gone, without which the data is of no use; start anew: {anew}")
        if not made:
            shutil.rmtree(self.data, ignore_errors=True)  # at most an initdb that was interrupted
            self.own(self.data, 0o700)
            self.initdb()
        if self.sockets:
            self.own(self.sockets, 0o755)
        conf = CONF.format(
            port=self.port,
            sockets=self.sockets,
            shared_buffers="128MB" if throwaway else "256MB",
            durable="off" if throwaway else "on",
        )
        with open(version) as file:
            programs = bindir(int(file.read()))
        conf += TIMESCALE if has_timescale(programs) else ""
        write_atomic(os.path.join(self.data, "penstock.conf"), conf)
        self.clear_lock_file()
        launch(
            self.pidfile,
            [os.path.join(programs, "postgres"), "-D", self.data],
            self.log,
            clean_environment(),
            **self.account(),
        )

    def psql(self, sql, database="postgres"):
        """As the cluster's administrator. The statements go through a pipe: passwords do not appear in `ps`."""
        return subprocess.run(
            [
                os.path.join(bindir(), "psql"),
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "postgres",
                "-d",
                database,
            ],
            input=sql,
            capture_output=True,
            text=True,
            env=clean_environment(PGPASSFILE=self.pgpass, PGCONNECT_TIMEOUT="3"),
        )

    def answers(self):
        return self.psql("SELECT 1").returncode == 0

    def wait(self):
        wait_until(lambda: not self.running() or self.answers(), READY_SECONDS)
        if not self.running():
            self.pidfile.remove()
            raise Problem("PostgreSQL ended while it was starting", self.log)
        if not self.answers():
            raise Problem(f"PostgreSQL on {self.address} gave no answer within {READY_SECONDS} s", self.log)
        if self.psql("SELECT 1 FROM pg_database WHERE datname = 'penstock'").stdout == "":
            self.make_database()

    def make_database(self):
        done = self.psql(
            "SELECT 'CREATE ROLE penstock LOGIN CREATEDB' WHERE NOT EXISTS"
            " (SELECT FROM pg_roles WHERE rolname = 'penstock') \\gexec\n"
            f"ALTER ROLE penstock PASSWORD '{self.password()}';\n"
            "CREATE DATABASE penstock OWNER penstock;\n"
        )
        if done.returncode:
            raise Problem(f"the database penstock could not be made: {done.stderr.strip()}", self.log)

    def stop(self):
        self.pidfile.stop([(signal.SIGINT, 30), (signal.SIGQUIT, 10), KILL])

    def purge(self):
        if self.outside and os.path.isdir(self.outside) and not os.path.islink(self.outside):
            shutil.rmtree(self.outside)
        if os.path.islink(self.link):
            os.unlink(self.link)
        shutil.rmtree(self.link, ignore_errors=True)
        for path in (self.pgpass, self.place.path("dsn")):
            if os.path.exists(path):
                os.unlink(path)
