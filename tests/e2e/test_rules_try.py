"""`penstock rules try`: what a candidate set would judge otherwise, beside what real validators judge."""

import json
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from harness.records import Codec, messages, outcomes, price, raw_bar
from harness.waiting import wait_until

RAW, VALID = "etl.raw.ohlcv", "etl.valid.ohlcv"
ATTEMPT = 6_000_000_000_000_000_001
HEAD = "name: bars\nversion: %d\nrecord: ohlcv\nrules:\n"
TODAY = (
    HEAD % 4
    + """\
  - {name: VOLUME_TOO_LARGE, violated: volume > 300}
  - {name: ROUND, violated: volume == 100, severity: flag}
  - {name: HIGH_LESS_THAN_LOW, violated: high < low}
"""
)
CANDIDATE = (
    HEAD % 5
    + """\
  - {name: VOLUME_TOO_LARGE, violated: volume > 200, when: dataset == 'GLBX.MDP3'}
  - {name: ROUND, violated: volume == 150, severity: flag}
  - {name: HIGH_LESS_THAN_LOW, violated: high < low}
"""
)
# volume, dataset → what becomes of it: today, and by the candidate
CASES = {
    (50, "GLBX.MDP3"): ("pass", "pass"),
    (250, "GLBX.MDP3"): ("pass", "fail"),
    (350, "GLBX.MDP3"): ("fail", "fail"),
    (350, "XNAS.ITCH"): ("fail", "pass"),
    (100, "XNAS.ITCH"): ("flag", "pass"),
    (150, "XNAS.ITCH"): ("pass", "flag"),
}
KINDS = {"would_fail": 1, "would_pass": 3, "would_not_be_flagged": 4, "would_be_flagged": 5}  # places in CASES


@pytest.fixture
def codec():
    return Codec("ohlcv")


@pytest.fixture
def sets(tmp_path):
    """Candidate's file, and the folder of what is installed."""
    (tmp_path / "today").mkdir()
    (tmp_path / "today" / "ohlcv.yaml").write_text(TODAY)
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / "ohlcv.yaml").write_text(CANDIDATE)
    return tmp_path / "candidate" / "ohlcv.yaml", tmp_path / "today"


@pytest.fixture
def past(pipeline, sets):
    """A pipeline with today's set installed."""
    pipeline.configure("validator", rules={"folder": str(sets[1])})
    return pipeline


def bars(count, first=1, symbols=5):
    cases = list(CASES)
    return [
        raw_bar(ATTEMPT, n, symbol=f"S{n % symbols}", volume=cases[n % 6][0], dataset=cases[n % 6][1])
        for n in range(first, first + count)
    ]


def produce(pipeline, codec, records):
    for partition in range(6):
        pipeline.produce(RAW, messages(codec, records[partition::6], partition))


def attempt(pipeline, *arguments, code=1):
    return pipeline.cli_json("rules", "try", *arguments, "--schema", "ohlcv-1m", code=code)


def test_what_it_says_is_what_validators_do(past, make_pipeline, codec, sets):
    other = make_pipeline().prepare()
    records = bars(600) + [raw_bar(ATTEMPT, 601, high=price("1"), volume=1)]
    for each, folder in ((past, sets[1]), (other, sets[0].parent)):
        produce(each, codec, records)
        each.start("validator", settings={"rules.folder": folder})

    def numbers(pipeline):
        """By ordinal: what became of it."""
        good, letters = outcomes(pipeline, VALID, 601)
        found = {record["ordinal"]: "flag" if record["flags"] else "pass" for m in good for record in [codec.decode(m.value())]}
        return found | {codec.decode(m.value())["ordinal"]: "fail" for m in letters}

    was, became = numbers(past), numbers(other)
    told = attempt(past, sets[0])
    assert told["records"] == 601 and told["undecoded"] == told["other_schemas"] == 0
    changes = Counter((was[n], became[n]) for n in was if was[n] != became[n])
    assert {name: change["records"] for name, change in told["changes"].items()} == {
        "would_fail": changes["pass", "fail"],
        "would_pass": changes["fail", "pass"],
        "would_be_flagged": changes["pass", "flag"],
        "would_not_be_flagged": changes["flag", "pass"],
    }
    assert sum(changes.values()) == 400
    for which, fates in (("today", was), ("candidate", became)):
        counts = Counter(fates.values())
        shown = told[which]
        assert (shown["passed"], shown["flagged"], shown["failed"]) == (
            counts["pass"] + counts["flag"],
            counts["flag"],
            counts["fail"],
        )


