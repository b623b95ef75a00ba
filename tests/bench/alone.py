"""Each stage alone on full topics, one after the other with the same records, beside direct COPY of the rows."""

import json
import os
import subprocess

from confluent_kafka.admin import AdminClient, NewTopic
from harness.servers import TOP

from bench.process import MEMORY_BAR, memory, peak_mib
from bench.rounds import Rounds
from bench.stand import RUN_SECONDS, Watch, direct_copy, empty, end_to_end, save_rows
from bench.workloads import make

STAGES = ("fetcher", "validator", "transformer", "loader")
BARS = {"loader_vs_copy": 0.85, "validator_and_transformer_cpu_us": "<3"} | MEMORY_BAR


def through(pipeline, run, records, peaks):
    """Every stage for itself: what each needed."""
    found = {}
    for kind in STAGES:
        worker = pipeline.spawn(kind)
        worker.wait_event("http_listening")
        found[kind] = Watch(worker, records).wait()
        if kind == "loader":
            pipeline.wait_run(run, RUN_SECONDS)
        peaks[kind].append(peak_mib(worker.pid))
        assert worker.stop() == 0
    return found


def bare_hop(pipeline, number, records, at_once):
    """A hop that does nothing but forward what the validator reads, by the client alone: no stage can take less."""
    source, target, group = pipeline.topic("etl.raw.ohlcv"), pipeline.topic("bench.hop"), pipeline.topic(f"bench.hop.{at_once}.{number}")
    admin = AdminClient(pipeline.kafka())
    if target not in admin.list_topics(timeout=10).topics:
        partitions = len(pipeline.partitions("etl.raw.ohlcv"))
        admin.create_topics([NewTopic(target, partitions, 1)])[target].result(10)
    program = os.path.join(TOP, "build", "bin", "bench-hop")
    words = [program, pipeline.servers.kafka, source, target, group, str(records), str(at_once)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, timeout=RUN_SECONDS).stdout)


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    bars = make(pipeline, "w1", options.rows).records
    pipeline.start_all()
    end_to_end(pipeline, ["w1"], inserted=bars)
    paths = save_rows(pipeline, os.path.join(pipeline.folder, "rows"))
    for kind in STAGES:
        for worker in pipeline.of(kind):
            worker.stop()
    rounds, peaks = Rounds(BARS), {kind: [] for kind in STAGES}
    for number in range(1, options.rounds + 1):
        empty(pipeline)
        copy = bars / direct_copy(pipeline, paths, bars)
        empty(pipeline)
        found = through(pipeline, pipeline.api.start_run(["w1"]), bars, peaks)
        found["bare_hop"] = bare_hop(pipeline, number, bars, 1)
        found["batched_hop"] = bare_hop(pipeline, number, bars, 1000)
        both = found["validator"]["cpu_us"] + found["transformer"]["cpu_us"]
        figures = {f"{kind}_{name}": value for kind, each in found.items() for name, value in each.items()}
        rounds.add(
            **figures,
            loader_vs_copy=found["loader"]["rate"] / copy,
            validator_and_transformer_cpu_us=both,
            validator_and_transformer_vs_bare_hops=both / (2 * found["bare_hop"]["cpu_us"]),
            copy_rate=copy,
        )
        shown = ", ".join(f"{kind} {each['rate']:,.0f}/s {each['cpu_us']:.2f} µs" for kind, each in found.items())
        say(f"round {number}: COPY {copy:,.0f}/s, {shown}")
    rounds.add(**memory(peaks))
    return rounds
