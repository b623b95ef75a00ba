"""Breakers, with every worker: a subscription whose every record breaks a rule, a vendor that does not work, a stage that cannot go on."""

import json
import os

from harness.bars import assert_good, simulate
from harness.full_disk import fill_disk, free_disk
from harness.servers import TOP
from harness.simulator import KEY, Simulator
from harness.waiting import wait_until
from test_dlq_replay import relax

BAD_RULE = "VOLUME_OUT_OF_RANGE"
HEAD = "time,open,high,low,close,volume,symbol\n"
CSV = {
    "format": "csv",
    "dataset": "XNAS.ITCH",
    "schema": "ohlcv-1m",
    "csv": {name: name for name in ("time", "open", "high", "low", "close", "volume", "symbol")},
}
BAD, GOOD = 150, 12  # files; so many bad ones that they are not all sent before the first is judged
BARS = 20  # of a bad file


def write_bars(path, number, volume):
    """One symbol's minutes."""
    lines = [f"2024-01-02T15:{n:02}:00Z,1,1,1,1,{volume},BAD{number}" for n in range(BARS)]
    path.write_text(HEAD + "\n".join(lines) + "\n")


def state(pipeline, kind, name):
    found = pipeline.cli_json("breaker", "ls", "--kind", kind)["breakers"]
    return next((b["state"] for b in found if b["name"] == name), None)


def wait_state(pipeline, kind, name, *states):
    wait_until(lambda: state(pipeline, kind, name) in states, 60, lambda: f"{kind} {name} is {states}: {state(pipeline, kind, name)}")


def in_tasks(pipeline, subscription):
    return dict(pipeline.query("SELECT state, count(*) FROM etl.tasks WHERE subscription = %s GROUP BY 1", subscription))


def test_whose_every_record_breaks_a_rule_is_parked_and_the_others_finish(pipeline, tmp_path):
    for n in range(BAD):
        write_bars(tmp_path / f"bad{n:03}.csv", n, 10**16 + 1)
    for n in range(GOOD):
        simulate(pipeline, tmp_path, f"good{n:02}.dbn", bars=300, symbols=3, seed=n, broken=0)
    pipeline.subscribe("bad", tmp_path / "bad*.csv", **CSV)
    pipeline.subscribe("good", tmp_path / "good*.dbn")
    breaker = {"records_min": 5 * BARS, "open_s": 3600, "open_s_max": 3600}
    pipeline.configure("orchestrator", tasks_per_slot=1, breaker=breaker)
    pipeline.start_all()
    run = pipeline.api.start_run()
    wait_state(pipeline, "subscription", "bad", "open")
    wait_until(lambda: in_tasks(pipeline, "good") == {"closed": GOOD}, 60, lambda: f"the good ones: {in_tasks(pipeline, 'good')}")
    wait_until(lambda: not in_tasks(pipeline, "bad").get("dispatched"), 60, lambda: f"what was out: {in_tasks(pipeline, 'bad')}")
    held = in_tasks(pipeline, "bad")
    assert 0 < held["pending"] < BAD, held
    status = pipeline.cli("status", code=1).stdout
    assert "subscription bad is held back" in status and "records became dead letters" in status
    assert pipeline.api.run(run)["status"] == "running"
    refused = pipeline.value("SELECT count(*) FROM etl.dead_letters")
    assert refused == sum(ended["dead_letters"] for ended in pipeline.cli_json("ledger", str(run))["attempts"]) > 0

    # the rule is mended, the subscription goes on, its letters are put back
    rules = [name for (name,) in pipeline.query("SELECT DISTINCT unnest(rules) FROM etl.dead_letters")]
    assert rules == [BAD_RULE]
    relax(pipeline, tmp_path / "rules", BAD_RULE)
    pipeline.cli("breaker", "reset", "bad", "--why", "volumes are right")
    shown = pipeline.wait_run(run)
    assert_good(shown, fetched=GOOD * 300 + BAD * BARS)
    assert shown["dead_letters"] == refused
    replay = pipeline.cli_json("dlq", "replay", "--where", "subscription = 'bad'", "--follow")
    assert_good(replay, fetched=refused)
    assert replay["inserted"] == refused
    assert pipeline.value("SELECT count(*) FROM ohlcv_data WHERE symbol LIKE 'BAD%%'") == BAD * BARS
    assert pipeline.api.get("/api/etl/status").json()["alarms"] == []
    (entry,) = pipeline.cli_json("audit", "--action", "breaker.reset")["audit"]
    assert (entry["who"], entry["target"], entry["detail"]["why"]) == ("configuration", "bad", "volumes are right")


