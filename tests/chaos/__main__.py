"""python -m chaos [--seed N] [--faults N] [--minutes M] [--only NAME,...] [--list]

Rounds of faults until so many were injected, or the time is over; then the parts that are no rounds: how soon a killed
worker is made up for, workers that come and go, brokers of three that die. The last line is `faults: N injected, N
survived`; the exit code is 1 where they differ, or a part failed. The same seed gives the same rounds.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from confluent_kafka import KafkaException  # noqa: E402
from harness.interrupt import clean_up_on_sigterm  # noqa: E402
from harness.servers import session_folders  # noqa: E402

from chaos import faults as table  # noqa: E402
from chaos import brokers, recovery, scaling  # noqa: E402
from chaos.field import GONE, ChaosServers, Field  # noqa: E402
from chaos.rounds import play  # noqa: E402


PACK_MAX = 5  # faults of one round
QUIET_ROUNDS = 2


def arguments():
    parser = argparse.ArgumentParser(prog="chaos", usage=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--only", default="", help="names, or beginnings of them, separated by commas")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def chosen(only, names):
    words = [word for word in only.split(",") if word]
    return [name for name in names if not words or any(name.startswith(word) for word in words)]


def possible(place, names):
    """Those that can be done here; the others are named."""
    reasons = {}
    for name in names:
        made = table.class_of(name)
        if made not in reasons:
            reasons[made] = made.impossible(place)
        if reasons[made]:
            print(f"left out  {name}: {reasons[made]}", flush=True)
    return [name for name in names if not reasons[table.class_of(name)]]


def can_share(one, other):
    """Not two troubles of one connection, nor two at one point: the second would end the first. Nobody could take over
    from one stopped worker if the other of its kind is stopped, too, and a loader that cannot get through has no session
    that could be terminated."""
    stopped = [each.name.split(".")[1] for each in (one, other) if each.name.startswith("zombie.")]
    both_stopped = len(stopped) == 2 and stopped[0] == stopped[1]
    same_net = one.name.startswith("net.") and one.name.split(".")[:2] == other.name.split(".")[:2]
    unreachable = {one.name.split(".")[0], other.name.split(".")[0]} == {"backend", "net"}  # a session, to end it
    same_point = getattr(one, "armed", one.name) == getattr(other, "armed", other.name)
    return not (one.alone or other.alone or same_net or same_point or both_stopped or unreachable)


def packs(place, names, chance):
    """For ever: every fault once in a random order, then again. Several at a time where they can share a round."""
    while True:
        order = [table.make(name, place, chance) for name in chance.sample(names, len(names))]
        while order:
            pack, wanted = [order.pop()], chance.randint(1, PACK_MAX)
            while order and len(pack) < wanted and all(can_share(each, order[-1]) for each in pack):
                pack.append(order.pop())
            yield pack


class Report:
    def __init__(self):
        self.injected, self.survived = Counter(), Counter()
        self.parts = 0  # that were tried
        self.failed = []  # what they found

    def add(self, result):
        names = [fault.name for fault in result.faults]
        self.injected.update(names)
        if not result.wrong:
            self.survived.update(names)

    def show(self):
        for name in sorted(self.injected):
            print(f"  {name:<36} {self.injected[name]:>4} injected {self.survived[name]:>4} survived")
        for found in self.failed:
            print(f"failed: {found}")
        injected, survived = self.injected.total(), self.survived.total()
        print(f"faults: {injected} injected, {survived} survived", flush=True)
        return 0 if injected == survived and injected + self.parts > 0 and not self.failed else 1


def explain(result, place, seed):
    print(f"  seed {seed}, round {result.number}: {', '.join(fault.name for fault in result.faults)}")
    for line in result.wrong:
        print(f"    {line}")
    print(f"    logs and data: {place.folder}", flush=True)


def leave(place):
    """A round that was not survived may have left a server behind that does not answer."""
    try:
        place.close()
    except GONE + (KafkaException,) as error:
        print(f"  cannot be cleaned up: {error}", flush=True)


def quiet(place):
    """Rounds without a fault, so that there is a past: nobody can tell that a topic was made anew in the first seconds of
    a pipeline's life, before the orchestrator has seen how far its groups had come."""
    for _ in range(QUIET_ROUNDS):
        result = play(place, [])
        assert not result.wrong, f"nothing was done to it: {result.wrong}"


def rounds(servers, folder, asked, report):
    """Fails over to a new pipeline after a failure: what was broken is kept to be looked at."""
    place, played = None, 0
    chance = random.Random(asked.seed)
    end = time.monotonic() + 60 * asked.minutes
    try:
        while report.injected.total() < asked.faults and time.monotonic() < end:
            if place is None:
                place = Field(servers, folder / f"from-round-{played + 1}", asked.seed, rounds=played)
                place.fleet.start()
                quiet(place)
                names = possible(place, chosen(asked.only, table.FAULTS))
                following = packs(place, names, chance)
            result = play(place, next(following))
            played = result.number
            report.add(result)
            print(result, flush=True)
            if result.wrong:
                explain(result, place, asked.seed)
                place, failed = None, place
                leave(failed)
    finally:
        if place:
            place.close()


def recoveries(servers, folder):
    for kind in recovery.KINDS:
        place = folder / f"recovery-{kind}"
        place.mkdir()
        found = recovery.measure(servers, place, kind)
        print(f"recovery   {found}", flush=True)
        if found.seconds > recovery.LIMIT_SECONDS:
            yield f"too slow: {found}"


def scalings(servers, folder):
    """Those of a kind that leave do so in good order in one of two runs, by SIGKILL in the other."""
    for killed in (scaling.SCALED[::2], scaling.SCALED[1::2]):
        place = folder / f"scaling-{killed[0]}"
        place.mkdir()
        yield from scaling.play(servers, place, killed, say=lambda text: print(f"scaling    {text}", flush=True))


def deaths_of_brokers(folder):
    servers = brokers.ThreeBrokers()
    try:
        servers.start()
        place = folder / "brokers"
        place.mkdir()
        every = range(1, brokers.BROKERS + 1)
        yield from brokers.play(servers, place, every, say=lambda text: print(f"brokers    {text}", flush=True))
    finally:
        servers.stop()


def part(report, found):
    report.parts += 1
    try:
        report.failed += found
    except AssertionError as failure:
        report.failed.append(str(failure))


def on_two_servers(folder, asked, parts, report):
    servers = ChaosServers()
    try:
        servers.start()
        if chosen(asked.only, table.FAULTS):
            rounds(servers, folder, asked, report)
        for name in set(parts) - {"brokers"}:
            part(report, PARTS[name](servers, folder))
    finally:
        servers.stop()


PARTS = {"recovery": recoveries, "scaling": scalings, "brokers": deaths_of_brokers}


def main():
    asked = arguments()
    if asked.list:
        print("\n".join([*table.FAULTS, *PARTS]))
        return 0
    parts = chosen(asked.only, PARTS)
    if not parts and not chosen(asked.only, table.FAULTS):
        sys.exit(f"nothing is called {asked.only}; see --list")
    clean_up_on_sigterm()
    os.makedirs(session_folders(), mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    report = Report()
    try:
        if parts != ["brokers"]:
            on_two_servers(folder, asked, parts, report)
        if "brokers" in parts:
            part(report, deaths_of_brokers(folder))
    finally:
        if report.injected == report.survived and not report.failed:
            shutil.rmtree(folder)
    return report.show()


if __name__ == "__main__":
    sys.exit(main())
