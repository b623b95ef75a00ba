"""A token endpoint of a test's own, over TLS: the client credentials grant (RFC 6749, 4.4), tokens signed with RS256."""

import base64
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CLIENT, CLIENT_SECRET = "penstock-client", "hush-client+4715/%="
KEY_ID = "tests"
LIFETIME_SECONDS = 300


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """Made by openssl; jwks() is how others check what it signed."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "signing.key")
        self.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path)

    @staticmethod
    def openssl(*words, data=b""):
        return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout

    def jwks(self):
        modulus = self.openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {"kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "e": "AQAB"}
        return {"keys": [key | {"n": base64url(bytes.fromhex(modulus))}]}

    def sign(self, claims):
        head = base64url(json.dumps({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).encode())
        signed = f"{head}.{base64url(json.dumps(claims).encode())}"
        return f"{signed}.{base64url(self.openssl('dgst', '-sha256', '-sign', self.path, data=signed.encode()))}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        status, body = self.server.owner.answer(self.headers.get("Authorization", ""), form)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # who asked had enough of it

    def log_message(self, *_):
        pass


class TokenServer:
    def __init__(self, authority, key, issuer, audience):
        """authority: vouches for its name, localhost."""
        self.key, self.issuer, self.audience = key, issuer, audience
        self.reset()
        secret, certificate = authority.issue("tokens", "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, secret)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        self.server.owner = self
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"https://localhost:{self.server.server_port}/token"

    def reset(self):
        self.lifetime = LIFETIME_SECONDS
        self.subject = "admin"
        self.instead = None  # (status, body) whatever is asked
        self.asked = []  # forms

    def answer(self, authorization, form):
        self.asked.append(form)
        if self.instead:
            return self.instead
        kind, _, word = authorization.partition(" ")
        said = base64.b64decode(word).decode() if kind == "Basic" else ""
        # RFC 6749, 2.3.1: both are form-encoded before they are put together.
        if [urllib.parse.unquote_plus(part) for part in said.split(":", 1)] != [CLIENT, CLIENT_SECRET]:
            return 401, {"error": "invalid_client", "error_description": "no such client, or another secret"}
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": self.subject, "iat": now, "exp": now + self.lifetime}
        token = self.key.sign(claims | {"scope": form.get("scope", "")})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
