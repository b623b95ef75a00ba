"""A proxy that knows where requests to a broker begin and end: it can hold one of them and let it go late."""

import asyncio
import struct

from chaos.proxy import CHUNK_BYTES, Proxy

TXN_OFFSET_COMMIT = 28
END_TXN = 26
INVALID_PRODUCER_EPOCH = 47
SIZE_BYTES = 4


def api_key(request):
    return struct.unpack_from(">h", request, SIZE_BYTES)[0]


def sends_offsets(request):
    return api_key(request) == TXN_OFFSET_COMMIT


def commits(request):
    """Whether a transaction is to be committed is the last byte, in the versions that librdkafka speaks."""
    return api_key(request) == END_TXN and request[-1] == 1


def offset_errors(answer):
    """To offsets of one topic: the code of each partition. Version 3; all lengths are small, so of one byte."""
    at = 14 + answer[14]  # behind the topic's name; lengths count one more
    return {struct.unpack_from(">h", answer, at + 1 + 7 * i + 4)[0] for i in range(answer[at] - 1)}


async def read_request(reader):
    """Empty at the end of the connection, also of one that was reset: what was held of it is still to be sent."""
    try:
        size = await reader.readexactly(SIZE_BYTES)
        return size + await reader.readexactly(struct.unpack(">i", size)[0])
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


class Held:
    """A request, and what follows on its connection. The broker gets it all in the end, also if the client is gone."""

    def __init__(self, proxy, wanted, pids):
        self.proxy = proxy
        self.wanted = wanted
        self.pids = pids
        self.connection = None
        self.request = b""
        self.answer = b""
        self.going = asyncio.Event()
        self.answered = asyncio.Event()

    def hang_up(self):
        """Ends the connection for the client; what is held stays."""
        self.proxy.loop.call_soon_threadsafe(self.connection.writers[0].transport.abort)

    def let_go(self):
        self.proxy.loop.call_soon_threadsafe(self.going.set)

    # --- in the proxy's thread ---------------------------------------------------------------------------------------
    def takes(self, connection, request):
        return not self.request and self.wanted(request) and connection.belongs_to(self.pids)

    async def take(self, connection, request):
        self.connection = connection
        self.request = request
        await self.going.wait()

    def hear(self, data):
        """Whatever was asked before has its answer by now."""
        self.answer += data
        self.answered.set()


class KafkaProxy(Proxy):
    def __init__(self):
        super().__init__()
        self.holding = None

    def hold(self, wanted, pids):
        """The next request of these processes that is wanted; other connections go on. One at a time is waited for."""
        self.holding = Held(self, wanted, pids)
        return self.holding

    # --- in its own thread -------------------------------------------------------------------------------------------
    async def send(self, connection, reader, writer):
        while request := await read_request(reader):
            await self.hold_up(connection)
            if (held := self.holding) and held.takes(connection, request):
                connection.held = held
                await held.take(connection, request)
            writer.write(request)
            await writer.drain()
        if connection.held:
            await connection.held.answered.wait()

    async def receive(self, connection, reader, writer):
        while data := await reader.read(CHUNK_BYTES):
            await self.hold_up(connection)
            if connection.held and connection.held.going.is_set():
                connection.held.hear(data)
            writer.write(data)
            await writer.drain()
