"""Rule sets that take another's place while records flow: SIGHUP, a rolling restart. Each record is judged once, by one of them."""

import os
import signal
import threading

import pytest
from confluent_kafka import Producer
from harness.records import Codec, messages, outcomes, raw_bar
from harness.waiting import wait_until

RAW, VALID, DLQ, EVENTS = "etl.raw.ohlcv", "etl.valid.ohlcv", "etl.dlq", "etl.events"
ATTEMPT = 6_000_000_000_000_000_001
PARTITIONS = 6
# One refuses what the other passes, so that every outcome tells whose it is.
VIOLATED = {"odd": "volume > 300", "even": "volume <= 300"}


def text(name, number=1, violated=None):
    rule = f"  - {{name: {name.upper()}, violated: {violated or VIOLATED[name]}}}\n"
    return f"name: {name}\nversion: {number}\nrecord: ohlcv\nrules:\n{rule}"


class Folder:
    def __init__(self, path):
        self.path = path

    def put(self, content, name="ohlcv.yaml"):
        """As one should: nobody ever reads half of it."""
        new = self.path / "new"
        new.write_text(content)
        os.replace(new, self.path / name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rules").mkdir()
    folder = Folder(tmp_path / "rules")
    folder.put(text("odd"))
    return folder


@pytest.fixture
def codec():
    return Codec("ohlcv")


@pytest.fixture
def start(pipeline, folder):
    def start(**more):
        return pipeline.start("validator", settings={"rules.folder": folder.path} | more)

    return start


def hang_up(validator):
    validator.process.send_signal(signal.SIGHUP)


def bars(count, first=1):
    """Of one symbol, so that all letters are in one partition, transaction behind transaction."""
    return [raw_bar(ATTEMPT, n, volume=301 if n % 2 else 300) for n in range(first, first + count)]


class Stream(threading.Thread):
    """Produces records to all partitions, again and again the same bytes but for ordinals, until it is told to end."""

    def __init__(self, pipeline, codec, batch=2000, least=40_000):
        super().__init__(daemon=True)
        self.producer = Producer(pipeline.kafka(acks="all", linger_ms=5))
        self.topic, self.codec, self.batch, self.least = pipeline.topic(RAW), codec, batch, least
        self.sent, self.over, self.failures = 0, threading.Event(), []

    def run(self):
        while self.sent < self.least or not self.over.is_set():
            for record in bars(self.batch, self.sent + 1):
                self.producer.produce(
                    self.topic,
                    self.codec.encode(record),
                    record["symbol"].encode(),
                    partition=record["ordinal"] % PARTITIONS,
                    on_delivery=lambda error, _: error and self.failures.append(error),
                )
            self.sent += self.batch
            if self.producer.flush(30):
                self.failures.append("not flushed")

    def end(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive() and not self.failures, self.failures
        return self.sent


def judged(pipeline, codec, count):
    """What became of ordinals 1 to count: each has one outcome, and that is one of the set which its letter names."""
    good, letters = outcomes(pipeline, VALID, count, 60)
    passed = [codec.decode(message.value())["ordinal"] for message in good]
    refused = {}
    for letter in letters:
        headers = pipeline.headers(letter)
        ordinal = int(headers["etl.ordinal"])
        refused[ordinal] = headers
        assert headers["etl.rules"] == ("ODD" if ordinal % 2 else "EVEN")
        assert headers["etl.rules.version"].split("@")[0].upper() == headers["etl.rules"]
    assert len(refused) == len(letters)
    assert sorted(passed + list(refused)) == list(range(1, count + 1))
    return passed, refused


def switches(passed, refused):
    """Of each partition: how often the set changed along its records, and the names in their order."""
    sets = dict.fromkeys(passed) | refused
    found = {}
    for partition in range(PARTITIONS):
        mine = sorted(ordinal for ordinal in sets if ordinal % PARTITIONS == partition)
        # A partition has ordinals of one parity only, so one set passes all of them, and the other refuses all.
        names = ["odd" if bool(ordinal % 2) == (ordinal in refused) else "even" for ordinal in mine]
        found[partition] = [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    return found


def transactions(pipeline):
    """The versions in the letters of each: it ends with a mark, which is an offset that nobody reads."""
    found, before = [], -2
    for message in pipeline.read(DLQ):
        if message.offset() != before + 1:
            found.append(set())
        before = message.offset()
        found[-1].add(pipeline.headers(message)["etl.rules.version"])
    return found


# --- one validator ---------------------------------------------------------------------------------------------------


def test_a_new_set_is_installed_without_a_restart(pipeline, codec, folder, start):
    validator = start()
    shown = {each["record_type"]: each for each in validator.get("/rules").json()["rule_sets"]}
    assert shown["ohlcv"]["rule_set"].startswith("odd@1-") and shown["ohlcv"]["place"] == f"{folder.path}/ohlcv.yaml"
    assert shown["trades"]["rule_set"].startswith("trades@1-") and shown["trades"]["place"] == "built in"
    first = shown["ohlcv"]["rule_set"]
    pipeline.produce(RAW, messages(codec, bars(100), 1))
    outcomes(pipeline, VALID, 100)
    folder.put(text("even", 2))
    hang_up(validator)
    validator.wait_event("rules_installed", count=2)  # nobody has to send a record for it
    pipeline.produce(RAW, messages(codec, bars(100, 101), 1))
    _, refused = judged(pipeline, codec, 200)
    versions = {ordinal: headers["etl.rules.version"] for ordinal, headers in refused.items()}
    (second,) = {versions[n] for n in range(102, 201, 2)}
    assert {versions[n] for n in range(1, 101, 2)} == {first} and second.startswith("even@2-")
    assert validator.events("rules_installed")[1]["context"]["rule_sets"] == f"ohlcv {second}"
    told = validator.get("/rules").json()
    assert told["rule_sets"][0] == {
        "record_type": "ohlcv",
        "rule_set": second,
        "number": 2,
        "place": f"{folder.path}/ohlcv.yaml",
    }
    assert told["refused_at"] is None and told["refused"] == ""
    metrics = validator.metrics()
    assert metrics[f'penstock_validator_rule_set{{type="ohlcv",rule_set="{first}"}}'] == 0
    assert metrics[f'penstock_validator_rule_set{{type="ohlcv",rule_set="{second}"}}'] == 1
    assert metrics['penstock_validator_rule_reloads_total{outcome="installed"}'] == 1
    assert metrics['penstock_validator_rule_hits_total{type="ohlcv",rule="EVEN",severity="reject"}'] == 50
    assert metrics['penstock_validator_rule_hits_total{type="ohlcv",rule="ODD",severity="reject"}'] == 50


def test_the_attempt_is_told_both_sets(pipeline, codec, folder, start):
    validator = start()
    pipeline.produce(RAW, messages(codec, bars(10), 1))
    outcomes(pipeline, VALID, 10)
    folder.put(text("even", 2))
    hang_up(validator)
    validator.wait_event("rules_installed", count=2)
    pipeline.produce(RAW, messages(codec, bars(10, 11), 1))
    outcomes(pipeline, VALID, 20)
    events = [Codec("task_event").decode(message.value()) for message in pipeline.read(EVENTS)]
    assert [event["attempt"] for event in events] == [ATTEMPT] * 2
    assert ["odd@1-" in events[0]["result"], "even@2-" in events[1]["result"]] == [True, True]


@pytest.mark.parametrize(
    "name, content, place",
    [
        ("ohlcv.yaml", text("even", 2, "volumes <= 300"), "ohlcv.yaml:5:28: ohlcv has no field 'volumes'"),
        ("ohlcv.yaml", text("even", 2).replace("violated", "violates"), "ohlcv.yaml:5:18: unknown key 'violates'"),
        ("ohlcv.yaml", "name: [", "ohlcv.yaml:"),
        ("trades.yaml", "name: x\nrecord: tbbo\n", "trades.yaml:2:9: these are rules for record 'tbbo'"),
        ("trade.yaml", text("even"), "no record type is called 'trade.yaml'"),
    ],
    ids=["field", "key", "yaml", "other", "name"],
)
def test_a_bad_set_is_refused_and_the_old_ones_stay(pipeline, codec, folder, start, name, content, place):
    """All or none: a good set beside a bad one is not installed either."""
    validator = start()
    before = validator.get("/rules").json()
    if name != "ohlcv.yaml":
        folder.put(text("even", 2))
    folder.put(content, name)
    hang_up(validator)
    (line,) = validator.wait_event("rules_refused")
    assert place in line["message"] and line["level"] == "ERROR" and line["message"].endswith("; the rules stay as they are")
    assert f"ohlcv {before['rule_sets'][0]['rule_set']}, trades " in line["context"]["rule_sets"]
    pipeline.produce(RAW, messages(codec, bars(10), 1))
    _, refused = judged(pipeline, codec, 10)
    assert {headers["etl.rules.version"] for headers in refused.values()} == {before["rule_sets"][0]["rule_set"]}
    told = validator.get("/rules").json()
    assert told["rule_sets"] == before["rule_sets"] and place in told["refused"] and told["refused_at"]
    assert validator.metrics()['penstock_validator_rule_reloads_total{outcome="refused"}'] == 1
    if name != "ohlcv.yaml":
        os.unlink(folder.path / name)
    folder.put(text("even", 3))
    hang_up(validator)
    validator.wait_event("rules_installed", count=2)
    assert validator.get("/rules").json()["refused"] == ""


def test_nothing_new(pipeline, start):
    validator = start()
    hang_up(validator)
    validator.wait_event("rules_unchanged")
    assert validator.metrics()['penstock_validator_rule_reloads_total{outcome="unchanged"}'] == 1
    built_in = pipeline.start("validator")
    hang_up(built_in)
    (line,) = built_in.wait_event("rules_unchanged")
    assert "rules.folder is not set" in line["message"] and built_in.running


def test_a_signal_before_the_validator_is_ready_does_not_end_it(pipeline, folder):
    validator = pipeline.spawn("validator", "--set", f"rules.folder={folder.path}", "--set", "kafka.bootstrap.servers=127.0.0.1:1")
    validator.wait_event("http_listening")
    hang_up(validator)
    wait_until(lambda: validator.get("/healthz").status_code == 200, 10, "it lives")
    assert validator.get("/rules").json()["rule_sets"] == [] and validator.running


# --- under load ------------------------------------------------------------------------------------------------------


def flip(folder, number):
    """The other set, with its next number."""
    folder.put(text("even" if number % 2 == 0 else "odd", number))


def test_every_record_is_judged_once_while_sets_change(pipeline, codec, folder, start):
    validator = start(**{"batch.ms": 20})
    stream = Stream(pipeline, codec)
    stream.start()
    for number in range(2, 14):
        flip(folder, number)
        hang_up(validator)
        validator.wait_event("rules_installed", count=number)
        before = int(validator.metrics()["penstock_records_total"])
        wait_until(lambda: validator.metrics()["penstock_records_total"] > before, 30, "it goes on")  # noqa: B023
    folder.put(text("odd", 99, "volume >"))
    hang_up(validator)
    validator.wait_event("rules_refused")
    passed, refused = judged(pipeline, codec, stream.end())
    names = switches(passed, refused)
    assert all(len(each) > 6 for each in names.values()), names
    assert all(len(each) <= 13 for each in names.values()), names
    assert len(ended := transactions(pipeline)) > 12 and {len(versions) for versions in ended} == {1}
    assert len({headers["etl.rules.version"] for headers in refused.values()}) > 6
    assert validator.metrics()["penstock_batches_dropped_total"] == 0


def test_sets_change_while_a_validator_dies(pipeline, codec, folder, start):
    pipeline.shorten_sessions()
    validators = [start(**{"batch.ms": 20}) for _ in range(2)]
    stream = Stream(pipeline, codec)
    stream.start()
    for number in range(2, 6):
        flip(folder, number)
        for validator in validators:
            hang_up(validator)
        for validator in validators:
            validator.wait_event("rules_installed", count=number)
    flip(folder, 6)
    for validator in validators:
        hang_up(validator)
    validators[0].kill()
    validators[1].wait_event("rules_installed", count=6)
    judged(pipeline, codec, stream.end())


def test_a_rolling_restart(pipeline, codec, folder, start):
    validators = [start(**{"batch.ms": 20}) for _ in range(2)]
    stream = Stream(pipeline, codec)
    stream.start()
    flip(folder, 2)
    for validator in validators:
        assert validator.stop() == 0
        start(**{"batch.ms": 20})
    count = stream.end()
    pipeline.produce(RAW, messages(codec, bars(6, count + 1), 1))
    _, refused = judged(pipeline, codec, count + 6)
    assert {refused[n]["etl.rules.version"].split("-")[0] for n in range(count + 2, count + 7, 2)} == {"even@2"}
