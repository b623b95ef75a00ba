"""From a vendor's file to a row, through all five workers, seen with clients that are not ours."""

import glob
import os
import subprocess

import pytest
from harness.bars import assert_good, assert_rows_are, bars_of, key, simulate
from harness.records import Codec, mix_sum
from harness.waiting import remains, wait_until

CLEAN = "etl.clean.ohlcv"


@pytest.mark.slice
def test_a_generated_file_becomes_its_rows(pipeline, tmp_path):
    said = simulate(pipeline, tmp_path, bars=20_000, symbols=40, broken=130)
    pipeline.subscribe("bars", tmp_path / "*.dbn.zst")
    pipeline.start_all()
    run = pipeline.run()
    assert_good(run, 20_000)
    broken = said["broken_by_kind"]
    assert run["dead_letters"] == 130, (run, broken)
    assert run["inserted"] == 20_000 - 130

    letters = pipeline.query("SELECT class, count(*), array_agg(ordinal) FROM etl.dead_letters GROUP BY 1")
    by_class = {name: count for name, count, _ in letters}
    assert by_class == {
        "decode_errors": broken["instrument_unmapped"],
        "transformation_errors": broken["time_unaligned"],
        "validation_failures": 130 - broken["instrument_unmapped"] - broken["time_unaligned"],
    }
    refused = {ordinal for _, _, ordinals in letters for ordinal in ordinals}
    assert_rows_are(pipeline, bars_of(tmp_path / "bars.dbn.zst", refused))


def test_loading_twice_changes_nothing(pipeline, tmp_path):
    simulate(pipeline, tmp_path, bars=5000, broken=26)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all()
    first = pipeline.run()
    assert_good(first, 5000)
    before = pipeline.query("SELECT * FROM ohlcv_data ORDER BY 1, 2, 3, 4, 5")
    second = pipeline.run()
    assert_good(second, 5000)
    assert (second["inserted"], second["unchanged"]) == (0, first["inserted"])
    assert second["dead_letters"] == first["dead_letters"]
    assert pipeline.query("SELECT * FROM ohlcv_data ORDER BY 1, 2, 3, 4, 5") == before


def test_two_of_each_worker_give_the_same_rows(pipeline, tmp_path):
    for day in range(4):
        simulate(pipeline, tmp_path, f"{day}.dbn.zst", bars=5000, symbols=30, seed=day, start=f"2024-0{day + 1}-01")
    pipeline.subscribe("bars", tmp_path / "*.dbn.zst")
    pipeline.start_all(each=2)
    assert_good(pipeline.run(), 20_000)
    assert_rows_are(pipeline, [bar for path in glob.glob(str(tmp_path / "*.zst")) for bar in bars_of(path)])


def dbn_version(path):
    import zstandard

    with open(path, "rb") as file:
        head = file.read(4)
        if head == b"\x28\xb5\x2f\xfd":
            file.seek(0)
            head = zstandard.ZstdDecompressor().stream_reader(file).read(4)
    return head[3] if head[:3] == b"DBN" else None


@pytest.mark.samples
def test_every_sample_of_version_3_gives_exactly_its_records(pipeline, samples):
    """Each file alone: the fixtures of two folders share keys with different prices."""
    every = sorted(glob.glob(os.path.join(samples, "databento", "**", "*ohlcv-*"), recursive=True))
    files = [path for path in every if dbn_version(path) == 3 and "ohlcv-eod" not in path]
    assert len(files) >= 20
    pipeline.start_all()
    for path in files:
        pipeline.query("TRUNCATE ohlcv_data")
        pipeline.subscribe("sample", path)
        expected = bars_of(path)
        run = pipeline.run()
        assert_good(run, len(expected))
        assert run["inserted"] + run["duplicate"] == len(expected), (path, run)
        assert_rows_are(pipeline, {key(bar): bar for bar in expected}.values())


def clean_without_loader(pipeline, tmp_path, bars=3000):
    """Everything in the clean topic, nothing loaded: where a test can interfere."""
    simulate(pipeline, tmp_path, bars=bars)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all(kinds=("orchestrator", "fetcher", "validator", "transformer"))
    run = pipeline.api.start_run()
    return run, pipeline.wait_messages(CLEAN, bars, seconds=60)


