"""What the ledger says of an attempt: the loader's tests look at nothing else to know that it has done its work."""

LEDGER_SQL = """
SELECT outcome, sum(records)::bigint, mod(sum(mix), 18446744073709551616)::text FROM etl.ledger
WHERE attempt = %s GROUP BY 1
"""


def outcomes(pipeline, attempt):
    """Outcome to count and mix."""
    return {outcome: (records, int(mix)) for outcome, records, mix in pipeline.query(LEDGER_SQL, attempt)}
