"""What workers serve at /metrics, judged by Prometheus' own programs."""

import json
import shutil
import subprocess

import pytest
from confluent_kafka import Producer
import requests
from harness.full_disk import fill_disk, free_disk
from harness.bars import assert_good, simulate
from harness.pipeline import KINDS
from harness.records import Codec, clean_bar, messages
from harness.waiting import patient, wait_until
from harness.windows import send, task, wait_over
from harness.worker import die_with_parent

SCRAPE_SECONDS = 60
ATTEMPT = 4_000_000_000_000_000_001

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool: apt-get install prometheus")
needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="no prometheus: apt-get install prometheus"
)


class Prometheus:
    """A server of its own that scrapes these workers; any other program's answers are not mixed in."""

    def __init__(self, folder, port, workers):
        self.url = f"http://127.0.0.1:{port}"
        job = [{"targets": [f"127.0.0.1:{worker.port}"], "labels": {"worker": worker.kind}} for worker in workers]
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
            "scrape_configs": [{"job_name": "penstock", "static_configs": job}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.log_path = folder / "prometheus.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/tsdb",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(patient(30))

    def query(self, expression):
        """Labels (without those that the scrape adds to tell targets apart) and value of each series."""
        try:
            answer = requests.get(f"{self.url}/api/v1/query", {"query": expression}, timeout=10)
        except requests.ConnectionError:
            assert self.process.poll() is None, self.log_path.read_text()
            return []
        if answer.status_code == 503:  # it is starting
            return []
        assert answer.status_code == 200, answer.text
        return [(series["metric"], float(series["value"][1])) for series in answer.json()["data"]["result"]]

    def wait(self, expression, wanted):
        """Until the series, by the one label that tells them apart, have these values."""
        label, values = wanted
        wait_until(
            lambda: {labels.get(label): value for labels, value in self.query(expression)} == values,
            SCRAPE_SECONDS,
            lambda: f"{expression} is {values}: {self.query(expression)}\n{self.log_path.read_text()[-2000:]}",
        )

    def wait_value(self, expression, value):
        wait_until(
            lambda: [each for _, each in self.query(expression)] == [value],
            SCRAPE_SECONDS,
            lambda: f"{expression} is {value}: {self.query(expression)}",
        )


def check(worker):
    """promtool says nothing at all of text that follows the conventions."""
    text = worker.get("/metrics").content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=patient(30))
    said = (done.stdout + done.stderr).decode()
    assert (done.returncode, said) == (0, ""), f"{worker.name}: {said}"


def break_some(pipeline, folder):
    broken = simulate(pipeline, folder, bars=5000, symbols=20, broken=52)["broken_by_kind"]
    pipeline.subscribe("bars", folder / "bars.dbn.zst")
    return broken


@needs_promtool
def test_promtool_has_nothing_to_say(pipeline, tmp_path):
    """Before a run, where many families have no row yet, and after it."""
    break_some(pipeline, tmp_path)
    pipeline.start_all()
    for worker in pipeline.workers:
        check(worker)
    assert_good(pipeline.run(), 5000)
    for worker in pipeline.workers:
        check(worker)


@needs_promtool
def test_promtool_would_complain(tmp_path):
    """The check above can fail."""
    text = b"# HELP penstock_things Things.\n# TYPE penstock_things counter\npenstock_things 1\n"
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=patient(30))
    assert done.returncode != 0 and b"_total" in done.stdout + done.stderr


@needs_prometheus
def test_prometheus_scrapes_a_run(pipeline, servers, tmp_path):
    broken = break_some(pipeline, tmp_path)
    pipeline.start_all()
    with Prometheus(tmp_path, servers.free_port(), pipeline.workers) as prometheus:
        prometheus.wait("up", ("worker", dict.fromkeys(KINDS, 1)))
        run = pipeline.run()
        assert_good(run, 5000)
        check_run(prometheus, run, broken)
        check_rules(prometheus, pipeline)
        prometheus.wait("up", ("worker", dict.fromkeys(KINDS, 1)))
        check_scrapes_went_well(prometheus)


