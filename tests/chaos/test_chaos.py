"""Every kind of fault once, several at a time where they can share a round. All of it: `make chaos`."""

import random

import pytest

from chaos import faults
from chaos.field import Field
from chaos.rounds import play

SEED = 11
PACKS = (
    (
        "kill.fetcher.after_commit",
        "kill.validator.before_commit",
        "kill.transformer.after_commit",
        "kill.loader.effects_written",
        "kill.orchestrator.produced",
    ),
    ("kill.fetcher", "kill.validator", "kill.transformer", "kill.loader", "kill.orchestrator.before_events_commit"),
    ("zombie.validator.before_commit", "zombie.transformer", "zombie.loader.before_begin"),
    ("zombie.fetcher", "zombie.loader.effects_written", "zombie.orchestrator.produced"),
    ("restart.kafka.kill",),
    ("restart.postgres.term", "backend.terminated"),
    ("restart.postgres.kill",),
    ("net.kafka.hole", "net.postgres.delay"),
    ("net.kafka.cut", "net.postgres.refuse"),
    ("net.kafka.delay", "net.postgres.hole"),
    ("disk.full",),
    ("backup.restored",),
    ("records.expired",),
    ("topic.recreated",),
    ("foreign.messages", "foreign.letters", "twins"),
    ("foreign.schema",),
)


class Arena:
    """One field for many rounds; after a round that was not survived the next begins on a new one."""

    def __init__(self, servers, make_folder):
        self.servers = servers
        self.make_folder = make_folder
        self.field = None

    def get(self):
        if self.field is None:
            self.field = Field(self.servers, self.make_folder("chaos"), SEED)
            self.field.fleet.start()
        return self.field

    def drop(self):
        if self.field:
            self.field.close()
        self.field = None


@pytest.fixture(scope="module")
def arena(chaos_servers, tmp_path_factory):
    arena = Arena(chaos_servers, tmp_path_factory.mktemp)
    yield arena
    arena.drop()


@pytest.fixture
def field(arena, request):
    field = arena.get()
    request.node.pipelines = [field.pipeline]
    return field


@pytest.mark.parametrize("names", PACKS, ids="+".join)
def test_survived(arena, field, names):
    for name in names:
        if reason := faults.impossible(name, field):
            pytest.skip(reason)
    chance = random.Random(f"{SEED} {names}")
    result = play(field, [faults.make(name, field, chance) for name in names])
    try:
        assert not result.wrong, "\n".join(result.wrong)
    except AssertionError:
        arena.drop()
        raise


def test_every_fault_has_a_kind_in_the_suite():
    """By the first two words of its name, or by what it is done to."""
    kinds = {name.split(".")[0] for name in faults.FAULTS}
    assert kinds == {name.split(".")[0] for pack in PACKS for name in pack}
    assert sum(map(len, PACKS)) >= 20
