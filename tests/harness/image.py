"""A Debian system of its own in a folder: made by debootstrap, entered and booted by systemd-nspawn. Needs root.

It shares the machine's network, so that its workers reach the servers of the tests, and nothing else.
PENSTOCK_TEST_IMAGE=FOLDER takes a copy of one that was made before: quicker while tests are being written.
"""

import os
import shutil
import signal
import subprocess

import pytest
from harness.waiting import wait_until
from harness.worker import die_with_parent

MAKE_SECONDS = 900
RUN_SECONDS = 300
BOOT_SECONDS = 60
NSPAWN = ["systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--link-journal=no"]
POWER_OFF = signal.SIGRTMIN + 4  # to an init that is systemd


def why_not():
    """What is missing here to make one; "": nothing."""
    if os.getuid() != 0:
        return "needs root"
    missing = [name for name in ("debootstrap", "systemd-nspawn", "nsenter", "apt-get") if not shutil.which(name)]
    return f"there is no {missing[0]} here" if missing else ""


def codename():
    with open("/etc/os-release") as file:
        values = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    return values["VERSION_CODENAME"]


def mirror():
    """Where this machine's own packages come from."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {codename()}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[0]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return None


class Image:
    def __init__(self, folder):
        self.root = str(folder)
        self.process = None
        self.leader = None
        if made := os.environ.get("PENSTOCK_TEST_IMAGE"):
            subprocess.run(["cp", "-a", "--reflink=auto", made + "/.", self.root], check=True)
        else:
            self.make()
        self.run("apt-get", "-q", "update")

    def make(self):
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=systemd-sysv,dbus", codename(), self.root, mirror()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MAKE_SECONDS,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr

    def path(self, name):
        return os.path.join(self.root, name.lstrip("/"))

    def write(self, name, text, mode=0o644):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def files(self):
        """Every name in it but for what the package manager writes about its own work, and what only a boot makes."""
        apart = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/log", "/var/lib/apt", "/var/lib/dpkg")
        found = set()
        for where, folders, names in os.walk(self.root):
            inside = where[len(self.root) :]
            if inside in apart:
                folders.clear()
                continue
            found.update(f"{inside}/{name}" for name in [*folders, *names])
        return found

    def run(self, *command, code=0):
        """A command in it, whether it is booted or not; checks its exit code (None: any). What it printed."""
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"]
        inside = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--"]
        outside = [*NSPAWN, "--pipe", f"--directory={self.root}"]
        done = subprocess.run(
            [*(inside if self.leader else outside), *environment, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        said = f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert code is None or done.returncode == code, said
        return done.stdout

    def boot(self):
        self.process = subprocess.Popen(
            [*NSPAWN, f"--directory={self.root}", "--boot"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self.leader = wait_until(self.find_leader, BOOT_SECONDS, "the image's init is there")
        wait_until(self.is_up, BOOT_SECONDS, lambda: self.run("systemctl", "list-jobs", code=None))
        return self

    def find_leader(self):
        """The child that has become the image's init; before it there are others."""
        assert self.process.poll() is None, f"systemd-nspawn ended with {self.process.returncode}"
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            children = file.read().split()
        return next((child for child in children if name_of(child) == "systemd"), None)

    def is_up(self):
        """Whether its init has taken over and has nothing more to start."""
        said = subprocess.run(
            ["nsenter", "--target", self.leader, "--mount", "--pid", "--", "systemctl", "is-system-running"],
            capture_output=True,
            text=True,
        )
        return said.stdout.strip() in ("running", "degraded")

    def shut_down(self):
        if self.process and self.process.poll() is None:
            if self.leader and name_of(self.leader) == "systemd":
                os.kill(int(self.leader), POWER_OFF)
            try:
                self.process.wait(BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()  # its namespaces go with it
                self.process.wait()
        self.process = self.leader = None

    def close(self):
        self.shut_down()
        shutil.rmtree(self.root, ignore_errors=True)


def make_image(folder):
    if why := why_not():
        pytest.skip(f"image: skipped ({why})")
    return Image(folder)