def check_scrapes_went_well(prometheus):
    """Text that cannot be read to its end makes `up` 0 for that scrape: none was."""
    wait_until(lambda: prometheus.query("min_over_time(up[5m])"), SCRAPE_SECONDS, "scrapes")
    first = [value for _, value in prometheus.query("min_over_time(up[5m])")]
    assert first == [1] * len(KINDS)


def check_run(prometheus, run, broken):
    undecoded, unaligned = broken["instrument_unmapped"], broken["time_unaligned"]
    reached = 5000 - undecoded
    refused = 52 - undecoded - unaligned
    prometheus.wait_value("penstock_fetcher_records_total", reached)
    prometheus.wait_value("penstock_fetcher_refused_total", undecoded)
    prometheus.wait_value('penstock_fetcher_tasks_total{state="done"}', 1)
    prometheus.wait_value('penstock_records_total{worker="validator"}', reached)
    prometheus.wait_value('penstock_batch_records_sum{worker="validator"}', reached)
    prometheus.wait_value('penstock_batch_records_sum{worker="fetcher"}', reached)
    prometheus.wait_value('penstock_records_total{worker="transformer"}', reached - refused)
    prometheus.wait_value('penstock_validator_records_total{verdict="rejected"}', refused)
    prometheus.wait_value('sum(penstock_rejected_total{worker=~"fetcher|validator|transformer"})', 52)
    prometheus.wait_value('penstock_loader_rows_total{outcome="inserted"}', run["inserted"])
    prometheus.wait_value('penstock_orchestrator_runs_finished_total{status="success"}', 1)
    for worker in ("fetcher", "validator", "transformer"):
        prometheus.wait_value(f'penstock_kafka_transactions_total{{worker="{worker}",result="aborted"}}', 0)
    assert prometheus.query('penstock_input_bytes_total{worker="transformer"}')[0][1] > 50 * (reached - refused)
    assert prometheus.query('penstock_database_transactions_total{worker="loader",result="committed"}')[0][1] > 0
    assert prometheus.query("penstock_fetcher_source_bytes_total")[0][1] > 0
    for worker in ("fetcher", "validator", "transformer", "loader"):
        quantile = f'histogram_quantile(0.9, penstock_commit_duration_seconds_bucket{{worker="{worker}"}})'
        assert 0 < prometheus.query(quantile)[0][1] <= 10
        prometheus.wait_value(
            f'penstock_commit_duration_seconds_count{{worker="{worker}"}}'
            f' == on(worker) penstock_batches_total{{worker="{worker}"}}'
            f' == on(worker) penstock_batch_records_count{{worker="{worker}"}}'
            f' == on(worker) penstock_batch_duration_seconds_count{{worker="{worker}"}}',
            prometheus.query(f'penstock_batches_total{{worker="{worker}"}}')[0][1],
        )
    longer = "penstock_batch_duration_seconds_sum >= penstock_commit_duration_seconds_sum"
    prometheus.wait_value(f'count({longer} and on(worker) penstock_batches_total > 0)', 4)
    prometheus.wait_value('count(penstock_orchestrator_lag_offsets{topic=~".*ohlcv"})', 3)


def check_rules(prometheus, pipeline):
    """Each rule that refuses, as often as the archive's letters name it; those that flag may hit what goes on, too."""
    hits = dict(
        pipeline.query(
            "SELECT rule, count(*)::float FROM etl.dead_letters, unnest(rules) AS rule"
            " WHERE stage = 'validator' GROUP BY 1"
        )
    )
    flags = {labels["rule"] for labels, _ in prometheus.query('penstock_validator_rule_hits_total{severity="flag"}')}
    hits = {rule: count for rule, count in hits.items() if rule not in flags}
    assert len(hits) > 5
    prometheus.wait('penstock_validator_rule_hits_total{severity="reject"} > 0', ("rule", hits))


