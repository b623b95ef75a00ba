"""What one record costs in our own code, in instructions, is what tests/bench/cost.json says of this compiler."""

import shutil

import pytest
from bench import cost


@pytest.fixture(scope="module")
def table():
    """The limits of the compiler that built the programs."""
    if not shutil.which("valgrind"):
        pytest.skip("instructions: skipped (there is no valgrind)")
    cost.build()
    found = cost.load().get(cost.setting())
    if found is None:
        pytest.skip(f"instructions: skipped (tests/bench/cost.json knows nothing of {cost.setting()}; `{cost.RENEW}` measures)")
    return found


@pytest.fixture(scope="module")
def measured(table):
    return cost.measure()


def test_no_part_costs_more_than_the_table_says(measured, table):
    assert not cost.differences(measured, table)


@pytest.mark.parametrize("factor, sign, words", [(0.8, "+", "make it as cheap as it was"), (1.25, "-", "well done")])
def test_another_cost_is_noticed_and_named(measured, factor, sign, words):
    """The same measurement against limits of which one is another."""
    for name, now in measured.items():
        limit = round(now * factor)
        (sentence,) = cost.differences(measured, measured | {name: limit})
        for said in (name, f"takes {now} instructions", f"{limit} in tests/bench/cost.json ({sign}", words, cost.RENEW):
            assert said in sentence, (said, sentence)


def test_a_part_that_only_one_knows_is_noticed(measured):
    one = next(iter(measured))
    rest = {name: now for name, now in measured.items() if name != one}
    assert "has no limit" in cost.differences(measured, rest)[0]
    assert "is not measured any more" in cost.differences(rest, measured)[0]


def test_debian_12_is_known():
    assert "gcc 12, glibc 2.36, x86_64, -O2 -g" in cost.load()


def test_all_that_matters_is_measured(measured):
    ways = ("encode", "decode", "rules", "validate", "transform", "transform_message", "copy")
    assert measured.keys() == {f"{way}_{name}" for way in ways for name in cost.RECORD_TYPES} | {"mix", "read_dbn_bars"}
