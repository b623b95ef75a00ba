"""What the HTTP server takes, and for how long: seen by a socket, as no client library would send it."""

import json
import socket
import time

import pytest
from chaos.proxy import Proxy
from harness.api import TIMEOUT_SECONDS, Api
from harness.pipeline import Pipeline
from harness.waiting import wait_until

REQUEST_SECONDS, IDLE_SECONDS = 2, 3
CONNECTIONS, OF_ADDRESS = 12, 8
BODY_BYTES, HEADERS_BYTES = 10_000, 4096
EXECUTE = "/api/etl/execute-full-pipeline"
HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n"


def proxied(servers, pipeline, proxy):
    return f"host=127.0.0.1 port={proxy.port} dbname={pipeline.database} user=penstock password={servers.postgres.password()}"


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """An orchestrator with small limits; between it and the database somebody who can part them."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    proxy = Proxy()
    try:
        pipeline.prepare()
        proxy.target = servers.place.ports["postgres"]
        pipeline.configure(
            "http",
            request_s=REQUEST_SECONDS,
            idle_s=IDLE_SECONDS,
            connections=CONNECTIONS,
            connections_per_address=OF_ADDRESS,
            body_bytes=BODY_BYTES,
            headers_bytes=HEADERS_BYTES,
        )
        pipeline.configure("database", dsn_file=pipeline.secret("dsn.proxied", proxied(servers, pipeline, proxy)))
        pipeline.proxy = proxy
        pipeline.start("orchestrator")
        wait_until(lambda: pipeline.api.get("/health").status_code == 200, 30, "the orchestrator is healthy")
        yield pipeline
    finally:
        pipeline.close()
        proxy.close()


class Client:
    """A connection, from any address of this host."""

    def __init__(self, pipeline, address="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", pipeline.api_port), TIMEOUT_SECONDS, (address, 0))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.socket.close()

    def send(self, data):
        """False: the server has hung up."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            return False
        return True

    def more(self):
        try:
            part = self.socket.recv(65536)
        except ConnectionError:
            part = b""
        self.rest += part
        return part

    def answer(self):
        """(status, headers in small letters, body); None where there is none."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers["content-length"])
        while len(self.rest) < length and self.more():
            pass
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(first.split()[1]), headers, body

    def problem(self, status, word):
        """RFC 9457."""
        answer = self.answer()
        assert answer, "hung up without a word"
        assert answer[0] == status and answer[1]["content-type"] == "application/problem+json", answer
        said = json.loads(answer[2])
        assert said["status"] == status and said["title"] and word in said["detail"], said

    def is_closed(self):
        return self.more() == b""

    def is_dropped_yet(self):
        """Whether the server has ended it, without waiting for that."""
        self.socket.setblocking(False)
        try:
            return self.more() == b""
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT_SECONDS)


@pytest.fixture
def client(up):
    with Client(up) as client:
        yield client


def request(up, target, *headers, method="GET"):
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {up.token}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def assert_served(up, address="127.0.0.1"):
    """A client that asks something is answered at once."""
    begun = time.monotonic()
    with Client(up, address) as client:
        assert client.send(HEAD + b"\r\n") and client.answer()[0] == 200
    assert time.monotonic() - begun < REQUEST_SECONDS / 2


# --- size ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 1])
def test_a_body_of_the_largest_size_and_one_larger(up, client, more):
    body = b'{"nonsense": "' + b"x" * (BODY_BYTES - 16 + more) + b'"}'
    assert len(body) == BODY_BYTES + more
    client.send(request(up, EXECUTE, f"Content-Length: {len(body)}", method="POST") + body)
    client.problem(413, "http.body_bytes") if more else client.problem(400, "nonsense")


def test_a_client_that_waits_is_spared_sending_too_much(up, client):
    client.send(request(up, EXECUTE, "Content-Length: 20000", "Expect: 100-continue", method="POST"))
    client.problem(413, "http.body_bytes")


def test_chunks_without_a_length_are_counted(up, client):
    client.send(request(up, EXECUTE, "Transfer-Encoding: chunked", method="POST"))
    for _ in range(BODY_BYTES // 1000 + 1):
        assert client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    client.send(b"0\r\n\r\n")
    client.problem(413, "http.body_bytes")


def test_chunks_without_an_end_are_cut_off(up, client):
    client.send(request(up, EXECUTE, "Transfer-Encoding: chunked", method="POST"))
    sent = 0
    while client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n"):
        sent += 4096
        assert sent < 100_000_000, "there is no end to what is taken"
    assert_served(up)


def test_headers_too_large(up, client):
    client.send(request(up, "/health", "X-Long: " + "y" * HEADERS_BYTES))
    client.problem(431, "http.headers_bytes")
    assert_served(up)


def test_headers_too_many(up, client):
    client.send(request(up, "/health", *[f"X-{number}: y" for number in range(HEADERS_BYTES // 8)]))
    client.problem(431, "http.headers_bytes")


@pytest.mark.parametrize("target", ["/api/v1/runs?kind=", "/"])
def test_a_url_too_long(up, client, target):
    client.send(request(up, target + "x" * HEADERS_BYTES))
    client.problem(414, "http.headers_bytes")


def test_headers_without_an_end_are_cut_off(up, client):
    client.send(b"GET /health HTTP/1.1\r\n")
    sent = 0
    while client.send(b"X-More: " + b"y" * 1000 + b"\r\n"):
        sent += 1000
        assert sent < 100_000_000, "there is no end to what is taken"
    assert_served(up)


# --- time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize(
    "begin, drop",
    [
        (b"", b"G"),
        (HEAD, b"X"),
        (b"POST /api/etl/execute-full-pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", b"x"),
        (b"POST /api/etl/execute-full-pipeline HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["nothing", "headers", "body", "chunks"],
)
def test_drop_by_drop_is_no_request(up, client, begin, drop):
    """A byte now and then does not keep a connection; others are served all the while."""
    begun = time.monotonic()
    client.send(begin)

    def dropped():
        assert_served(up)
        client.send(drop)
        return client.is_dropped_yet()

    wait_until(dropped, 4 * REQUEST_SECONDS, "the client that sends slowly is dropped")
    assert time.monotonic() - begun >= REQUEST_SECONDS - 0.5
    assert not client.rest or client.rest.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.alone
def test_who_says_nothing_is_told_why(client):
    client.problem(408, "http.request_s")
    assert client.is_closed()


@pytest.mark.alone
def test_a_connection_is_kept_for_the_next_request_and_not_for_ever(up, client):
    for _ in range(3):
        client.send(HEAD + b"\r\n")
        assert client.answer()[0] == 200
    begun = time.monotonic()
    assert client.is_closed() and client.rest == b"", "words that the next request's answer would be taken for"
    assert IDLE_SECONDS - 1 < time.monotonic() - begun < IDLE_SECONDS + REQUEST_SECONDS + 2


# --- connections ---------------------------------------------------------------------------------------------------------


def hold(up, count, address):
    return [Client(up, address) for _ in range(count)]


def close(clients):
    for client in clients:
        client.socket.close()


@pytest.mark.alone
def test_one_address_does_not_keep_itself_out(up):
    """The one that waited longest makes room, and is told."""
    held = hold(up, OF_ADDRESS, "127.0.0.1")
    try:
        assert_served(up)
        held[0].problem(503, "http.connections_per_address")
        assert not held[-1].is_dropped_yet()
    finally:
        close(held)


@pytest.mark.alone
def test_many_addresses_do_not_keep_others_out(up):
    held = [client for number in range(2, 6) for client in hold(up, OF_ADDRESS - 1, f"127.0.0.{number}")]
    try:
        assert len(held) > 2 * CONNECTIONS
        for _ in range(5):
            assert_served(up)
        held[0].problem(503, "http.connections")
        assert up.of("orchestrator")[0].running
    finally:
        close(held)


# --- what is no request, or an unusual one -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", [b"nonsense", b"GET", b"GET /health", b"GET /health HTTP/9.9", b"GET  HTTP/1.1", b"\0\0\0\0", b"GET /\xff HTTP/1.1"]
)
def test_a_first_line_that_is_none(up, client, line):
    client.send(line + b"\r\nHost: x\r\n\r\n")
    answer = client.answer()
    assert answer is None or answer[0] >= 400, answer
    assert_served(up)


@pytest.mark.parametrize("method", ["BREW", "get", "CONNECT", "TRACE", "PROPFIND", "X" * 200])
def test_a_method_that_nobody_knows(up, client, method):
    client.send(request(up, "/api/v1/runs", method=method))
    client.problem(405, "GET")


def test_http_1_0(up):
    with Client(up) as client:
        client.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert client.answer()[0] == 200 and client.is_closed()
    with Client(up) as client:
        for _ in range(2):
            client.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            assert answer[0] == 200 and answer[1]["connection"].lower() == "keep-alive"


def test_requests_in_one_go_are_answered_in_their_order(up, client):
    client.send(b"".join(request(up, target) for target in ("/health", "/nothing", "/api/v1/runs", "/openapi.json")))
    assert [client.answer()[0] for _ in range(4)] == [200, 404, 200, 200]


def test_two_lengths_are_no_second_request(up, client):
    """What follows a body whose length is said twice is never taken for a request (smuggling)."""
    client.send(
        request(up, EXECUTE, "Content-Length: 2", "Transfer-Encoding: chunked", method="POST")
        + b"0\r\n\r\n"
        + request(up, "/api/v1/runs")
    )
    before = up.value("SELECT count(*) FROM etl.runs")
    first = client.answer()
    assert first is None or first[0] in (202, 400)
    wait_until(lambda: up.value("SELECT count(*) FROM etl.runs WHERE status IN ('pending', 'running')") == 0, 30, "done")
    assert up.value("SELECT count(*) FROM etl.runs") <= before + 1


# --- percent-encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, status",
    [
        ("/health%00", 404),
        ("/health%00/../api/v1/runs", 404),
        ("/api/v1/runs%00", 404),
        ("/api/v1/historical/X%00Y?start=2024-01-01&end=2024-01-02", 404),
        ("/api/v1/runs?limit=5%00x", 400),
        ("/api/v1/runs?kind=full%00", 400),
        ("/api/v1/runs?kind=%ff%fe", 400),
        ("/api/v1/runs?kind=%c0%80", 400),
        ("/api/v1/runs?kind=%ed%a0%80", 400),
        ("/api/v1/runs?%00=1", 400),
        ("/api/v1/runs?%ff=1", 400),
        ("/api/v1/runs?kind=%", 200),
        ("/api/v1/runs?kind=%zz", 200),
        ("/api/v1%2Fruns", 404),
        ("/api/v1/../v1/runs", 404),
        ("/api/v1/%2e%2e/v1/runs", 404),
        ("/api/v1/%72uns", 200),
        ("/api/v1/runs/%30", 404),
    ],
)
def test_what_is_encoded_is_one_thing_only(up, client, target, status):
    client.send(request(up, target))
    answer = client.answer()
    assert answer[0] == status, answer
    if status >= 400:
        assert answer[1]["content-type"] == "application/problem+json"
        json.loads(answer[2])


@pytest.mark.parametrize("symbol, encoded", [("EUR/USD", "EUR%2FUSD"), ("50%", "50%25"), ("A%2FB", "A%252FB"), ("A B+C", "A%20B+C")])
def test_a_symbol_may_have_any_character(up, client, symbol, encoded):
    up.query("SELECT etl.ensure_month('ohlcv_data', '2024-01-01')")
    up.query(
        'INSERT INTO ohlcv_data (symbol, "interval", ts_event, dataset, open_price, high_price, low_price, close_price, volume,'
        " ticker, session_date, session_basis, attempt, as_of)"
        " VALUES (%s, '1d', '2024-01-05', 'X', 1, 1, 1, 1, 1, 'X', '2024-01-05', 'utc', 1, now())",
        symbol,
    )
    answer = up.api.get(f"/api/v1/historical/{encoded}?start=2024-01-01&end=2024-01-31")
    assert answer.status_code == 200 and len(answer.json()["data"]) == 1, answer.text


def test_bytes_of_a_name_that_is_no_text(up):
    answer = up.api.request("DELETE", "/api/v1/tokens/%ff")
    assert answer.status_code in (400, 404) and answer.headers["Content-Type"] == "application/problem+json"


# --- the database, the orchestrator: away --------------------------------------------------------------------------------


def test_a_database_that_is_down_is_said_and_comes_back(up):
    """503 with a sentence, and when to come again; a token that only the database knows, too. Then all is as before."""
    secret = up.api.post("/api/v1/tokens", json={"name": "reader", "role": "viewer"}).json()["token"]
    headers = {"Authorization": f"Bearer {secret}"}
    up.proxy.refuse()
    try:
        for path in ("/api/v1/runs", "/api/etl/status", "/api/v1/dead-letters", "/api/v1/status"):
            answer = up.api.get(path)
            assert answer.status_code == 503 and "database" in answer.json()["detail"], answer.text
            assert int(answer.headers["Retry-After"]) > 0
        answer = up.api.anonymous("GET", "/api/v1/runs", headers=headers)
        assert answer.status_code == 503 and "database" in answer.json()["detail"]
        said = up.cli("runs", code=3).stderr
        assert "database" in said and len(said.splitlines()) == 1, said
        wait_until(lambda: up.api.get("/health").json()["database"] == "disconnected", 30, "health tells")
        assert up.api.get("/health").status_code == 503
    finally:
        up.proxy.heal()
    wait_until(lambda: up.api.get("/health").status_code == 200, 60, "the orchestrator is healthy again")
    assert up.api.get("/api/v1/runs").status_code == 200
    assert up.api.anonymous("GET", "/api/v1/runs", headers=headers).status_code == 200


def test_a_query_that_takes_too_long_is_given_up(up):
    """Somebody holds the table: the request ends within its time, and says so."""
    hasty = Api(f"http://127.0.0.1:{up.start('orchestrator', settings={'query_s': 1}).port}", up.token)
    with up.connect() as connection:
        connection.execute("LOCK TABLE etl.dead_letters")
        answer = hasty.get("/api/v1/dead-letters")
        assert answer.status_code == 503 and "orchestrator.query_s" in answer.json()["detail"], answer.text
    assert hasty.get("/api/v1/dead-letters").status_code == 200


@pytest.mark.parametrize("words", [["status"], ["runs"], ["run", "show", "1"], ["dlq", "ls"], ["run", "full"]])
def test_an_orchestrator_that_nobody_reaches(make_pipeline, words):
    """One sentence that names it and the way out."""
    pipeline = make_pipeline(database=False)
    said = pipeline.cli(*words, code=3).stderr
    assert pipeline.api.url in said and "is the orchestrator up" in said and len(said.splitlines()) == 1, said


def test_only_this_host_is_listened_to(up):
    """127.0.0.1 where nothing else is said, of every worker."""
    up.start("validator")
    for worker in up.workers:
        assert worker.events("http_listening")[-1]["context"]["address"] == "127.0.0.1"
    with open("/proc/net/tcp") as table:
        listening = {row.split()[1] for row in table.readlines()[1:] if row.split()[3] == "0A"}
    assert f"0100007F:{up.api_port:04X}" in listening and f"00000000:{up.api_port:04X}" not in listening
