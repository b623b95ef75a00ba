"""Our own loader, alone on its full topic, measured as the others are."""

from bench.peers import Result
from bench.peers.watch import measure

TABLE = "ohlcv_data"
STOP_SECONDS = 60


class Loader:
    name = "loader"
    kind = "avro"

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def run(self, servers, topic, dsn, table, rows) -> Result:
        """The loader reads where its own names lead it; what it knows of an earlier time is forgotten."""
        assert table == TABLE and topic == self.pipeline.topic("etl.clean.ohlcv")
        self.pipeline.query("TRUNCATE etl.offsets, etl.ledger")
        worker = self.pipeline.start("loader", ready=False)
        try:
            result = measure(worker, dsn, table, rows)
            assert worker.stop(STOP_SECONDS) == 0, worker.tail()
        finally:
            worker.kill()
            self.pipeline.workers.remove(worker)
        return result
