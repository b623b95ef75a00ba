"""The one place where a test waits: for a condition, with a deadline."""

import os
import time

POLL_SECONDS = 0.05
PATIENCE = float(os.environ.get("PENSTOCK_PATIENCE", "1"))  # deadlines are for what never comes, not for slow machines


def patient(seconds):
    """The deadline of a process or a call that is waited for in another way."""
    return seconds * PATIENCE


def wait_until(condition, seconds, what, every=POLL_SECONDS):
    """The condition's first true value. `what` says in the failure what was waited for; it may be a callable."""
    seconds = patient(seconds)
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)
    return value


def remains(condition, seconds, what):
    """Fails as soon as the condition is false within that time: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), what() if callable(what) else what
        time.sleep(POLL_SECONDS)
