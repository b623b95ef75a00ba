"""How long a worker takes from its start until it is ready; how long a stage is behind after one of its workers was killed."""

import tempfile
import time
from pathlib import Path

from chaos import recovery
from harness.pipeline import KINDS
from harness.waiting import wait_until

from bench.rounds import Rounds

READY_SECONDS = 60
LOOK_SECONDS = 0.002


def start(pipeline, kind):
    """Seconds from spawn to /readyz; it has ended afterwards."""
    begun = time.monotonic()
    worker = pipeline.spawn(kind)
    wait_until(worker.is_ready, READY_SECONDS, lambda: f"{worker.name} is ready:\n{worker.tail()}", every=LOOK_SECONDS)
    seconds = time.monotonic() - begun
    assert worker.stop() == 0, worker.tail()
    return seconds


def measure(make_pipeline, options, say):
    """Each alone: nobody else is in its group."""
    pipeline = make_pipeline()
    rounds = Rounds()
    for number in range(1, options.rounds + 1):
        found = {f"{kind}_ready_ms": start(pipeline, kind) * 1000 for kind in KINDS}
        rounds.add(**found)
        say(f"round {number}: " + ", ".join(f"{kind} {found[f'{kind}_ready_ms']:,.0f} ms" for kind in KINDS))
    return rounds


def measure_recovery(make_pipeline, options, say):
    """As tests/chaos/recovery.py does it: two workers of each kind, the sessions that users have."""
    servers = make_pipeline().servers
    rounds = Rounds({f"{kind}_full_speed_s": f"<{recovery.LIMIT_SECONDS}" for kind in recovery.KINDS})
    for number in range(1, options.rounds + 1):
        found = {}
        for kind in recovery.KINDS:
            with tempfile.TemporaryDirectory(prefix=f"recovery-{kind}-", dir=options.folder) as folder:
                measured = recovery.measure(servers, Path(folder), kind, options.rows)
            say(f"round {number}: {measured}")
            found |= {f"{kind}_full_speed_s": measured.seconds, f"{kind}_in_flight_most": measured.in_flight_most}
        rounds.add(**found)
    return rounds
