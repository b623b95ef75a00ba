"""Parts of our own code alone, record by record in one process: the codec, a rule, the transformation, rows for COPY, and
reading the vendor's files. Bars are measured by hand-written code, avro-c and fastavro, too, which take turns with ours."""

import json
import os
import subprocess

from harness.servers import TOP

from bench import decode
from bench.parts import python_codec
from bench.rounds import Rounds

PROGRAM = os.path.join(TOP, "build", "bin", "bench-parts")
PASSES = 20  # of which the least counts: what else runs only adds
FILE_SYMBOLS = 10  # of the files that are read
PEERS = ("by_hand", "avro_c", "fastavro")
BARS = {
    "encode_vs_by_hand": "<1.5",
    "decode_vs_by_hand": "<1.5",
    "rule_ns": "<20",
    "dearest_rule_ns": "<20",
}


def run(messages):
    """Name to nanoseconds a record; what one rule costs, by its name, under `rules`."""
    done = subprocess.run([PROGRAM, str(PASSES), messages], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def files_ns(files):
    """Nanoseconds for each record of each file."""
    found = {}
    for name, (path, words) in files.items():
        said = decode.decode(path, words)
        found[f"read_{name.replace(' ', '_')}_ns"] = said["cpu_seconds"] / said["records"] * 1e9
    return found


def figures(parts, python):
    """parts: what our program said; python: what fastavro took for the same bars."""
    rules = parts["rules"]
    ns = {name: value for name, value in parts.items() if name not in ("rules", "records", "seen")}
    ns |= {f"{name}_fastavro": value for name, value in python.items()}
    found = {f"{way}_vs_by_hand": ns[f"{way}_ohlcv"] / ns[f"{way}_by_hand"] for way in ("encode", "decode")}
    found |= {"rule_ns": ns["rules_ohlcv"] / len(rules), "dearest_rule_ns": max(rules.values())}
    for peer in PEERS[1:]:
        found |= {f"{way}_{peer}_vs_ours": ns[f"{way}_{peer}"] / ns[f"{way}_ohlcv"] for way in ("encode", "decode")}
    return found | {f"{name}_ns": value for name, value in ns.items()}


def measure(make_pipeline, options, say):
    """Needs no servers."""
    del make_pipeline
    rounds = Rounds(BARS)
    messages = os.path.join(options.folder, "bars.avro")
    files = decode.make(options.folder, FILE_SYMBOLS)
    for number in range(1, options.rounds + 1):
        parts = run(messages)
        found = figures(parts, python_codec.measure(messages))
        rounds.add(**found, **files_ns(files))
        dearest = max(parts["rules"], key=parts["rules"].get)
        say(
            f"round {number}: a bar encoded in {found['encode_ohlcv_ns']:.0f} ns ({found['encode_vs_by_hand']:.2f} of by hand),"
            f" decoded in {found['decode_ohlcv_ns']:.0f} ns ({found['decode_vs_by_hand']:.2f}), a rule {found['rule_ns']:.1f} ns,"
            f" the dearest {found['dearest_rule_ns']:.1f} ns ({dearest})"
        )
    return rounds
