"""1, 3, 2, 4 of each kind of worker during a run. With two million bars: `make chaos`."""

import pytest

from chaos import scaling

BARS = 120_000
FILES = 12
# Small batches, as of many more records: the run lasts until everybody has come and gone, and what comes meets many of them.
SETTINGS = {
    "fetcher": {"batch.ms": 1, "turn.records": 200},
    "validator": {"batch.ms": 20, "batch.records_max": 1000},
    "transformer": {"batch.ms": 20, "batch.records_max": 1000},
    "loader": {"batch.ms": 20, "batch.records_max": 1000},
    "kafka": {"session.timeout.ms": 3000, "heartbeat.interval.ms": 750},
}


def play(servers, folder, programs, **options):
    said = []
    found = scaling.play(
        servers, folder, bars=BARS, files=FILES, settings=SETTINGS, programs=programs, say=said.append, **options
    )
    print("\n".join(said))
    return found, said


def test_workers_come_and_go_under_load(servers, fault_programs, tmp_path):
    found, said = play(servers, tmp_path, fault_programs, killed=("validator", "loader"))
    assert found == []
    rests = [line.split(" are at rest")[0] for line in said if "at rest" in line]
    assert sorted(rests) == sorted(f"{kind}: {count}" for kind in scaling.SCALED for _, count in scaling.STEPS)


@pytest.mark.parametrize("defect", ["cursor_ignored"])
def test_a_mistake_when_work_is_handed_over_is_noticed(servers, fault_programs, tmp_path, defect):
    """Fetchers that begin a task anew where another one left it: the harness fails."""
    found, _ = play(servers, tmp_path, fault_programs, defects={"fetcher": defect})
    assert any(line.startswith("run") for line in found), found
