"""The table of faults: name, what it is, how one is made."""

from functools import partial

from chaos import on_servers, on_topics, on_workers
from chaos.on_workers import POINTS

KINDS = tuple(POINTS)
STOP_POINTS = {
    "fetcher": ("before_commit",),
    "validator": ("before_commit",),
    "transformer": ("before_commit",),
    "loader": ("before_begin", "effects_written", "before_commit"),
    "orchestrator": ("produced", "before_events_commit"),
}
HOW = ("cut", "refuse", "delay", "hole")


def net(name, place, chance, to, how):
    return on_servers.Net(name, place, chance, getattr(place.servers, to), how)


def table():
    """Name: what makes one, as make(name, place, chance)."""
    faults = {}
    for kind, points in POINTS.items():
        for point in points:
            faults[f"kill.{kind}.{point}"] = partial(on_workers.AtPoint, kind=kind, point=point)
        faults[f"kill.{kind}"] = partial(on_workers.Kill, kind=kind)
        faults[f"zombie.{kind}"] = partial(on_workers.Zombie, kind=kind)
    for kind, points in STOP_POINTS.items():
        for point in points:
            faults[f"zombie.{kind}.{point}"] = partial(on_workers.ZombieAtPoint, kind=kind, point=point)
    faults["backend.terminated"] = on_workers.EndBackend
    faults["twins"] = on_workers.Twins
    for server in ("kafka", "postgres"):
        for how in ("TERM", "KILL"):
            faults[f"restart.{server}.{how.lower()}"] = partial(on_servers.Restart, server=server, how=how)
        for how in HOW:
            faults[f"net.{server}.{how}"] = partial(net, to=f"to_{server}", how=how)
    faults["disk.full"] = on_servers.DiskFull
    faults["backup.restored"] = on_servers.Backup
    faults["records.expired"] = on_topics.Expired
    faults["topic.recreated"] = on_topics.Recreated
    faults["foreign.messages"] = on_topics.Foreign
    faults["foreign.schema"] = on_topics.UnknownSchema
    faults["foreign.letters"] = on_topics.Letters
    return faults


FAULTS = table()


def class_of(name):
    made = FAULTS[name]
    return getattr(made.func, "made", made.func) if isinstance(made, partial) else made


net.made = on_servers.Net


def make(name, place, chance):
    return FAULTS[name](name, place, chance)


def impossible(name, place):
    return class_of(name).impossible(place)
