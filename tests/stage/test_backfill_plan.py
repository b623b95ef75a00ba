"""A plan of 100,000 symbols and ten years: what it takes grows with the symbols, and its memory is bounded."""

import datetime
import json
import time

import pytest

pytestmark = pytest.mark.alone

SYMBOLS, TENTH = 100_000, 10_000
AT_ONCE = 2000  # symbols of one quote
FROM, TO = datetime.date(2014, 1, 1), datetime.date(2023, 12, 31)
DAYS = (TO - FROM).days + 1
MEMORY_MIB = 256

# Of a tenth of the symbols two weeks are here, of another one the last year; 14 and 365 days.
COVERED = """
INSERT INTO etl.coverage (subscription, symbol, day, state, records, request, attempt)
SELECT 'minutes', 'S' || lpad(s::text, 6, '0'), day, CASE WHEN extract(isodow FROM day) > 5 THEN 'verified_empty' ELSE 'complete' END, 1,
       'XNAS.ITCH ohlcv-1m raw_symbol', 1
FROM generate_series(0, %(symbols)s - 1) s, generate_series('2023-01-01'::timestamp, '2023-12-31', '1 day') day
WHERE s %% 100 = 1 OR (s %% 10 = 0 AND day < '2023-01-15')
"""

# The vendor said a moment ago what it has changed of these days: nothing.
LOOKED = """
INSERT INTO etl.vendor_days (dataset, day, condition, attempt, read_at)
SELECT 'XNAS.ITCH', day, 'available', 1, now() FROM generate_series('2023-01-01'::timestamp, '2023-12-31', '1 day') day
"""


def peak_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def names(count):
    return [f"S{n:06}" for n in range(count)]


def ask(pipeline, symbols, **more):
    begun = time.monotonic()
    body = {"subscription": "minutes", "from": str(FROM), "to": str(TO), "symbols": symbols} | more
    text = json.dumps(body, separators=(",", ":"))  # as the command line does: a body of 1 MiB is the default's most
    answer = pipeline.api.post("/api/v1/backfills", data=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text[:500]
    return answer.json(), time.monotonic() - begun


def quoted(pipeline, backfill):
    return pipeline.query(
        "SELECT x->'parameters'->'symbols', x->'parameters'->>'start', x->'parameters'->>'end' FROM etl.backfills,"
        " jsonb_array_elements(quotes) AS x WHERE backfill = %s",
        backfill,
    )


def test_a_hundred_thousand_symbols(pipeline, record_property):
    entry = {"name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": "ALL_SYMBOLS", "start": str(FROM)}
    pipeline.subscriptions = [entry]
    pipeline.write_subscriptions()
    pipeline.configure("orchestrator", query_s=300)
    pipeline.query(COVERED.replace("%%", "%").replace("%(symbols)s", str(SYMBOLS)))
    pipeline.query(LOOKED)
    pipeline.query("VACUUM ANALYZE etl.coverage")
    orchestrator = pipeline.start("orchestrator")
    _, tenth = ask(pipeline, names(TENTH))
    before = peak_mib(orchestrator.pid)
    answer, whole = ask(pipeline, names(SYMBOLS))
    after = peak_mib(orchestrator.pid)
    backends = [pid for (pid,) in pipeline.query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'penstock%%'")]
    backend = max(peak_mib(pid) for pid in backends)
    record_property("seconds", round(whole, 2))
    record_property("mib", round(after, 1))
    print(json.dumps({"seconds_tenth": round(tenth, 2), "seconds": round(whole, 2), "mib": [round(before), round(after)], "backend_mib": round(backend)}))
    # every day of every symbol that is not here, once
    wanted = 0
    for symbols, start, end in quoted(pipeline, answer["backfill"]):
        assert len(symbols) <= AT_ONCE
        wanted += len(symbols) * (datetime.date.fromisoformat(end[:10]) - datetime.date.fromisoformat(start[:10])).days
    here = pipeline.value("SELECT count(*) FROM etl.coverage")
    assert wanted == SYMBOLS * DAYS - here and here > 400_000
    assert after < MEMORY_MIB
    assert whole < 20 * max(tenth, 0.1), "it grows with the symbols, no faster"
