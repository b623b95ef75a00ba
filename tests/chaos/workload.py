"""A known workload: files of made-up bars, some broken, and what must become of every record in them.

What is expected is worked out from what the vendor's own decoder reads, not from what the pipeline says.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

from harness.bars import Decoded, key, simulate

PRICE_MAX = 10**9 * 10**9
VOLUME_MAX = 10**15
YEAR_1990_NS = 631_152_000 * 10**9
YEAR_2100_NS = 4_102_444_800 * 10**9
MINUTE_NS = 60 * 10**9


def refusal(decoded, record):
    """The class of the dead letter that a record must become; None: it must become a row."""
    prices = (record.open, record.high, record.low, record.close)
    if decoded.symbol(record) is None:
        return "decode_errors"
    if (
        record.high < max(record.low, record.open, record.close)
        or record.low > min(record.open, record.close)
        or any(not 0 < price <= PRICE_MAX for price in prices)  # the dataset is one of shares
        or record.volume > VOLUME_MAX
        or not YEAR_1990_NS <= record.ts_event <= YEAR_2100_NS
    ):
        return "validation_failures"
    return "transformation_errors" if record.ts_event % MINUTE_NS else None


@dataclass
class Workload:
    folder: Path
    records: int = 0
    rows: dict = field(default_factory=dict)  # key: bar
    letters: dict = field(default_factory=dict)  # path: {ordinal: class}

    @property
    def pattern(self):
        return self.folder / "*.dbn.zst"

    def add(self, path):
        decoded = Decoded(path)
        self.letters[str(path)] = {}
        for ordinal, record in enumerate(decoded.store, 1):
            self.records += 1
            refused = refusal(decoded, record)
            if refused:
                self.letters[str(path)][ordinal] = refused
                continue
            bar = decoded.bar(record)
            self.rows[key(bar)] = bar


def make(pipeline, folder, seed, files=12, bars=1500):
    """Files of different days, so that no two say something about one key."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    workload = Workload(folder)
    for number in range(files):
        simulate(
            pipeline,
            folder,
            f"{number:02}.dbn.zst",
            bars=bars,
            symbols=chance.randint(8, 60),
            seed=chance.randrange(1 << 31),
            broken=chance.randint(0, 26),
            start=f"20{10 + chance.randrange(2):02}-{number % 12 + 1:02}-0{chance.randint(1, 9)}",
        )
        workload.add(folder / f"{number:02}.dbn.zst")
    return workload
