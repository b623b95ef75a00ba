"""A peer's process: its settings in a file that only its owner reads, its output in another, ended with the run."""

import json
import os

from bench.peers.watch import measure
from harness.worker import Worker

DIRECT = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def write_secret(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def write_json(path, settings):
    return write_secret(path, json.dumps(settings, indent=1) + "\n")


def write_properties(path, settings):
    """Java's: a backslash there begins an escape."""
    lines = (f"{key}={value}".replace("\\", "\\\\") for key, value in settings.items())
    return write_secret(path, "\n".join(lines) + "\n")


def run(name, argv, folder, dsn, table, rows):
    worker = Worker(name, name, argv, dict(os.environ) | DIRECT, folder)
    try:
        return measure(worker, dsn, table, rows)
    finally:
        worker.kill()