def test_by_rule_and_symbol_with_examples(past, codec, sets):
    records = bars(600)
    produce(past, codec, records)
    told = attempt(past, sets[0])
    assert (told["schema"], told["topic"], told["since"], told["sample"]) == ("ohlcv-1m", past.topic(RAW), None, None)
    assert told["today"]["version"].startswith("bars@4-") and told["today"]["place"] == f"{sets[1]}/ohlcv.yaml"
    assert told["candidate"]["version"].startswith("bars@5-") and told["candidate"]["number"] == 5
    for kind, place in KINDS.items():
        mine = [record for record in records if record["ordinal"] % 6 == place]
        change = told["changes"][kind]
        (rule,) = change["rules"]
        assert change["records"] == rule["records"] == len(mine) == 100
        assert rule["rule"] == ("ROUND" if "flagged" in kind else "VOLUME_TOO_LARGE")
        by_symbol = Counter(record["symbol"] for record in mine)
        assert {s["symbol"]: s["records"] for s in change["symbols"]} == by_symbol
        assert change["symbol_count"] == len(by_symbol)
        assert [s["records"] for s in change["symbols"]] == sorted(by_symbol.values(), reverse=True)
        for example in rule["examples"]:
            record = records[example["ordinal"] - 1]
            assert record in mine and example["symbol"] == record["symbol"] and example["attempt"] == ATTEMPT
            assert f"volume={record['volume']}" in example["message"]
        assert len(rule["examples"]) == 3
    text = past.cli("rules", "try", sets[0], "--schema", "ohlcv-1m", code=1).stdout.splitlines()
    assert text[0].startswith(f"ohlcv-1m in {past.topic(RAW)} from 20") and text[0].endswith(": 600 records")
    assert text[1].startswith("today      bars@4-") and text[1].endswith(": 400 pass (100 flagged), 200 fail")
    assert text[2].startswith("candidate  bars@5-") and text[2].endswith(": 400 pass (100 flagged), 200 fail")
    assert "would now fail: 100" in text and "would now pass: 100" in text
    assert any("S1: volume > 200 (dataset='GLBX.MDP3', volume=250)" in line for line in text)


def test_the_same_rules_change_nothing(past, codec, sets):
    produce(past, codec, bars(60))
    told = attempt(past, sets[1] / "ohlcv.yaml", code=0)
    assert told["records"] == 60 and all(change["records"] == 0 for change in told["changes"].values())


def test_other_schemas_and_what_does_not_decode_are_counted_beside(past, codec, sets):
    produce(past, codec, bars(60))
    hours = [record | {"schema": "ohlcv-1h"} for record in bars(6)]
    past.produce(RAW, messages(codec, hours) + [{"value": b"hello", "partition": 2}])
    told = attempt(past, sets[0])
    assert (told["records"], told["other_schemas"], told["undecoded"]) == (60, 6, 1)
    told = past.cli_json("rules", "try", sets[0], "--schema", "ohlcv-1h", code=1)
    assert (told["records"], told["other_schemas"], told["undecoded"]) == (6, 60, 1)


# --- which records ---------------------------------------------------------------------------------------------------


def last_written(pipeline):
    return max(message.timestamp()[1] for message in pipeline.read(RAW))


def text_of(ms):
    return (datetime(1970, 1, 1) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


def test_since_a_time(past, codec, sets):
    produce(past, codec, bars(60))
    before = last_written(past)
    wait_until(lambda: datetime.now(timezone.utc).timestamp() * 1000 > before + 2, 5, "the clock goes on")
    produce(past, codec, bars(12, first=61))
    told = attempt(past, sets[0], "--since", text_of(before + 1))
    assert told["records"] == 12 and told["since"] == text_of(before + 1)
    assert told["first"] > text_of(before) and told["last"] == text_of(last_written(past))
    assert attempt(past, sets[0], "--since", text_of(before))["records"] > 12
    for ago in ("7d", "1w", "3600s", "60m", "2h", "1970-01-02", "99999999999w"):
        assert attempt(past, sets[0], "--since", ago)["records"] == 72, ago


def test_what_was_aborted_or_is_not_committed_yet_is_no_past(past, codec, sets):
    produce(past, codec, bars(60))
    for end in ("abort", "open"):
        producer = Producer(past.kafka(transactional_id=past.topic(f"test.{end}"), acks="all"))
        producer.init_transactions(15)
        producer.begin_transaction()
        for message in messages(codec, bars(30), 1):
            producer.produce(past.topic(RAW), **message)
        assert producer.flush(15) == 0
        if end == "abort":
            producer.abort_transaction(15)
        past.produce(RAW, messages(codec, bars(6), 1 if end == "abort" else 2))
        told = attempt(past, sets[0])
        assert told["records"] == (66 if end == "abort" else 72), end
    past.produce(RAW, messages(codec, bars(6), 1))  # behind the open one: undecided
    assert attempt(past, sets[0])["records"] == 72
    producer.abort_transaction(15)
    assert attempt(past, sets[0])["records"] == 78


def test_no_group_moves(past, codec, sets):
    produce(past, codec, bars(60))
    admin = AdminClient(past.kafka())
    group = past.topic("penstock.validator")

    def positions():
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(past.topic(RAW), n) for n in range(6)])
        found = admin.list_consumer_group_offsets([asked])[group].result(15).topic_partitions
        return [(each.partition, each.offset) for each in found]

    before = positions()
    attempt(past, sets[0])
    attempt(past, sets[0], "--sample", 10)
    assert positions() == before == [(n, 0) for n in range(6)]
    assert "penstock.reader" not in [each.group_id for each in admin.list_consumer_groups().result(15).valid]