def test_a_vendor_that_does_not_work_is_waited_for(pipeline, tmp_path):
    """Tasks that were on their way wait with the others, and nothing is bought meanwhile; it goes on by itself."""
    names = [f"m{n}" for n in range(6)]
    with Simulator(tmp_path, "--seed", 7, "--start", "2010-01-01") as vendor:
        entry = {"source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": ["AAPL"]}
        entry |= {"start": "2024-03-11", "end": "2024-03-12", "cost_max_usd": 1000, "symbol_mappings": "false"}
        pipeline.subscriptions = [{"name": name} | entry for name in names]
        pipeline.write_subscriptions()
        pipeline.configure("orchestrator", tasks_per_slot=1, breaker={"failures": 2, "open_s": 1})
        pipeline.configure("fetcher", databento={"tries_max": 3, "backoff_ms": 400, "backoff_ms_max": 800})
        vendor.fault(path="/v0/timeseries.get_range", count=-1, status=503)
        environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url}
        workers = [pipeline.spawn("fetcher", environment=environment)]
        workers += [pipeline.spawn(kind) for kind in ("orchestrator", "validator", "transformer", "loader")]
        for worker in workers:
            worker.wait_ready()
        run = pipeline.api.start_run(names)
        wait_state(pipeline, "source", "databento", "open", "half_open")
        reason = pipeline.cli_json("breaker", "ls")["breakers"][0]["reason"]
        assert "HTTP 503" in reason, reason
        wait_until(lambda: pipeline.value("SELECT openings FROM etl.breakers") >= 2, 60, "it is tried in vain")
        failed = pipeline.value("SELECT count(*) FROM etl.tasks WHERE state = 'failed'")
        assert 2 <= failed <= 5
        vendor.control("DELETE", "faults")
        shown = pipeline.wait_run(run)
        wait_state(pipeline, "source", "databento", "closed")
        assert pipeline.value("SELECT count(*) FROM etl.tasks WHERE state = 'failed'") == failed, "nobody else failed"
        assert shown["balanced"] is True and f"{failed} of 12 tasks failed" in shown["message"], json.dumps(shown, indent=1)
        # the dead ones are done again
        again = pipeline.cli_json("dlq", "replay", "--where", "class = 'api_errors'", "--follow")
        assert_good(again)
        covered = "SELECT count(DISTINCT subscription) FROM etl.coverage WHERE state = 'complete'"
        assert pipeline.value(covered) == len(names)


def write_rules(folder, violated):
    """The rules of bars, of which the one for volumes is another."""
    folder.mkdir(exist_ok=True)
    with open(os.path.join(TOP, "stages", "validator", "rules", "ohlcv.yaml")) as file:
        text = file.read()
    head = f"  - name: {BAD_RULE}\n    violated: volume < 0 or volume > 1000000000000000\n"
    assert head in text
    (folder / "ohlcv.yaml").write_text(text.replace(head, f"  - name: {BAD_RULE}\n    violated: {violated}\n"))


