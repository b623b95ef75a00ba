"""A certificate authority of a test's own, and what it vouches for: all made by openssl when it is asked."""

import os
import subprocess

DAYS = "2"
SECRET = "hush-key-4714"  # of the keys that are encrypted


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """Files in a folder: ca.pem; for each name NAME.key, NAME.pem."""

    def __init__(self, folder, name="penstock-tests"):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.key, self.certificate = self.path("ca.key"), self.path("ca.pem")
        subject = ["-subj", f"/CN={name} CA", "-days", DAYS]
        openssl("req", "-x509", *self.new_key(self.key), *subject, "-out", self.certificate)

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]

    def issue(self, name, *hosts):
        """Key and certificate of a server that is called so, or of a client; their paths."""
        key, request, certificate = (self.path(f"{name}.{end}") for end in ("key", "csr", "pem"))
        extensions = self.path(f"{name}.ext")
        with open(extensions, "w") as file:
            file.write("basicConstraints = CA:FALSE\n")
            if hosts:
                file.write("subjectAltName = " + ", ".join(f"DNS:{host}" for host in hosts) + "\n")
        openssl("req", *self.new_key(key), "-subj", f"/CN={name}", "-out", request)
        signed = ["-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", DAYS, "-extfile", extensions]
        openssl("x509", "-req", "-in", request, *signed, "-out", certificate)
        return key, certificate

    def encrypt(self, name):
        """The same key, which wants a password; its path."""
        encrypted = self.path(f"{name}.encrypted.key")
        openssl("pkcs8", "-topk8", "-in", self.path(f"{name}.key"), "-passout", f"pass:{SECRET}", "-out", encrypted)
        return encrypted

    def keystore(self, name):
        """Key and certificate in one file, as Kafka's broker takes them; its path."""
        path = self.path(f"{name}.keystore.pem")
        with open(path, "w") as file:
            for part in (f"{name}.key", f"{name}.pem"):
                with open(self.path(part)) as source:
                    file.write(source.read())
        return path
