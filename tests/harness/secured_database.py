"""A PostgreSQL that takes connections over TLS with SCRAM-SHA-256 and no others; Kafka is the session's.

For what changes the whole server, too: roles are every database's.
"""

import os
import shutil
import subprocess

from harness.servers import Servers, stack
from harness.waiting import wait_until
from local_stack.place import Place
from local_stack.postgres import Postgres

HOST = "localhost"  # whom the server's certificate is for; 127.0.0.1 is another name
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
HBA = """\
hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl all all 127.0.0.1/32 scram-sha-256
"""


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """A CA made now, and what it signs."""

    def __init__(self, folder, name):
        self.folder = str(folder)
        self.key, self.certificate = self.path(name + ".key"), self.path(name + ".pem")
        openssl("req", "-x509", *KEY, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def path(self, name):
        return os.path.join(self.folder, name)

    def sign(self, name, host=None):
        """(certificate, key) of that common name."""
        certificate, key = self.path(name + ".pem"), self.path(name + ".key")
        names = ["-addext", f"subjectAltName=DNS:{host}"] if host else []
        openssl("req", "-x509", *KEY, "-CA", self.certificate, "-CAkey", self.key, "-subj", f"/CN={name}", *names,
                "-keyout", key, "-out", certificate)  # fmt: skip
        os.chmod(key, 0o600)
        return certificate, key


class SecuredServers(Servers):
    """What a Pipeline asks of Servers."""

    def __init__(self, session):
        super().__init__(own=True)
        self.session = session

    def start(self):
        stack(self.folder, "up", "--only", "postgres", "--throwaway")
        self.place = Place(self.folder)
        self.postgres = Postgres(self.place)
        self.kafka = self.session.kafka
        self.authority = Authority(self.folder, "authority")
        self.secure()

    def secure(self):
        for source, name in zip(self.authority.sign("server", HOST), ("server.crt", "server.key"), strict=True):
            self.give(source, name)
        self.give(self.authority.certificate, "root.crt")
        hba = os.path.join(self.folder, "pg_hba.conf")
        with open(hba, "w") as file:
            file.write(HBA)
        self.give(hba, "pg_hba.conf")
        for setting in ("ssl = on", "ssl_ca_file = 'root.crt'"):
            self.administer(f"ALTER SYSTEM SET {setting}")
        self.administer("SELECT pg_reload_conf()")
        wait_until(lambda: self.administer("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t", 20, "TLS")

    def give(self, source, name):
        """A file of the server's, that nobody else may read."""
        path = os.path.join(self.postgres.data, name)
        shutil.copyfile(source, path)
        os.chmod(path, 0o600)
        if account := self.postgres.account():
            os.chown(path, account["user"], account["group"])

    def administer(self, statement, database="postgres"):
        """As the server's administrator; what it answers."""
        done = self.postgres.psql(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def unique(self, stem):
        return self.session.unique(stem)

    def free_port(self):
        return self.session.free_port()

    def dsn(self, database="penstock", user="penstock", password="", **more):
        """password: that of `penstock`, unless another one is said; None: none."""
        words = {
            "host": HOST, "port": self.postgres.port, "dbname": database, "user": user,
            "password": self.postgres.password() if password == "" else password, "sslmode": "verify-full",
            "sslrootcert": self.authority.certificate,
        }  # fmt: skip
        return " ".join(f"{key}={value}" for key, value in (words | more).items() if value is not None)