def test_a_sample(past, codec, sets):
    produce(past, codec, bars(6000))
    told = attempt(past, sets[0], "--sample", 1200)
    assert told["sample"] == 1200 and 1190 <= told["records"] <= 1206 and told["offsets"] == 6000
    assert 150 <= told["changes"]["would_fail"]["records"] <= 250
    text = past.cli("rules", "try", sets[0], "--schema", "ohlcv-1m", "--sample", 1200, code=1).stdout
    assert "a sample of 1" in text and "records of about 6000" in text
    told = attempt(past, sets[0], "--sample", 6000)
    assert told["sample"] is None and told["records"] == 6000


# --- what cannot be tried --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, code, said",
    [
        ([], 2, "name a schema; --schema takes ohlcv-1s, ohlcv-1m,"),
        (["--schema", "ohlcv-2m"], 2, "there is no schema 'ohlcv-2m'; --schema takes ohlcv-1s, ohlcv-1m,"),
        (["--schema", "trades"], 2, "has rules for ohlcv, and trades is trades"),
        (["--schema", "ohlcv-1m", "--since", "2100-01-01"], 2, "--since 2100-01-01 is in the future"),
        (["--schema", "ohlcv-1m", "--since", "tomorrow"], 2, "--since takes 7d (s m h d w), or 2024-01-31"),
        (["--schema", "ohlcv-1m", "--since", "7"], 2, "not '7'"),
        (["--schema", "ohlcv-1m", "--since", "-1d"], 2, "not '-1d'"),
        (["--schema", "ohlcv-1m", "--sample", "0"], 2, "--sample takes a number of records from 1"),
        (["--schema", "ohlcv-1m", "--sample", "x"], 2, "--sample takes a whole number from 0, not 'x'"),
        (["--schema", "ohlcv-1m", "more"], 2, "'more'"),
        (["--schema", "ohlcv-1m", "--nonsense"], 2, "'--nonsense'"),
        (["--schema", "ohlcv-1m"], 4, "etl.raw.ohlcv does not exist; `penstock topics apply` creates it"),
        (["--schema", "ohlcv-1m", "--set", "kafka.bootstrap.servers=127.0.0.1:1"], 3, "no broker answers"),
    ],
)
def test_wrong_arguments_and_what_is_not_there(make_pipeline, sets, words, code, said):
    pipeline = make_pipeline(database=False)
    done = pipeline.cli("rules", "try", sets[0], *words, code=code)
    assert said in done.stderr and done.stdout == ""


def test_a_file_is_needed(make_pipeline):
    done = make_pipeline(database=False).cli("rules", "try", "--schema", "ohlcv-1m", code=2)
    assert "name a rule file" in done.stderr


def test_nothing_in_the_range(past, codec, sets):
    words = ("rules", "try", sets[0], "--schema", "ohlcv-1m")
    done = past.cli(*words, code=1)
    assert f"no record of ohlcv-1m stands in {past.topic(RAW)} (0 of other schemas, 0 that" in done.stderr and not done.stdout
    produce(past, codec, [record | {"schema": "ohlcv-1h"} for record in bars(6)])
    done = past.cli(*words, "--since", "1d", code=1)
    assert "Z (6 of other schemas, 0 that do not decode)" in done.stderr and done.stdout == ""


def test_files_that_do_not_compile(past, codec, sets):
    produce(past, codec, bars(6))
    words = ("rules", "try", sets[0], "--schema", "ohlcv-1m")
    sets[0].write_text(CANDIDATE.replace("volume > 200", "volumes > 200"))
    done = past.cli(*words, code=1)
    assert f"{sets[0]}:5:40: ohlcv has no field 'volumes'" in done.stderr and done.stdout == ""
    sets[0].write_text(CANDIDATE)
    (sets[1] / "ohlcv.yaml").write_text(TODAY.replace("severity: flag", "severity: warn"))
    done = past.cli(*words, code=1)
    assert "what is installed here: " in done.stderr and "ohlcv.yaml:6:54: severity is reject or flag" in done.stderr
