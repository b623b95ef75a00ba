"""Bars from a vendor's file to rows: what is expected, read by the vendor's own decoder, and what is there."""

import json
import subprocess
from contextlib import contextmanager
from decimal import Decimal

import databento

from harness.pipeline import Pipeline

COUNTS = ("inserted", "updated", "unchanged", "duplicate", "superseded", "dead_letters")
ROWS_SQL = (
    'SELECT symbol, "interval", (extract(epoch FROM ts_event) * 1000000000)::bigint, dataset, publisher_id,'
    " instrument_id, open_price, high_price, low_price, close_price, volume FROM ohlcv_data"
)


def simulate(pipeline, folder, name="bars.dbn.zst", **options):
    """Writes a file; what the simulator says about it."""
    done = subprocess.run(
        [pipeline.program("penstock-simulator"), f"--write={folder / name}", "--json"]
        + [f"--{key.replace('_', '-')}={value}" for key, value in options.items()],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


@contextmanager
def loaded(servers, folders, runs=1, bars=300, broken=13, **subscription):
    """A pipeline with every worker, that has loaded one file so many times: dead letters, too. folders: tmp_path_factory."""
    pipeline = Pipeline(servers, folders.mktemp("pipeline"))
    try:
        folder = folders.mktemp("files")
        simulate(pipeline, folder, "bars.dbn.zst", bars=bars, symbols=4, broken=broken, seed=4)
        pipeline.subscribe("bars", folder / "bars.dbn.zst", **subscription)
        pipeline.prepare().start_all()
        pipeline.done = [pipeline.run(["bars"]) for _ in range(runs)]
        yield pipeline
    finally:
        pipeline.close()


class Decoded:
    """A file as the vendor's decoder reads it."""

    def __init__(self, path):
        self.store = databento.DBNStore.from_file(path)
        self.symbols = {}
        for raw, intervals in self.store.mappings.items():
            for interval in intervals:
                entry = (interval["start_date"], interval["end_date"], raw)
                self.symbols.setdefault(int(interval["symbol"]), []).append(entry)

    def symbol(self, record):
        """None where the file does not say whose record it is."""
        return self.symbol_on(record.instrument_id, record.pretty_ts_event.date())

    def symbol_on(self, instrument, day):
        return next((raw for a, end, raw in self.symbols.get(instrument, ()) if a <= day < end), None)

    def bar(self, record):
        return {
            "symbol": self.symbol(record),
            "interval": self.store.schema.value.removeprefix("ohlcv-"),
            "ts_event": record.ts_event,
            "dataset": self.store.dataset,
            "publisher_id": record.publisher_id,
            "instrument_id": record.instrument_id,
            "prices": [Decimal(p).scaleb(-9) for p in (record.open, record.high, record.low, record.close)],
            "volume": Decimal(record.volume),
        }


def bars_of(path, refused=()):
    """All bars of a file but the records with these ordinals (from 1, in its order)."""
    decoded = Decoded(path)
    return [decoded.bar(record) for ordinal, record in enumerate(decoded.store, 1) if ordinal not in refused]


def rows(pipeline):
    names = ("symbol", "interval", "ts_event", "dataset", "publisher_id", "instrument_id")
    return [dict(zip(names, row)) | {"prices": list(row[6:10]), "volume": row[10]} for row in pipeline.query(ROWS_SQL)]


def key(bar):
    return tuple(bar[name] for name in ("symbol", "interval", "ts_event", "dataset", "publisher_id"))


def assert_rows_are(pipeline, expected):
    found = sorted(rows(pipeline), key=key)
    assert found == sorted(expected, key=key)


def assert_good(run, fetched=None):
    assert run["status"] == "success" and run["balanced"] is True, json.dumps(run, indent=1)
    assert run["in_flight"] == 0
    assert run["fetched"] == sum(run[name] for name in COUNTS)
    assert [c["name"] for c in run["checks"] if not c["passed"]] == [] and len(run["checks"]) >= 3
    if fetched is not None:
        assert run["fetched"] == fetched


def load_with_letters(pipeline, folder, bars, broken):
    """All workers, a file of four symbols loaded; its broken bars are letters."""
    simulate(pipeline, folder, bars=bars, symbols=4, broken=broken, seed=4)
    pipeline.subscribe("bars", folder / "bars.dbn.zst")
    pipeline.start_all()
    run = pipeline.run(["bars"])
    assert_good(run, fetched=bars)
    assert run["dead_letters"] == broken
    return pipeline
