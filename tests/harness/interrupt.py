"""A process that is told to end cleans up as after ctrl-c."""

import signal


def interrupt(*_):
    raise KeyboardInterrupt


def clean_up_on_sigterm():
    """Not by way of SIGINT: a shell's background jobs ignore that."""
    signal.signal(signal.SIGTERM, interrupt)
