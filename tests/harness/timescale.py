"""Tables of records on TimescaleDB: what they hold, and their chunks."""

import os

import psycopg
import pytest

EVERYWHERE = "PENSTOCK_TEST_TIMESCALE"  # every test's tables are hypertables
TABLES = ("ohlcv_data", "trades_data", "tbbo_data", "statistics_data", "definitions_data", "symbol_mappings")
OFFERED = """
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
       AND current_setting('timescaledb.max_background_workers', true) IS NOT NULL -- it is loaded with the server
"""
CHUNKS = "format('%%I.%%I', chunk_schema, chunk_name)::regclass"


def is_offered(servers):
    with psycopg.connect(servers.dsn(), autocommit=True) as connection:
        return connection.execute(OFFERED).fetchone()[0]


def skip_without(servers):
    if not is_offered(servers):
        pytest.skip("timescaledb: skipped (the server has no such extension)")


def everywhere():
    return bool(os.environ.get(EVERYWHERE))


def apply(pipeline, *options):
    return pipeline.cli("db", "timescale", "apply", *options).stdout.splitlines()


def compress(pipeline, table="ohlcv_data"):
    """Every chunk of a table; how many."""
    return len(
        pipeline.query(
            f"SELECT compress_chunk({CHUNKS}, true) FROM timescaledb_information.chunks WHERE hypertable_name = %s", table
        )
    )


def compressed(pipeline, table="ohlcv_data"):
    """Of how many chunks how many are compressed."""
    return pipeline.query(
        "SELECT count(*), count(*) FILTER (WHERE is_compressed) FROM timescaledb_information.chunks WHERE hypertable_name = %s",
        table,
    )[0]


def columns(pipeline, table):
    """But when a row was written."""
    return [
        name
        for (name,) in pipeline.query(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
        if name not in ("created_at", "restated_at", "archived_at")
    ]


def contents(pipeline, table):
    """All rows, as text, in an order of their own."""
    names = ", ".join(f'"{name}"' for name in columns(pipeline, table))
    return sorted(pipeline.query(f"SELECT ROW ({names})::text FROM {table}"))