def test_a_running_transfer_is_parked_and_bought_once(pipeline, tmp_path):
    """A slow answer of which every record breaks a rule: the next attempt goes on where it was left."""
    window = {"dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": ["AAPL", "MSFT", "NVDA"]}
    window |= {"start": "2024-03-11", "end": "2024-03-23"}
    write_rules(tmp_path / "rules", "volume > 0")
    with Simulator(tmp_path, "--seed", 7, "--start", "2010-01-01") as vendor:
        vendor.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=10_000)
        more = {"name": "slow", "source": "databento", "chunk": "month", "cost_max_usd": 1000, "symbol_mappings": "false"}
        pipeline.subscriptions = [window | more]
        pipeline.write_subscriptions()
        pipeline.configure("orchestrator", breaker={"records_min": 200, "open_s": 3600})
        pipeline.configure("validator", rules={"folder": str(tmp_path / "rules")})
        pipeline.configure("fetcher", databento={"backoff_ms": 20, "backoff_ms_max": 50})
        environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url}
        workers = [pipeline.spawn("fetcher", environment=environment)]
        workers += [pipeline.spawn(kind) for kind in ("orchestrator", "validator", "transformer", "loader")]
        for worker in workers:
            worker.wait_ready()
        run = pipeline.api.start_run()
        wait_state(pipeline, "subscription", "slow", "open")
        parked = "SELECT fetched FROM etl.attempts WHERE state = 'abandoned' AND result ? 'parked' AND closed_at IS NOT NULL"
        wait_until(lambda: pipeline.query(parked), 60, lambda: f"it is parked, and its account closed: {pipeline.api.run(run)}")
        refused = pipeline.value(parked)
        assert pipeline.value("SELECT count(*) FROM etl.dead_letters") == refused >= 200
        # the rule is mended
        write_rules(tmp_path / "rules", "volume < 0")
        (validator,) = pipeline.of("validator")
        assert validator.stop() == 0
        pipeline.start("validator")
        pipeline.cli("breaker", "reset", "slow", "--why", "the rule was wrong")
        shown = pipeline.wait_run(run)
        assert_good(shown)
        assert shown["dead_letters"] == refused < shown["fetched"]
        replay = pipeline.cli_json("dlq", "replay", "--where", "subscription = 'slow'", "--follow")
        assert_good(replay, fetched=refused)
        assert pipeline.value("SELECT count(*) FROM ohlcv_data") == shown["fetched"]
        bought = vendor.control("GET", "meter")["billed_bytes"]
        asked = window | {"symbols": ",".join(window["symbols"]), "encoding": "dbn"}
        vendor.raw(**asked)
        whole = vendor.control("GET", "meter")["billed_bytes"] - bought
        assert bought < whole * 1.5, (bought, whole)


def stage_breaker(pipeline, state):
    """The loader's, once it is in that state."""
    found = []

    def look():
        found[:] = pipeline.cli_json("breaker", "ls", "--kind", "stage", "--state", state)["breakers"]
        return found

    wait_until(look, 60, lambda: f"a stage's breaker is {state}: {pipeline.cli_json('breaker', 'ls')}")
    return found[0]


def test_a_stage_that_cannot_go_on_says_so_and_goes_on_by_itself(pipeline, tmp_path):
    simulate(pipeline, tmp_path, "bars.dbn", bars=300, symbols=3, broken=0)
    pipeline.subscribe("bars", tmp_path / "bars.dbn")
    (loader,) = pipeline.start_all().of("loader")
    fill_disk(pipeline)
    run = pipeline.api.start_run()
    shown = stage_breaker(pipeline, "open")
    assert shown["name"].startswith("loader ") and "no space left" in shown["reason"] and shown["openings"] == 1
    assert shown["probe_at"] and shown["tasks_waiting"] == 0
    status = pipeline.cli("status", code=1).stdout
    assert "loader" in status and "stands still" in status and "no space left" in status
    assert any(alarm["name"] == "breaker_open" for alarm in pipeline.cli_json("alarms")["alarms"])
    (orchestrator,) = pipeline.of("orchestrator")
    gauge = 'penstock_orchestrator_breakers{kind="stage"}'
    wait_until(lambda: orchestrator.metrics()[gauge] == 1, 20, "the gauge")
    assert [e["message"] for e in loader.events("breaker_opened")], loader.tail()
    assert "goes on by itself" in pipeline.cli("breaker", "reset", shown["name"], "--why", "now", code=1).stderr

    # whoever is started anew meets the same trouble, and nobody forgets meanwhile
    loader.kill()
    orchestrator.kill()
    pipeline.start("loader")
    pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    assert stage_breaker(pipeline, "open")["name"] == shown["name"]
    free_disk(pipeline)
    assert_good(pipeline.wait_run(run), fetched=300)
    assert stage_breaker(pipeline, "closed")["name"] == shown["name"]
    assert pipeline.api.get("/api/etl/status").json()["alarms"] == []
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 300


def test_a_stage_that_is_gone_stands_still_no_longer(pipeline):
    """It cannot say that it is over."""
    pipeline.start("orchestrator")
    words = "INSERT INTO etl.stage_breakers (stage, worker, state, openings, probe_at, reason) VALUES ('loader', %s, 'open', 1, now() - %s::interval, 'x')"
    pipeline.query(words, "gone", "121 seconds")
    pipeline.query(words, "slow", "60 seconds")
    assert {b["name"]: b["state"] for b in pipeline.cli_json("breaker", "ls")["breakers"]} == {"loader gone": "closed", "loader slow": "open"}
