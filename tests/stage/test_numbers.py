"""The number scanner against Python's decimal and numpy's floats: the source compiled alone, called through ctypes."""

import ctypes
import os
import random
import re
import subprocess
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy
import pytest
from harness.servers import TOP

EXACT, FLOAT32, FLOAT64 = range(3)
LIMIT = 2**63 - 1
SOURCES = ("number_text", "str", "err", "redact", "mem")


class Str(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_uint32)]


class Scanner:
    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        for function in (self.library.number_text_price, self.library.number_text_quantity):
            function.restype = ctypes.c_int

    def price(self, text, kind):
        """(units of 1e-9, rounded), or None where it is refused."""
        value, rounded, err = ctypes.c_int64(), ctypes.c_bool(), ctypes.create_string_buffer(1024)
        data = text.encode()
        refused = self.library.number_text_price(
            Str(data, len(data)), kind, ctypes.byref(value), ctypes.byref(rounded), err
        )
        return None if refused else (value.value, rounded.value)

    def quantity(self, text, kind):
        value, exponent, rounded = ctypes.c_int64(), ctypes.c_int32(), ctypes.c_bool()
        data, err = text.encode(), ctypes.create_string_buffer(1024)
        refused = self.library.number_text_quantity(
            Str(data, len(data)), kind, *map(ctypes.byref, (value, exponent, rounded)), err
        )
        return None if refused else (value.value, exponent.value, rounded.value)


@pytest.fixture(scope="module")
def scanner(tmp_path_factory):
    path = tmp_path_factory.mktemp("numbers") / "numbers.so"
    sources = [os.path.join(TOP, "common", f"{name}.c") for name in SOURCES]
    subprocess.run(
        ["cc", "-std=gnu17", "-O1", "-shared", "-fPIC", f"-I{TOP}", "-o", str(path), *sources, "-lm"], check=True
    )
    return Scanner(path)


def texts(seed, count):
    """Numbers of every shape, and what only looks like one."""
    draw = random.Random(seed)
    for _ in range(count):
        whole = "".join(draw.choices("0123456789", k=draw.choice((0, 1, 1, 2, 5, 9, 10, 11, 19, 20, 40))))
        part = "".join(draw.choices("0000123456789", k=draw.choice((0, 1, 2, 8, 9, 10, 13, 20, 40))))
        text = draw.choice(("", "", "-", "+")) + whole + draw.choice(("", ".")) + part
        if draw.random() < 0.3:
            text += draw.choice("eE") + draw.choice(("", "-", "+")) + str(draw.choice((0, 1, 5, 9, 18, 19, 30, 400)))
        if draw.random() < 0.05:  # not into the exponent: it would be beyond what Python takes
            at = draw.randrange(len(re.split("[eE]", text)[0]) + 1)
            text = text[:at] + draw.choice(" x.,-_") + text[at:]
        yield text


NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,6})?")


def number(text):
    """None where it is none. Python's Decimal also takes spaces, underscores, names."""
    return Decimal(text) if NUMBER.fullmatch(text) else None


def nano(value):
    """Exact units of 1e-9, or None."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 1000, 10**6, -(10**6)
        if value.adjusted() > 30 and value:
            return None
        scaled = value.scaleb(9)
        whole = scaled.to_integral_value(rounding=ROUND_HALF_EVEN)
        return int(whole) if whole == scaled and abs(whole) <= LIMIT else None


def shortest(value, kind):
    """What numpy writes for the float of that width that is next to the number."""
    return Decimal(str(numpy.float32(value) if kind == FLOAT32 else numpy.float64(value)))


def test_exact_prices_are_decimals(scanner):
    for text in texts(1, 60_000):
        value = number(text)
        expected = None if value is None else nano(value)
        found = scanner.price(text, EXACT)
        assert found == (None if expected is None else (expected, False)), text


@pytest.mark.parametrize("kind", [FLOAT32, FLOAT64])
def test_floats_prices_are_the_shortest_decimals(scanner, kind):
    draw = random.Random(kind)
    width = numpy.float32 if kind == FLOAT32 else numpy.float64
    for _ in range(40_000):
        meant = width(round(draw.uniform(0, 10 ** draw.randrange(1, 9)), draw.randrange(0, 8)))
        text = draw.choice((format(Decimal(float(meant)), "f"), repr(float(meant)), str(meant), f"{meant:.12f}"))
        with numpy.errstate(over="ignore"):
            expected = shortest(text, kind)
        expected = expected.quantize(Decimal("1e-9"), rounding=ROUND_HALF_EVEN)
        assert scanner.price(text, kind) == (int(expected.scaleb(9)), expected != Decimal(text)), text


def test_quantities_are_the_same_number(scanner):
    taken = 0
    for text in texts(2, 60_000):
        value, found = number(text), scanner.quantity(text, EXACT)
        if value is None:
            assert found is None, text
        elif found is not None:
            coefficient, exponent, rounded = found
            assert Decimal(coefficient).scaleb(exponent) == value and not rounded, text
            assert -18 <= exponent <= 18 and (exponent == 0 or coefficient % 10), text
            taken += 1
        elif value:
            last = value.adjusted() - len("".join(map(str, value.as_tuple().digits)).strip("0")) + 1
            assert not -18 <= last <= 18 or value.adjusted() - last > 17, text
    assert taken > 10_000
