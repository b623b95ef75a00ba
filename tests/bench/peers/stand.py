"""The part `peers` of a benchmark: in each round our loader alone, then what people would use instead, one after the other."""

from bench.peers import COLUMNS, fill, peers, quoted
from bench.peers.loader import TABLE, Loader
from bench.rounds import Rounds

THEIRS = "theirs"
TOPICS = {"avro": "etl.clean.ohlcv", "json": "bench.json"}
BARS = {
    "loader_vs_connect": 4,
    "loader_vs_connect_per_cpu_second": 10,
    "loader_vs_python": 3,
    "loader_vs_python_per_cpu_second": 4,
}


class Stand:
    """pipeline: prepared, without a worker. Both tables have their month, so nobody has to make it."""

    def __init__(self, pipeline, rows, say):
        self.pipeline, self.rows, self.say = pipeline, rows, say
        self.servers = pipeline.servers
        self.loader = Loader(pipeline)
        fill.ensure_month(pipeline, TABLE)
        fill.create_table(pipeline, THEIRS)

    def topic(self, kind):
        return self.pipeline.topic(TOPICS[kind])

    def prepare(self, asked):
        """Those of the peers that there are; the topics that they read are full then."""
        found = []
        for peer in asked:
            if why := peer.available():
                self.say(f"skipped: {peer.name}: {why}")
                continue
            peer.prepare(self.servers, self.pipeline.folder)
            found.append(peer)
        for kind in sorted({each.kind for each in (self.loader, *found)}):
            if kind != self.loader.kind:
                fill.create_topic(self.servers, self.topic(kind))
            fill.fill(self.servers, self.topic(kind), kind, self.rows)
        return found

    def once(self, loader):
        table = TABLE if loader is self.loader else THEIRS
        self.pipeline.query(f"TRUNCATE {table}")
        dsn = self.servers.dsn(self.pipeline.database)
        result = loader.run(self.servers, self.topic(loader.kind), dsn, table, self.rows)
        if table == THEIRS:
            self.compare(loader)
        return result

    def compare(self, loader):
        """As many rows as ours they are already."""
        ours, theirs = (f"SELECT {quoted(COLUMNS)} FROM {table}" for table in (TABLE, THEIRS))
        missing = self.pipeline.value(f"SELECT count(*) FROM ({ours} EXCEPT ALL {theirs}) AS missing")
        assert missing == 0, f"{loader.name}: {missing} rows are not there as our loader loaded them"

    def round(self, found):
        """Name to result, ours first."""
        results = {}
        for each in (self.loader, *found):
            results[each.name] = result = self.once(each)
            self.say(
                f"{each.name:24}{result.speed:11,.0f} rows/s{result.thrift:13,.0f} rows per CPU-second"
                f"{result.peak_mib:8.0f} MiB"
            )
        return results


def figures(results, ours):
    found = {}
    for name, result in results.items():
        found |= {f"{name}_rows_per_s": result.speed, f"{name}_rows_per_cpu_second": result.thrift}
        found |= {f"{name}_peak_mib": result.peak_mib}
        if name != ours:
            found[f"{ours}_vs_{name}"] = results[ours].speed / result.speed
            found[f"{ours}_vs_{name}_per_cpu_second"] = results[ours].thrift / result.thrift
    return found


def measure(make_pipeline, options, say, asked=None):
    """asked: peers, by default those with the best settings that were found."""
    stand = Stand(make_pipeline(), options.rows, say)
    found = stand.prepare(peers() if asked is None else asked)
    rounds = Rounds(BARS)
    for number in range(1, options.rounds + 1):
        say(f"round {number}, {options.rows:,} rows")
        rounds.add(**figures(stand.round(found), stand.loader.name))
    return rounds
