"""Figures are ratios of things measured in turn, in one run: their median over the rounds, and how far these are apart."""

import os
import platform
import statistics

SPREAD_WIDE = 0.25


class Rounds:
    """One dict of figures a round."""

    def __init__(self, bars=None):
        self.rows = []
        self.bars = bars or {}  # name of a ratio: its least (or, where it begins with "<", its greatest) value

    def add(self, **figures):
        self.rows.append(figures)

    def values(self, name):
        return [row[name] for row in self.rows if row.get(name) is not None]

    def median(self, name):
        return statistics.median(self.values(name))

    def spread(self, name):
        values, middle = self.values(name), self.median(name)
        return (max(values) - min(values)) / middle if middle else 0.0

    def names(self):
        return list(dict.fromkeys(name for row in self.rows for name in row if row[name] is not None))

    def summary(self):
        found = {}
        for name in self.names():
            bar = self.bars.get(name)
            entry = {"median": round(self.median(name), 4), "spread": round(self.spread(name), 3), "rounds": len(self.values(name))}
            if bar is not None:
                entry |= {"bar": bar, "holds": holds(entry["median"], bar)}
            if entry["spread"] > SPREAD_WIDE:
                entry["warning"] = "the rounds are too far apart to say much: something else ran on this machine"
            found[name] = entry
        return found


def holds(value, bar):
    if isinstance(bar, str):
        return value <= float(bar.removeprefix("<"))
    return value >= bar


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    return {"cpus": os.cpu_count(), "processor": model, "system": platform.platform(), "load_before": round(os.getloadavg()[0], 2)}
