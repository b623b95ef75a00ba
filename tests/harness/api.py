"""The orchestrator's HTTP API, as a client that is not ours sees it."""

import requests
from harness.waiting import patient

TIMEOUT_SECONDS = 30


class Api:
    def __init__(self, url, token):
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, path, **options):
        return self.session.request(method, self.url + path, timeout=patient(TIMEOUT_SECONDS), **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def anonymous(self, method, path, **options):
        """Without the token."""
        return requests.request(method, self.url + path, timeout=patient(TIMEOUT_SECONDS), **options)

    def start_run(self, subscriptions=None, **switches):
        """Its id. Fails where the orchestrator does not accept it."""
        body = dict(switches)
        if subscriptions is not None:
            body["subscriptions"] = subscriptions
        answer = self.post("/api/etl/execute-full-pipeline", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["run"]

    def run(self, run):
        answer = self.get(f"/api/v1/runs/{run}")
        assert answer.status_code == 200, answer.text
        return answer.json()