def test_lag_is_what_nobody_has_read(pipeline, tmp_path):
    """Without a loader the records wait, and Kafka's groups have none."""
    break_some(pipeline, tmp_path)
    pipeline.start_all(kinds=("orchestrator", "fetcher", "validator", "transformer"))
    orchestrator = pipeline.of("orchestrator")[0]
    pipeline.api.start_run()
    pipeline.wait_messages("etl.clean.ohlcv", 4900)

    def lag(stage, topic):
        labels = f'group="{pipeline.prefix}penstock.{stage}",topic="{pipeline.topic(topic)}"'
        return orchestrator.metrics().get(f"penstock_orchestrator_lag_offsets{{{labels}}}", 0)

    wait_until(lambda: lag("loader", "etl.clean.ohlcv") >= 4900, 30, lambda: f"lag: {orchestrator.metrics()}")
    loader = pipeline.start("loader")
    wait_until(lambda: lag("loader", "etl.clean.ohlcv") < 200, 30, lambda: f"lag: {orchestrator.metrics()}")
    assert loader.metrics()["penstock_records_total"] >= 4900
    assert lag("validator", "etl.raw.ohlcv") < 200


def test_a_transaction_that_stays_open_is_seen(pipeline):
    """Whoever forgets one stops all readers of the partition."""
    orchestrator = pipeline.start("orchestrator")

    def age(topic):
        name = f'penstock_orchestrator_open_transaction_seconds{{topic="{pipeline.topic(topic)}"}}'
        return orchestrator.metrics().get(name)

    wait_until(lambda: age("etl.clean.ohlcv") == 0, 30, "nothing is open")
    forgetful = Producer(pipeline.kafka(transactional_id=pipeline.topic("forgetful"), transaction_timeout_ms=60000))
    forgetful.init_transactions(30)
    forgetful.begin_transaction()
    forgetful.produce(pipeline.topic("etl.clean.ohlcv"), b"x", partition=0)
    assert forgetful.flush(30) == 0
    wait_until(lambda: age("etl.clean.ohlcv") >= 2, 30, "it is seen to age")
    assert age("etl.raw.ohlcv") == 0
    forgetful.abort_transaction(30)
    wait_until(lambda: age("etl.clean.ohlcv") == 0, 30, "it is over")


def test_the_breaker_is_open_while_the_database_takes_nothing(pipeline):
    fill_disk(pipeline)
    loader = pipeline.start("loader")
    assert loader.metrics()["penstock_breaker_open"] == 0
    pipeline.produce("etl.clean.ohlcv", messages(Codec("ohlcv_clean"), [clean_bar(ATTEMPT, n) for n in range(1, 11)]))
    wait_until(lambda: loader.metrics()["penstock_breaker_open"] == 1, 30, lambda: loader.tail())
    assert loader.metrics()["penstock_batches_dropped_total"] > 0
    free_disk(pipeline)
    wait_until(lambda: loader.metrics()["penstock_records_total"] == 10, 60, lambda: loader.tail())
    assert loader.metrics()["penstock_breaker_open"] == 0
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 10


def test_calls_of_the_vendor_are_counted(pipeline, simulator, fetch):
    simulator.fault(path="/v0/timeseries.get_range", count=3, status=503)
    simulator.fault(path="/v0/timeseries.get_range", count=2, cut_after_bytes=2000)
    worker = fetch()
    send(pipeline, task())
    end, _ = wait_over(pipeline)
    assert end["state"] == "done"
    metrics = worker.metrics()

    def calls(status):
        labels = f'source="databento",call="timeseries.get_range",status="{status}"'
        return metrics.get(f"penstock_fetcher_vendor_calls_total{{{labels}}}", 0)

    assert calls(503) == 3
    assert calls(200) == 3  # two that were cut, one that was not
    assert metrics["penstock_fetcher_vendor_retries_total"] == 5
    assert 0 < metrics["penstock_fetcher_vendor_calls_left"] <= 20
    assert metrics["penstock_fetcher_source_bytes_total"] == end["input_bytes"]
