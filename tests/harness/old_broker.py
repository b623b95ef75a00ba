"""A broker of another age: a proxy in front of a real one that takes back what its answer to ApiVersions promises."""

import socket
import struct
import threading

API_VERSIONS = 18
TXN_OFFSET_COMMIT = 28
ENTRY = struct.Struct(">hhh")  # request, first and last version


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            return None
        data += part
    return data


def read_frame(connection):
    size = read_exactly(connection, 4)
    return size and read_exactly(connection, struct.unpack(">i", size)[0])


def send_frame(connection, frame):
    connection.sendall(struct.pack(">i", len(frame)) + frame)


def cap(answer, limits):
    """Version 3: correlation id, error code, a compact list of entries that end with (no) tagged fields."""
    answer = bytearray(answer)
    count, at = answer[6] - 1, 7
    if answer[6] & 0x80:  # a varint of two bytes
        count, at = (answer[6] & 0x7F | answer[7] << 7) - 1, 8
    for _ in range(count):
        key, first, last = ENTRY.unpack_from(answer, at)
        ENTRY.pack_into(answer, at, key, min(first, limits.get(key, first)), min(last, limits.get(key, last)))
        at += ENTRY.size + 1
    return bytes(answer)


class OldBroker:
    """limits: {request: its last version}; None: it hangs up when it is asked, as brokers before 0.10 do."""

    def __init__(self, address, limits):
        host, port = address.rsplit(":", 1)
        self.target = (host, int(port))
        self.limits = limits
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                broker = socket.create_connection(self.target)
            except OSError:
                return
            self.open += [client, broker]
            asked = set()
            for work in (self.send, self.receive):
                threading.Thread(target=self.guarded, args=(work, client, broker, asked), daemon=True).start()

    def guarded(self, work, client, broker, asked):
        try:
            work(client, broker, asked)
        except OSError:
            pass
        for connection in (client, broker):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def send(self, client, broker, asked):
        while request := read_frame(client):
            key, _, correlation = struct.unpack_from(">hhi", request)
            if key == API_VERSIONS:
                if self.limits is None:
                    return
                asked.add(correlation)
            send_frame(broker, request)

    def receive(self, client, broker, asked):
        while answer := read_frame(broker):
            if struct.unpack_from(">i", answer)[0] in asked:
                answer = cap(answer, self.limits)
            send_frame(client, answer)
