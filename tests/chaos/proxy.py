"""Between the workers and a server: a TCP proxy that can cut, refuse, delay and hold what passes it.

It runs in a thread of its own. A trouble is for everybody, or for the connections of some processes only.
"""

import asyncio
import os
import threading

CHUNK_BYTES = 1 << 16
CALL_SECONDS = 10
CONNECT_SECONDS = 5


def socket_inode(client_port, server_port):
    """Of the client's end of a connection over 127.0.0.1."""
    with open("/proc/net/tcp") as file:
        for line in list(file)[1:]:
            words = line.split()
            ports = [int(address.split(":")[1], 16) for address in words[1:3]]
            if ports == [client_port, server_port] and words[9] != "0":
                return int(words[9])
    return None


def holds(pid, inode):
    try:
        return any(os.readlink(entry.path) == f"socket:[{inode}]" for entry in os.scandir(f"/proc/{pid}/fd"))
    except OSError:  # gone, or one of its files is
        return False


class Trouble:
    """What is wrong now. pids: with whom; None is everybody."""

    def __init__(self, refuse=False, hole=False, delay=0.0, pids=None):
        self.refuse = refuse
        self.hole = hole
        self.delay = delay
        self.pids = pids


class Connection:
    def __init__(self, proxy, writer):
        self.proxy = proxy
        self.port = writer.get_extra_info("peername")[1]
        self.writers = [writer]
        self.held = None  # a request, see chaos/kafka_proxy.py

    def troubled(self):
        trouble = self.proxy.trouble
        if trouble.pids is None:
            return trouble
        return trouble if self.belongs_to(trouble.pids) else Trouble()

    def belongs_to(self, pids):
        inode = socket_inode(self.port, self.proxy.port)
        return inode is not None and any(holds(pid, inode) for pid in pids)

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.target = None
        self.trouble = Trouble()
        self.judged = {}  # connection: the trouble that it has
        self.connections = set()
        self.changed = asyncio.Event()
        self.server = self.call(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CALL_SECONDS)

    # --- what tests say ----------------------------------------------------------------------------------------------
    def cut(self, pids=None):
        """Ends the connections there are; new ones are welcome."""
        self.call(self.cut_all(pids))

    def refuse(self, pids=None):
        """Ends the connections there are, and every new one at once."""
        self.call(self.set(Trouble(refuse=True, pids=pids)))

    def delay(self, seconds, pids=None):
        self.call(self.set(Trouble(delay=seconds, pids=pids)))

    def hole(self, pids=None):
        """Connections are accepted and stay open; what is sent arrives when it is over, if both are still there."""
        self.call(self.set(Trouble(hole=True, pids=pids)))

    def heal(self):
        self.call(self.set(Trouble()))

    def close(self):
        self.call(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(CALL_SECONDS)
        self.loop.close()

    # --- in its own thread -------------------------------------------------------------------------------------------
    async def cut_all(self, pids):
        for connection in list(self.connections):
            if pids is None or connection.belongs_to(pids):
                connection.cut()

    async def set(self, trouble):
        self.trouble = trouble
        self.judged = {}
        for connection in list(self.connections):
            if self.trouble_of(connection).refuse:
                connection.cut()
        self.changed.set()
        self.changed = asyncio.Event()

    def trouble_of(self, connection):
        if connection not in self.judged:
            self.judged[connection] = connection.troubled()
        return self.judged[connection]

    async def end(self):
        self.server.close()
        for connection in list(self.connections):
            connection.cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        connection = Connection(self, writer)
        self.connections.add(connection)
        try:
            await self.join(connection, reader, writer)
        except (OSError, asyncio.TimeoutError):
            pass  # one of the two is gone: so is the other
        finally:
            connection.cut()
            self.connections.discard(connection)
            self.judged.pop(connection, None)

    async def join(self, connection, reader, writer):
        if self.trouble_of(connection).refuse:
            return
        back_reader, back_writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self.target), CONNECT_SECONDS
        )
        connection.writers.append(back_writer)
        ways = [
            asyncio.ensure_future(self.send(connection, reader, back_writer)),
            asyncio.ensure_future(self.receive(connection, back_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def send(self, connection, reader, writer):
        await self.pump(connection, reader, writer)

    async def receive(self, connection, reader, writer):
        await self.pump(connection, reader, writer)

    async def pump(self, connection, reader, writer):
        while data := await reader.read(CHUNK_BYTES):
            await self.hold_up(connection)
            writer.write(data)
            await writer.drain()

    async def hold_up(self, connection):
        while self.trouble_of(connection).hole:
            await self.changed.wait()
        if self.trouble_of(connection).delay:
            await asyncio.sleep(self.trouble_of(connection).delay)
