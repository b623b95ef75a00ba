"""Whether a table holds exactly the bars of files, however many: what the vendor's decoder reads, as columns of numbers."""

from datetime import date, timedelta

import numpy
from harness.bars import Decoded

COLUMNS = ("instrument_id", "ts_event", "publisher_id", "open", "high", "low", "close", "volume")
ROWS_SQL = (
    "COPY (SELECT instrument_id::bigint, (extract(epoch FROM ts_event) * 1000000000)::bigint, publisher_id::bigint,"
    " (open_price * 1000000000)::bigint, (high_price * 1000000000)::bigint, (low_price * 1000000000)::bigint,"
    " (close_price * 1000000000)::bigint, volume::bigint FROM ohlcv_data) TO STDOUT (FORMAT binary)"
)
NAMES_SQL = "SELECT DISTINCT instrument_id, (ts_event AT TIME ZONE 'UTC')::date, symbol, \"interval\", dataset FROM ohlcv_data"
DAY_NS = 86_400 * 10**9
HEADER_BYTES, TRAILER_BYTES = 19, 2
ROW = numpy.dtype([("fields", ">i2"), ("values", [("size", ">i4"), ("value", ">i8")], (len(COLUMNS),))])
SHOWN = 3


def in_order(rows):
    """By key, which is what the first columns are."""
    return rows[numpy.lexsort(rows.T[::-1])]


class Bars:
    """What is to be in the table: files that are added one by one."""

    def __init__(self):
        self.parts = []
        self.names = set()  # which symbol an instrument has on which day

    def add(self, path):
        decoded = Decoded(path)
        records = decoded.store.to_ndarray()
        rows = numpy.stack([records[name].astype(numpy.int64) for name in COLUMNS], axis=1)
        interval = decoded.store.schema.value.removeprefix("ohlcv-")
        for instrument, number in numpy.unique(rows[:, :2] // [1, DAY_NS], axis=0).tolist():
            day = date(1970, 1, 1) + timedelta(days=number)
            self.names.add((instrument, day, decoded.symbol_on(instrument, day), interval, decoded.store.dataset))
        self.parts.append(rows)
        return self

    @property
    def rows(self):
        return in_order(numpy.concatenate(self.parts))


def rows_of(pipeline):
    with pipeline.connect() as connection, connection.cursor().copy(ROWS_SQL) as copy:
        data = b"".join(copy)
    found = numpy.frombuffer(data[HEADER_BYTES:-TRAILER_BYTES], dtype=ROW)
    assert (found["values"]["size"] == 8).all(), "a column is null"
    return in_order(found["values"]["value"].astype(numpy.int64))


def only_in(these, those):
    """Rows, as tuples."""
    return sorted(set(map(tuple, these.tolist())) - set(map(tuple, those.tolist())))


def wrong_rows(pipeline, bars):
    """What differs, in words."""
    expected, found = bars.rows, rows_of(pipeline)
    if not numpy.array_equal(expected, found):
        for word, rows in (("missing", only_in(expected, found)), ("too many", only_in(found, expected))):
            if rows:
                yield f"rows: {len(rows)} of {len(expected)} {word}: {rows[:SHOWN]}"
        if len(expected) != len(found):
            yield f"rows: {len(found)} are there, {len(expected)} should be"
    names = set(pipeline.query(NAMES_SQL))
    if names != bars.names:
        yield f"symbols of instruments: {sorted(names ^ bars.names, key=str)[:SHOWN]}"
