"""What must hold after a round. Each function yields what does not, in words."""

from collections import Counter

from harness.bars import COUNTS, key, rows

SHOWN = 3


def some(items):
    items = list(items)
    return f"{', '.join(map(str, items[:SHOWN]))}{' …' if len(items) > SHOWN else ''}"


def wrong_rows(pipeline, expected):
    found = {}
    for row in rows(pipeline):
        found[key(row)] = row
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    different = [k for k in expected.keys() & found.keys() if expected[k] != found[k]]
    for word, keys in (("missing", missing), ("too many", extra), ("different", different)):
        if keys:
            yield f"rows: {len(keys)} of {len(expected)} {word}: {some(sorted(keys))}"


def wrong_run(shown):
    if shown["status"] != "success" or not shown["balanced"] or shown["in_flight"] != 0:
        words = f"{shown['status']}, balanced {shown['balanced']}, in flight {shown['in_flight']}"
        yield f"run {shown['run']} is {words}: {shown['message']}"
    failed = [check["name"] for check in shown["checks"] if not check["passed"]]
    if failed:
        yield f"run {shown['run']}: checks {failed} did not pass"


def wrong_account(shown):
    """Of a run whose attempts all count."""
    accounted = sum(shown[name] for name in COUNTS)
    if shown["fetched"] != accounted:
        yield f"run {shown['run']}: {shown['fetched']} fetched, {accounted} accounted"


def wrong_letters(pipeline, run, expected):
    """Per attempt; of one with expired records some may be missing, of every other none."""
    attempts = pipeline.query(
        "SELECT a.attempt, t.parameters ->> 'path', a.expired, a.state FROM etl.attempts a"
        " JOIN etl.tasks t USING (task) WHERE a.run = %s",
        run,
    )
    for attempt, path, expired, state in attempts:
        letters = pipeline.query(
            "SELECT ordinal, class FROM etl.dead_letters WHERE attempt = %s AND ordinal > 0", attempt
        )
        doubled = [ordinal for ordinal, count in Counter(ordinal for ordinal, _ in letters).items() if count > 1]
        found = dict(letters)
        wrong = {o for o in found if expected[path].get(o) != found[o]}
        missing = set() if expired or state == "abandoned" else expected[path].keys() - found.keys()
        for word, ordinals in (("doubled", doubled), ("not expected", wrong), ("missing", missing)):
            if ordinals:
                yield f"letters of {path}, attempt {attempt}: {len(ordinals)} {word}: {some(sorted(ordinals))}"


def wrong_foreign(pipeline, sent):
    """sent: values of messages without lineage that were put in; each is archived once, and nothing else is."""
    found = Counter(
        bytes(value or b"") for (value,) in pipeline.query("SELECT value FROM etl.dead_letters WHERE attempt IS NULL")
    )
    expected = Counter(sent)
    for word, rest in (("missing", expected - found), ("too many", found - expected)):
        if rest:
            yield f"foreign letters: {rest.total()} {word}: {some(value[:40] for value in rest)}"


def standing_alarms(pipeline, but=()):
    for attempt, name, message in pipeline.query("SELECT attempt, name, message FROM etl.alarms"):
        if name not in but:
            yield f"alarm {name} of attempt {attempt}: {message}"
    for group, topic, partition, message in pipeline.query(
        "SELECT consumer_group, topic, partition, message FROM etl.gaps"
    ):
        yield f"gap of {group} in {topic} [{partition}]: {message}"
