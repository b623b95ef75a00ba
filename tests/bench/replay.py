"""A topic's past: W1 put back into its raw topic beside W1 itself, and how many records `rules try` judges a second."""

import json
import os
from contextlib import closing
from datetime import datetime, timezone

from confluent_kafka import Consumer, TopicPartition
from harness.servers import TOP

from bench.process import MEMORY_BAR, memory_of
from bench.rounds import Rounds
from bench.stand import RUN_SECONDS, empty, end_to_end, to_the_end
from bench.workloads import make

RAW, SCHEMA = "etl.raw.ohlcv", "ohlcv-1m"
BARS = {"replay_vs_first": 0.9, "rules_try_records_per_s": 1_000_000} | MEMORY_BAR
RULE = "  - name: VOLUME_OUT_OF_RANGE\n    violated: volume < 0 or volume > 1000000000000000\n"
OTHER_RULE = RULE.replace("1000000000000000", "1000000")
ADMIN_SECONDS = 10


def ends(pipeline):
    """Where each partition of the raw topic ends now."""
    with closing(Consumer(pipeline.kafka(group_id="penstock-bench"))) as consumer:
        places = [TopicPartition(pipeline.topic(RAW), number) for number in pipeline.partitions(RAW)]
        return {place.partition: consumer.get_watermark_offsets(place, timeout=ADMIN_SECONDS)[1] for place in places}


def put_back(pipeline, before, after, **expected):
    """Seconds of a replay of what came in between; asked for as offsets, so that nobody has to look for them."""
    ranges = [{"partition": p, "from": before[p], "to": after[p]} for p in before if before[p] < after[p]]
    body = {"schema": SCHEMA, "stage": "raw", "ranges": ranges}

    def start():
        answer = pipeline.api.post("/api/v1/topic-replays", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["run"]

    return to_the_end(pipeline, start, **expected)[0]


def write_candidate(folder):
    """The rules of bars, one of them another."""
    with open(os.path.join(TOP, "stages", "validator", "rules", "ohlcv.yaml")) as file:
        text = file.read()
    assert RULE in text
    path = os.path.join(folder, "candidate.yaml")
    with open(path, "w") as file:
        file.write(text.replace(RULE, OTHER_RULE))
    return path


def judge(pipeline, candidate, since, records):
    """Records a second of `rules try`, by its own clock: without starting the command."""
    words = ("rules", "try", candidate, "--schema", SCHEMA, "--since", since)
    told = pipeline.cli_json(*words, code=None, seconds=RUN_SECONDS)
    assert told["records"] == records, json.dumps(told, indent=1)
    return records / told["seconds"]


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    bars = make(pipeline, "w1", options.rows).records
    candidate = write_candidate(pipeline.folder)
    pipeline.start_all()
    seconds, _ = end_to_end(pipeline, ["w1"], inserted=bars)
    say(f"warming up: {seconds:.1f} s")
    rounds = Rounds(BARS)
    for number in range(1, options.rounds + 1):
        since, before = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"), ends(pipeline)
        empty(pipeline)
        # with checks, as a replay has them
        first, _ = end_to_end(pipeline, ["w1"], checks=True, inserted=bars)
        after = ends(pipeline)
        empty(pipeline)
        again = put_back(pipeline, before, after, fetched=bars, inserted=bars)
        judged = judge(pipeline, candidate, since, 2 * bars)
        rounds.add(
            replay_vs_first=first / again,
            replay_records_per_s=bars / again,
            replay_first_per_s=bars / first,
            rules_try_records_per_s=judged,
        )
        say(
            f"round {number}: end to end {bars / first:9,.0f} rows/s, its raw topic put back {bars / again:9,.0f}"
            f" ({first / again:.3f}); rules try {judged:11,.0f} records/s"
        )
    rounds.add(**memory_of(pipeline))
    return rounds
