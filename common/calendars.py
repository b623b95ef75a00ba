#!/usr/bin/env python3
"""Writes common/calendars.yaml: on which weekdays markets are closed, as the Python package exchange_calendars knows them.

    build/venv/bin/python common/calendars.py > common/calendars.yaml
"""

import textwrap

import exchange_calendars
import pandas

FIRST, LAST = "2000-01-01", "2027-12-31"
NAMES = ("CMES", "IEPA", "XCBF", "XEUR", "XNYS", "XTKS")  # those of common/datasets.yaml

HEAD = """\
# When markets are closed, written by common/calendars.py: do not edit. Each is open from Monday to Friday, from `first` to `last`,
# but for the days that `closed` names. Of other days nothing is known.
calendars:
"""


def closed(name, first=FIRST, last=LAST):
    """Weekdays without a session."""
    sessions = exchange_calendars.get_calendar(name, start=first, end=last).sessions
    assert all(day.weekday() < 5 for day in sessions), f"{name} is open on weekends"
    return [str(day.date()) for day in pandas.bdate_range(first, last).difference(sessions)]


def main():
    print(HEAD, end="")
    for name in NAMES:
        print(f"  - name: {name}\n    first: {FIRST}\n    last: {LAST}\n    closed: >-")
        print(textwrap.fill(" ".join(closed(name)), 120, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False))


if __name__ == "__main__":
    main()
