"""What people would load bars with instead of our loader, each measured as our loader is.

A peer has a `name` and the `kind` of topic that it reads ("avro" or "json"), and

    available()                             None, or the line that says why it is skipped; gets what it needs
    prepare(servers, folder)                once, before the first run
    run(servers, topic, dsn, table, rows)   a Result; the topic is full, the table empty, no process stays behind
"""

from dataclasses import dataclass

KEY = ("symbol", "interval", "ts_event", "dataset", "publisher_id")
COLUMNS = KEY + (
    "instrument_id",
    "open_price",
    "high_price",
    "low_price",
    "close_price",
    "volume",
    "ticker",
    "venue",
    "session_date",
    "session_basis",
    "flags",
    "attempt",
    "as_of",
)


@dataclass
class Result:
    """Between two looks at the table, see watch.measure: rows that came, seconds, and the processes' CPU seconds."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_mib: float

    @property
    def speed(self):
        return self.rows / self.seconds

    @property
    def thrift(self):
        """Rows a CPU second of the loader's own processes: neither the broker's nor the database's."""
        return self.rows / self.cpu_seconds


def quoted(names, prefix=""):
    return ", ".join(f'{prefix}"{name}"' for name in names)


def upsert(table, staging):
    """As a desk would write it: of equal keys the newest, and what is there only where it is older."""
    rest = [name for name in COLUMNS if name not in KEY]
    return (
        f"INSERT INTO {table} AS old ({quoted(COLUMNS)})"
        f" SELECT DISTINCT ON ({quoted(KEY)}) {quoted(COLUMNS)} FROM {staging}"
        f" ORDER BY {quoted(KEY)}, as_of DESC, attempt DESC"
        f" ON CONFLICT ({quoted(KEY)}) DO UPDATE SET ({quoted(rest)}) = ({quoted(rest, 'EXCLUDED.')})"
        f" WHERE (EXCLUDED.as_of, EXCLUDED.attempt) > (old.as_of, old.attempt)"
    )


def peers():
    from bench.peers.connect import Connect
    from bench.peers.java import JavaConsumer
    from bench.peers.python_consumer import PythonConsumer

    return [Connect(), PythonConsumer(), JavaConsumer()]


def variants():
    """What was tried to find the settings that peers() have."""
    from bench.peers import connect, java, python_consumer

    return [*python_consumer.variants(), *java.variants(), *connect.variants()]
