"""Batch jobs of the simulated vendor, submitted and downloaded by the vendor's own client."""

import hashlib
import json
import warnings

import databento
import pytest
from databento.common.error import BentoWarning
from harness.simulator import KEY

NASDAQ = "XNAS.ITCH"
JOB = {"dataset": NASDAQ, "symbols": "AAPL,MSFT", "schema": "ohlcv-1m", "start": "2024-03-14", "end": "2024-03-19"}
EXTRAS = {"metadata.json", "condition.json", "symbology.json", "manifest.json"}


def days(job):
    return [name for name in job if name not in EXTRAS]


def test_a_job_from_submission_to_files(clean, vendor, tmp_path):
    job = vendor.batch.submit_job(**JOB)
    assert job["state"] == "done" and job["symbols"] == ["AAPL", "MSFT"] and job["record_count"] == 3 * 780
    assert job["billed_size"] == 3 * 780 * 56 == clean.control("GET", "meter")["billed_bytes"]
    assert vendor.batch.get_job_details(job["id"])["cost_usd"] == pytest.approx(vendor.metadata.get_cost(**JOB))
    assert job["id"] in [listed["id"] for listed in vendor.batch.list_jobs()]
    files = {file["filename"]: file for file in vendor.batch.list_files(job["id"])}
    assert days(files) == [f"xnas-itch-202403{day}.ohlcv-1m.dbn.zst" for day in (14, 15, 18)]
    assert job["package_size"] == sum(file["size"] for file in files.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error", BentoWarning)  # a hash that does not fit is one
        for name in files:
            (path,) = vendor.batch.download(job["id"], tmp_path, name)
            assert path.stat().st_size == files[name]["size"]
    whole = vendor.timeseries.get_range(**JOB).to_ndarray()
    parts = [databento.DBNStore.from_file(tmp_path / job["id"] / name).to_ndarray() for name in days(files)]
    assert whole.tolist() == [row for part in parts for row in part.tolist()]


def test_everything_as_one_archive(vendor, tmp_path):
    job = vendor.batch.submit_job(**JOB, split_duration="none", encoding="csv", compression="none", pretty_ts=True)
    paths = {path.name: path for path in vendor.batch.download(job["id"], tmp_path)}
    assert set(paths) == EXTRAS | {"xnas-itch-20240314-20240318.ohlcv-1m.csv"}
    for file in vendor.batch.list_files(job["id"]):
        digest = hashlib.sha256(paths[file["filename"]].read_bytes()).hexdigest()
        assert file["hash"] == "sha256:" + digest
    listed = json.loads(paths["manifest.json"].read_text())["files"]
    assert {file["filename"] for file in listed} == set(paths) - {"manifest.json"}
    assert set(json.loads(paths["symbology.json"].read_text())["result"]) == {"AAPL", "MSFT"}
    assert len(json.loads(paths["condition.json"].read_text())) == 3
    assert paths["xnas-itch-20240314-20240318.ohlcv-1m.csv"].read_text().count("\n") == 1 + 3 * 780


@pytest.mark.parametrize(
    "split, start, end, names",
    [
        ("week", "2024-03-14", "2024-03-19", ["20240314-20240316", "20240317-20240318"]),
        ("month", "2024-01-30", "2024-03-02", ["20240130-20240131", "20240201-20240229", "20240301"]),
        ("year", "2023-12-28", "2024-01-03", ["20231228-20231231", "20240101-20240102"]),
    ],
)
def test_splits(vendor, split, start, end, names):
    job = vendor.batch.submit_job(**JOB | {"schema": "ohlcv-1d", "start": start, "end": end}, split_duration=split)
    found = [file["filename"] for file in vendor.batch.list_files(job["id"])]
    assert days(found) == [f"xnas-itch-{name}.ohlcv-1d.dbn.zst" for name in names]


def test_split_by_symbol(vendor, tmp_path):
    job = vendor.batch.submit_job(**JOB, split_symbols=True, split_duration="none")
    for symbol in ("AAPL", "MSFT"):
        name = f"xnas-itch-20240314-20240318.ohlcv-1m.{symbol}.dbn.zst"
        (path,) = vendor.batch.download(job["id"], tmp_path, name)
        frame = databento.DBNStore.from_file(path).to_df()
        assert set(frame["symbol"]) == {symbol} and len(frame) == 3 * 390


def test_a_limit_is_of_the_whole_job(vendor):
    job = vendor.batch.submit_job(**JOB, limit=1000)
    assert job["record_count"] == 1000
    assert len(days([file["filename"] for file in vendor.batch.list_files(job["id"])])) == 2


def test_a_download_goes_on_where_it_was(clean, vendor, tmp_path):
    job = vendor.batch.submit_job(**JOB)
    name = vendor.batch.list_files(job["id"])[0]["filename"]
    clean.fault(path="/v0/batch/download/*", cut_after_bytes=4000, count=2)
    clean.fault(path="/v0/batch/download/*", status=429, retry_after=0)
    (path,) = vendor.batch.download(job["id"], tmp_path, name)
    assert len(databento.DBNStore.from_file(path).to_ndarray()) == 780
    assert [fault["hits"] for fault in clean.control("GET", "faults")] == [2, 1]
    url = f"/v0/batch/download/{job['id']}/{name}"
    part = clean.request("GET", url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, path.read_bytes()[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{path.stat().st_size}"
    assert clean.request("GET", url, headers={"Range": "bytes=99999999-"}).status_code == 416


def test_states_by_looks(start_simulator):
    vendor = start_simulator("--batch-polls", 6).client()
    job = vendor.batch.submit_job(**JOB)
    assert job["state"] == "received" and job["cost_usd"] is None
    with pytest.raises(databento.BentoClientError, match="batch_job_not_done"):
        vendor.batch.list_files(job["id"])
    seen = [vendor.batch.get_job_details(job["id"])["state"] for _ in range(8)]
    assert seen == ["received"] * 2 + ["queued"] * 2 + ["processing"] * 2 + ["done"] * 2
    assert vendor.batch.list_jobs(states="queued") == []
    assert [set(listed) for listed in vendor.batch.list_jobs(short=True)] == [{"id", "state", "ts_received"}]


def test_jobs_belong_to_a_key(clean, vendor):
    job = vendor.batch.submit_job(**JOB)
    other = clean.client(KEY[:-1] + "X")
    with pytest.raises(databento.BentoClientError, match="batch_job_not_found"):
        other.batch.get_job_details(job["id"])
    assert job["id"] not in [listed["id"] for listed in other.batch.list_jobs()]
    answer = clean.request("GET", f"/v0/batch/download/{job['id']}/..%2f..%2fpasswd")
    assert answer.status_code == 404
