"""`make bench` at a size where its figures say nothing: every part runs to its end and leaves its figures."""

import json
import os
import subprocess
import sys

import pytest
from harness.servers import SHARED, TOP
from harness.waiting import patient

pytestmark = pytest.mark.alone
SECONDS = 300
PARTS = ("whole", "mixed", "alone", "replay", "latency", "growth", "plan", "scaling", "starting")
KINDS = ("orchestrator", "fetcher", "validator", "transformer", "loader")
SCALED = ("validators", "transformers", "loaders", "of_each")
FIGURES = [
    "end_to_end_vs_copy",
    "again_vs_first",
    "broken_vs_first",
    "trades_vs_copy",
    "small_tasks_records_per_s",
    "small_tasks_ms_per_task",
    "mixture_vs_bars",
    "loader_vs_copy",
    "validator_and_transformer_cpu_us",
    "validator_and_transformer_vs_bare_hops",
    "replay_vs_first",
    "rules_try_records_per_s",
    "sustained_per_s",
    "plan_seconds",
    *(f"latency_{name}_ms_at_{share}" for name in ("p50", "p99", "p999") for share in (1, 50, 90)),
    *(f"{size}_vs_smallest" for size in ("records_1e7", "symbols_1e5", "tasks_1e4", "there_1e7")),
    *(f"{count}_{what}_{figure}" for count in (2, 3) for what in SCALED for figure in ("vs_one", "cpu_us", "cpu_vs_one")),
    *(f"{what}_bytes" for what in ("raw", "valid", "clean", "wal", "row", "copy")),
    *(f"{part}_memory_mib" for part in PARTS[:-1]),
    *(f"{kind}_ready_ms" for kind in KINDS),
]


def test_every_part_leaves_its_figures(servers, tmp_path):
    words = ["--only", ",".join(PARTS), "--rows", "2000", "--rounds", "1", "--seconds", "0.5", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=os.path.join(TOP, "tests"),
        env=os.environ | {SHARED: servers.folder},
        capture_output=True,
        text=True,
        timeout=patient(SECONDS),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    latest = json.loads((tmp_path / "latest.json").read_text())
    assert [name for name in FIGURES if not latest.get(name, 0) > 0] == []
    assert list(latest["parts"]) == list(PARTS) and latest["machine"]["cpus"] > 0
    assert 0 < latest["latency_p50_ms_at_1"] <= latest["latency_p99_ms_at_1"] <= latest["latency_p999_ms_at_1"]
    assert "| whole | end_to_end_vs_copy |" in (tmp_path / "latest.md").read_text()
    assert (tmp_path / "latest.svg").read_text().startswith("<svg")
