"""Servers of their own, as these tests kill them; started only where one of these tests runs."""

import pytest

from chaos.field import ChaosServers, Field


@pytest.fixture(scope="session")
def chaos_servers(fault_programs):
    servers = ChaosServers()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def make_field(chaos_servers, request, tmp_path_factory):
    """make_field() as often as a test needs one; workers run. All are closed at its end."""
    request.node.pipelines = []
    fields = []

    def make(**options):
        field = Field(chaos_servers, tmp_path_factory.mktemp("chaos"), **options)
        fields.append(field)
        request.node.pipelines.append(field.pipeline)
        field.fleet.start()
        return field

    yield make
    for field in fields:
        field.close()
