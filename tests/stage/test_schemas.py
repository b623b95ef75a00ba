"""A schema changes by a new version, or the build stops."""

import json
import os
import shutil
import subprocess

import fastavro
import pytest
from harness.servers import TOP

GEN = os.path.join(TOP, "build", "host", "gen")
SCHEMAS = os.path.join(TOP, "schemas")


@pytest.fixture
def copy(tmp_path):
    for folder in ("avro", "versions"):
        shutil.copytree(os.path.join(SCHEMAS, folder), tmp_path / folder)
    shutil.copy(os.path.join(SCHEMAS, "registry.lock"), tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


def gen(copy, *words):
    files = sorted(str(path) for path in (copy / "avro").glob("*.avsc"))
    return subprocess.run([GEN, *words, *files], capture_output=True, text=True)


def build(copy):
    return gen(copy, str(copy / "out"), str(copy / "registry.lock"))


def change(copy, name, edit):
    path = copy / "avro" / name
    schema = json.loads(path.read_text())
    edit(schema)
    path.write_text(json.dumps(schema))


def add_field(schema):
    schema["fields"].append({"name": "open_interest", "type": ["null", "long"], "default": None})


def test_the_lock_fits_the_schemas(copy):
    done = build(copy)
    assert done.returncode == 0, done.stderr


def test_an_unversioned_change_stops_the_build(copy):
    change(copy, "ohlcv.avsc", add_field)
    done = build(copy)
    assert done.returncode == 1 and "ohlcv.avsc" in done.stderr and "make lock" in done.stderr
    assert not (copy / "out" / "schemas.h").exists()


def test_a_changed_schema_gets_a_new_version_and_id(copy):
    change(copy, "ohlcv.avsc", add_field)
    before = (copy / "registry.lock").read_text()
    done = gen(copy, "--lock", str(copy / "registry.lock"))
    assert done.returncode == 0, done.stderr
    after = (copy / "registry.lock").read_text()
    assert after.startswith(before), "what an id means never changes"
    following = str(max(int(line.split()[2]) for line in before.splitlines() if not line.startswith("#")) + 1)
    assert [line.split()[:3] for line in after[len(before) :].splitlines()] == [
        ["etl.raw.ohlcv-value", "2", following],
        ["etl.valid.ohlcv-value", "2", following],
    ]
    assert (copy / "versions" / f"{following}.avsc").read_text() == (copy / "avro" / "ohlcv.avsc").read_text()
    assert build(copy).returncode == 0


def test_the_text_of_every_version_is_kept(copy):
    (copy / "versions" / "1.avsc").write_text((copy / "versions" / "15.avsc").read_text())
    done = build(copy)
    assert done.returncode == 1 and "versions/1.avsc" in done.stderr and "etl.tasks.file-value" in done.stderr
    (copy / "versions" / "1.avsc").unlink()
    done = build(copy)
    assert done.returncode == 1 and "versions/1.avsc" in done.stderr


def test_a_nested_record_is_no_data_record(copy):
    change(copy, "ohlcv.avsc", lambda s: s["fields"].append({"name": "legs", "type": {"type": "array", "items": "long"}}))
    done = gen(copy, "--lock", str(copy / "registry.lock"))
    assert done.returncode == 1 and "ohlcv.avsc" in done.stderr and "no subject" in done.stderr
    assert build(copy).returncode == 1


def test_fingerprints_are_avros(copy):
    """CRC-64-AVRO of the canonical form, as fastavro has it (which prints the bytes the other way round)."""
    with open(os.path.join(SCHEMAS, "registry.lock")) as lock:
        rows = [line.split() for line in lock if line.strip() and not line.startswith("#")]
    newest = {file: fingerprint for _, _, _, fingerprint, file in rows}
    for file, fingerprint in newest.items():
        with open(os.path.join(SCHEMAS, "avro", file)) as schema:
            canonical = fastavro.schema.to_parsing_canonical_form(json.load(schema))
        theirs = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
        assert bytes.fromhex(fingerprint)[::-1].hex() == theirs, file


def test_versions_are_counted_without_a_gap():
    with open(os.path.join(SCHEMAS, "registry.lock")) as lock:
        rows = [line.split() for line in lock if line.strip() and not line.startswith("#")]
    versions = {}
    for subject, version, _, _, _ in rows:
        versions.setdefault(subject, []).append(int(version))
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values()), versions
