"""`monitord notify test`, as people run it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .program import monitord

TOKEN = "planted-token-5f0c"


class Hearer(ThreadingHTTPServer):
    """Takes everything but what is under /refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hearer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.heard[self.path.partition("?")[0]] = body
        self.send_response(503 if self.path.startswith("/refused") else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface's name
        pass


@pytest.fixture
def hearer() -> Iterator[Hearer]:
    with Hearer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def everything(hearer: Hearer) -> dict[str, str]:
    return {
        "MONITORD_NOTIFY__WEBHOOK_URL": f"{hearer.url}/{TOKEN}",
        "MONITORD_NOTIFY__ALERTMANAGER_URL": f"{hearer.url}/am/",
        "MONITORD_NOTIFY__HEARTBEAT_URL": f"{hearer.url}/ping/{TOKEN}",
        "MONITORD_INSTANCE": "box-1",
    }


def test_each_way_out_is_told_once_and_nothing_is_written(tmp_path: Path, hearer: Hearer) -> None:
    done = monitord("notify", "test", directory=tmp_path, settings=everything(hearer))
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert rows == [["webhook", "taken"], ["alertmanager", "taken"], ["heartbeat", "taken"]]
    assert len({line.index(" taken ") for line in done.stdout.splitlines()}) == 1
    assert set(hearer.heard) == {f"/{TOKEN}", "/am/api/v2/alerts", f"/ping/{TOKEN}/log"}
    assert json.loads(hearer.heard[f"/{TOKEN}"])["type"] == "monitord.test"
    assert "box-1" in hearer.heard[f"/ping/{TOKEN}/log"]
    assert list(tmp_path.iterdir()) == []


def test_one_that_fails_says_why_and_the_others_are_told(tmp_path: Path, hearer: Hearer) -> None:
    settings = everything(hearer) | {"MONITORD_NOTIFY__WEBHOOK_URL": f"{hearer.url}/refused/{TOKEN}"}
    done = monitord("notify", "test", directory=tmp_path, settings=settings)
    assert (done.returncode, done.stderr) == (2, "")
    assert f"refused: 127.0.0.1:{hearer.server_port} answers 503 Service Unavailable." in done.stdout
    assert TOKEN not in done.stdout
    assert len(hearer.heard) == 3


def test_one_alone_as_json(tmp_path: Path, hearer: Hearer) -> None:
    settings = everything(hearer)
    done = monitord(
        "notify", "test", "--channel", "alertmanager", "--format", "json", directory=tmp_path, settings=settings
    )
    assert done.returncode == 0
    ((outcome),) = json.loads(done.stdout)["channels"]
    assert outcome.pop("duration_ms") > 0
    assert outcome == {"channel": "alertmanager", "taken": True, "kind": None, "error": None}
    assert set(hearer.heard) == {"/am/api/v2/alerts"}


def test_one_that_is_not_set_is_a_mistake_that_names_those_that_are(tmp_path: Path, hearer: Hearer) -> None:
    done = monitord("notify", "test", "--channel", "tgram", directory=tmp_path, settings=everything(hearer))
    assert (done.returncode, done.stdout) == (2, "")
    wanted = "'tgram' is not a configured channel; there are webhook, alertmanager, heartbeat"
    assert done.stderr == f"monitord notify test: {wanted}\n"


def test_where_none_is_set_one_line_says_so(tmp_path: Path) -> None:
    done = monitord("notify", "test", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("monitord notify test: no channel is configured; ")
    assert len(done.stderr.splitlines()) == 1


def test_without_an_action_it_says_what_there_is(tmp_path: Path) -> None:
    done = monitord("notify", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("monitord notify: ")


def test_what_no_route_takes_is_named_by_the_test_and_by_config(tmp_path: Path, hearer: Hearer) -> None:
    routes = {"webhook": {"severity": "critical"}, "alertmanager": {"severity": "critical"}}
    given = everything(hearer) | {"MONITORD_NOTIFY__ROUTES": json.dumps(routes)}
    done = monitord("notify", "test", "--channel", "webhook", "--format", "json", directory=tmp_path, settings=given)
    (gap,) = json.loads(done.stdout)["unheard"]
    assert (done.returncode, gap.startswith("nobody is notified of "), "(warning)" in gap) == (0, True, True)
    assert done.stderr == f"monitord notify test: {gap}.\n"
    assert f"{gap}." in monitord("config", directory=tmp_path, settings=given).stderr