def test_a_record_dropped_is_seen(pipeline, tmp_path):
    """The loader is made to skip one message of the clean topic."""
    run, messages = clean_without_loader(pipeline, tmp_path)
    victim = messages[0]
    pipeline.query(
        "INSERT INTO etl.offsets (consumer_group, topic, partition, next_offset) VALUES (%s, %s, %s, %s)",
        pipeline.prefix + "penstock.loader",
        victim.topic(),
        victim.partition(),
        victim.offset() + 1,
    )
    pipeline.start("loader")
    shown = wait_until(
        lambda: (s := pipeline.api.run(run))["in_flight"] == 1 and s, 30, lambda: str(pipeline.api.run(run))
    )
    assert shown["balanced"] is False
    remains(lambda: pipeline.api.run(run)["balanced"] is False, 1.0, "the run is not balanced")
    assert pipeline.cli_json("run", "show", run, code=None)["balanced"] is False


def test_a_record_doubled_is_seen(pipeline, tmp_path):
    run, messages = clean_without_loader(pipeline, tmp_path)
    twin = messages[len(messages) // 2]
    pipeline.produce(CLEAN, [{"key": twin.key(), "value": twin.value(), "partition": twin.partition()}])
    pipeline.start("loader")
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["balanced"], shown["in_flight"]) == ("failed", False, -1)
    assert pipeline.cli_json("run", "show", run, code=1)["balanced"] is False


def test_one_lost_and_another_doubled_is_seen(pipeline, tmp_path):
    """The count is right; only the mix tells."""
    run, messages = clean_without_loader(pipeline, tmp_path)
    victim = messages[0]
    (twin, *_) = [m for m in messages if m.partition() != victim.partition()]
    pipeline.query(
        "INSERT INTO etl.offsets (consumer_group, topic, partition, next_offset) VALUES (%s, %s, %s, %s)",
        pipeline.prefix + "penstock.loader",
        victim.topic(),
        victim.partition(),
        victim.offset() + 1,
    )
    pipeline.produce(CLEAN, [{"key": twin.key(), "value": twin.value(), "partition": twin.partition()}])
    pipeline.start("loader")
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["balanced"], shown["in_flight"]) == ("failed", False, 0)


def test_a_missing_file_fails_its_run_and_nothing_else(pipeline, tmp_path):
    simulate(pipeline, tmp_path, bars=500)
    pipeline.subscribe("good", tmp_path / "bars.dbn.zst")
    pipeline.subscribe("missing", tmp_path / "nothing.dbn")
    pipeline.start_all()
    run = pipeline.run()
    assert run["status"] == "failed" and "nothing.dbn" in run["message"], run
    assert run["balanced"] is True and run["inserted"] == 500
    assert pipeline.value("SELECT count(*) FROM etl.dead_letters WHERE class = 'api_errors' AND ordinal = 0") == 1
    assert_good(pipeline.run(["good"]), 500)


def test_a_file_cut_short_keeps_what_was_before(pipeline, tmp_path):
    simulate(pipeline, tmp_path, "cut.dbn", bars=1000)
    path = tmp_path / "cut.dbn"
    path.write_bytes(path.read_bytes()[:-20])
    pipeline.subscribe("cut", path)
    pipeline.start_all()
    run = pipeline.run()
    assert run["status"] == "failed" and "record 1000" in run["message"] and str(path) in run["message"], run
    assert (run["fetched"], run["inserted"], run["balanced"]) == (999, 999, True)


def test_the_ledger_is_the_mix_of_every_ordinal(pipeline, tmp_path):
    simulate(pipeline, tmp_path, bars=2000, broken=13)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all()
    assert_good(pipeline.run(), 2000)
    total = pipeline.value("SELECT mod(sum(mix), 18446744073709551616)::text FROM etl.ledger")
    assert int(total) == mix_sum(range(1, 2001))


def test_topics_are_readable_by_others(pipeline, tmp_path):
    """fastavro reads every record; kcat reads a letter's headers."""
    simulate(pipeline, tmp_path, bars=1000, broken=13)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all()
    assert_good(pipeline.run(), 1000)
    raw, clean = Codec("ohlcv"), Codec("ohlcv_clean")
    assert all(raw.decode(m.value())["schema"] == "ohlcv-1m" for m in pipeline.read("etl.raw.ohlcv"))
    assert all(clean.decode(m.value())["interval"] == "1m" for m in pipeline.read(CLEAN))
    said = subprocess.run(
        ["kcat", "-b", pipeline.servers.kafka, "-C", "-t", pipeline.topic("etl.dlq"), "-e", "-q", "-f", "%h\n"],
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
    ).stdout
    assert "etl.rules=HIGH_LESS_THAN_LOW" in said and "etl.class=decode_errors" in said
