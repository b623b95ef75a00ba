"""Three brokers of which one dies, and the simulated vendor, in containers: `make test-compose`."""

from datetime import date

import pytest
from containers import built, docker, say
from harness.bars import assert_good
from harness.simulator import KEY


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    containers = built(tmp_path_factory.mktemp("replicated"), "postgres.yaml", "three-brokers.yaml")
    containers.write_env(COMPOSE_PROFILES="simulator")
    key = containers.folder / "secrets" / "databento_key"
    key.unlink()
    key.write_text(KEY + "\n")
    try:
        containers.seconds = containers.up()
        yield containers
    finally:
        containers.down()


def test_three_brokers_of_which_one_dies(replicated):
    say(f"up with three brokers and the simulated vendor: healthy after {replicated.seconds:.0f} s")
    replicated.finish(*replicated.load("before", date(2010, 1, 4)))
    expected = replicated.add_bars("meanwhile", date(2011, 1, 4))
    with replicated.frozen("loader"):
        run = replicated.begin_run("meanwhile")
        replicated.wait_under_way(run)
        docker("kill", replicated.containers("kafka-2")[0]["Id"])
    replicated.finish(run, expected)
    replicated.finish(*replicated.load("without", date(2012, 1, 4)))
    replicated.assert_rows_are_those_of_the_files()
    say(f"the broker is started again: all healthy after {replicated.up():.0f} s")


def test_from_the_simulated_vendor(replicated):
    vendor = {"dataset": "GLBX.MDP3", "schema": "ohlcv-1d", "symbols": ["ES.c.0"], "stype_in": "continuous"}
    replicated.subscribe("vendor", source="databento", start="2024-01-02", end="2024-03-01", **vendor)
    done = replicated.wait_run(replicated.begin_run("vendor"))
    assert_good(done)
    ((count,),) = replicated.query("SELECT count(*) FROM ohlcv_data WHERE dataset = 'GLBX.MDP3'")
    assert count > 30
    say(f"from the simulated vendor: {done['fetched']} records, {count} bars")
