"""make bench-cost: how many instructions one record takes in each part of our own code, by callgrind, into cost.json.

Seconds depend on what else runs on a machine; how many instructions a program takes does not, so the test suite compares
them with what that file says (tests/stage/test_cost.py). It has one table for each compiler and C library.
"""

import collections
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))

from harness.servers import TOP  # noqa: E402

TABLE = os.path.join(TOP, "tests", "bench", "cost.json")
RENEW = "make bench-cost"
PROGRAMS = tuple(os.path.join("build", "bin", name) for name in ("bench-parts", "bench-decode", "penstock-simulator"))
PARTS, DECODE, SIMULATOR = (os.path.join(TOP, path) for path in PROGRAMS)
NOT_OURS = ("encode_by_hand", "decode_by_hand", "encode_avro_c", "decode_avro_c", "nothing")
PREFIXES = ("encode_", "decode_", "rules_", "validate_", "transform_", "copy_", "mix")
FILE_BARS = 10_000
TOLERANCE = 0.10
VALGRIND_SECONDS = 300
# The C library takes other functions on other processors; these are in all of them.
PLAIN = "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in "AVX2 AVX_Fast_Unaligned_Load ERMS FSRM SSE4_2 SSE4_1 SSSE3 BMI2".split())


# --- by whom the programs were compiled --------------------------------------------------------------------------------


def build():
    done = subprocess.run(["make", "-s", *PROGRAMS], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def setting():
    """What the counts depend on: "gcc 12, glibc 2.36, x86_64, -O2 -g"."""
    with open(os.path.join(TOP, "build", "flags")) as file:
        words = file.read().split(" -std=")[0].split()
    compiler = [word for word in words if not word.startswith("-")]
    said = subprocess.run([*compiler, "-dM", "-E", "-"], input="", capture_output=True, text=True, check=True).stdout
    macros = dict((line + " ").split(" ", 2)[1:] for line in said.splitlines())
    name, major = ("clang", "__clang_major__") if "__clang_major__" in macros else ("gcc", "__GNUC__")
    flags = " ".join(word for word in words if word.startswith("-"))
    return f"{name} {macros[major].strip()}, {' '.join(platform.libc_ver())}, {platform.machine()}, {flags}"


# --- counting ------------------------------------------------------------------------------------------------------------


def callgrind(folder, *command):
    """Function to (calls, instructions in them and in what they called)."""
    path = os.path.join(folder, "callgrind.out")
    valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]
    done = subprocess.run(
        [*valgrind, f"--callgrind-out-file={path}", *command],
        env=os.environ | {"GLIBC_TUNABLES": PLAIN, "LD_BIND_NOW": "1"},
        capture_output=True,
        text=True,
        timeout=VALGRIND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        return read(file), done.stdout


def read(lines):
    """Of callgrind's format: `cfn=NAME`, `calls=COUNT …` and, on the line after it, what these calls cost."""
    called, found, calls = None, collections.defaultdict(lambda: (0, 0)), None
    for line in lines:
        if calls is not None:
            before = found[called]
            found[called] = before[0] + calls, before[1] + int(line.split()[1])
            calls = None
        elif line.startswith("cfn="):
            called = line[4:].strip()
        elif line.startswith("calls="):
            calls = int(line[6:].split()[0])
    return found


def parts(folder):
    found, _ = callgrind(folder, PARTS, "0")
    names = [name for name in found if name.startswith(PREFIXES) and name not in NOT_OURS and is_part(name)]
    return {name: round(found[name][1] / found[name][0]) for name in names}


def is_part(name):
    return name == "mix" or name.split("_", 1)[1].removeprefix("message_") in RECORD_TYPES


RECORD_TYPES = ("ohlcv", "trades", "tbbo", "statistics", "definition", "symbol_mapping")


def read_bars(folder):
    """What reading a file of bars costs a record, the file's metadata included."""
    path = os.path.join(folder, "bars.dbn")
    subprocess.run([SIMULATOR, f"--write={path}", f"--bars={FILE_BARS}", "--symbols=10"], check=True, stdout=subprocess.DEVNULL)
    found, said = callgrind(folder, DECODE, path)
    return {"read_dbn_bars": round(found["source_next"][1] / json.loads(said)["records"])}


def measure():
    with tempfile.TemporaryDirectory(prefix="penstock-cost-") as folder:
        return dict(sorted((parts(folder) | read_bars(folder)).items()))


# --- the table -----------------------------------------------------------------------------------------------------------


def load():
    with open(TABLE) as file:
        return json.load(file)


def differences(measured, table):
    """Sentences: a part that costs more, or less, than the table says; one that only one of them knows."""
    found = []
    for name in sorted(measured.keys() | table.keys()):
        now, then = measured.get(name), table.get(name)
        if now is None or then is None:
            found.append(f"{name} {'is not measured any more' if now is None else 'has no limit'}: renew the table with `{RENEW}`")
        elif now > then * (1 + TOLERANCE):
            found.append(
                f"{name} takes {now} instructions a record, {then} in tests/bench/cost.json ({now / then - 1:+.0%}, {TOLERANCE:.0%} are"
                f" allowed): make it as cheap as it was, or renew the table with `{RENEW}` and say in the commit what it is good for"
            )
        elif now < then * (1 - TOLERANCE):
            found.append(
                f"{name} takes {now} instructions a record, {then} in tests/bench/cost.json ({now / then - 1:+.0%}): well done; renew"
                f" the table with `{RENEW}`, so that it stays so"
            )
    return found


def main():
    assert shutil.which("valgrind"), "there is no valgrind: ops/local/install test"
    build()
    tables, key, measured = load(), setting(), measure()
    for name, now in measured.items():
        then = tables.get(key, {}).get(name)
        print(f"{name:36}{now:8}{'' if then is None else f'   {now / then - 1:+.1%}'}")
    tables[key] = measured
    with open(TABLE, "w") as file:
        json.dump(tables, file, indent=1)
        file.write("\n")
    print(f"written: {os.path.relpath(TABLE)} ({key})")


if __name__ == "__main__":
    main()
