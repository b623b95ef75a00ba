"""What processes have used so far: CPU seconds, and their peak memory."""

import os

from harness.servers import PidFile

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """From the state on, which is the third field."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(") ", 1)[1].split()


def cpu_seconds(pid):
    words = stat(pid)
    return (int(words[11]) + int(words[12])) / TICKS


def tree_cpu_seconds(pid):
    """With its children, those that have ended too: PostgreSQL has a process for each connection."""
    total = 0
    for entry in os.listdir("/proc"):
        try:
            words = stat(entry) if entry.isdigit() else None
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words and pid in (int(entry), int(words[1])):
            total += sum(map(int, words[11:15] if int(entry) == pid else words[11:13]))
    return total / TICKS


def used(pipeline):
    """CPU seconds so far of each kind of worker and of the servers, by name."""
    found = {}
    for worker in pipeline.workers:
        if worker.running:
            found[worker.kind] = found.get(worker.kind, 0) + cpu_seconds(worker.pid)
    place = pipeline.servers.place
    for name in (*place.broker_names(), "postgres"):
        kind = name.split("-")[0]
        found[kind] = found.get(kind, 0) + tree_cpu_seconds(PidFile(place.run(name)).pid())
    return found


def peak_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


MEMORY_BAR = {"memory_mib": "<256"}


def memory(peaks):
    """Figures of a part: kind of worker to the peak of each of them."""
    found = {f"{kind}_peak_mib": max(values) for kind, values in peaks.items()}
    return found | {"memory_mib": max(found.values())}


def memory_of(*pipelines):
    """Of the workers that run."""
    peaks = {}
    for pipeline in pipelines:
        for worker in pipeline.workers:
            if worker.running:
                peaks.setdefault(worker.kind, []).append(peak_mib(worker.pid))
    return memory(peaks)
