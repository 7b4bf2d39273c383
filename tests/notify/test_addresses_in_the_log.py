"""Nothing of an address that is a secret is in the log, at debug either: libraries' lines are not taken at all."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from monitord.config.loader import load
from monitord.logging.logger import JsonLog
from monitord.notify.channels.base import SendError
from monitord.notify.channels.http import HttpClient
from tests.notify.conftest import Receive
from tests.notify.receivers import OK, status

TOKEN = "s3cr3t-T0ken/with+odd=signs"
PLAIN = "0123456789abcdefSECRET"
FORMS = (
    f"/hook/{PLAIN}",
    f"/hook/{quote(TOKEN, safe='')}",
    f"/hook?key={PLAIN}",
    f"/hook?x=1&signature={quote(TOKEN, safe='')}",
    f"/hook;token={PLAIN}",
    f"/#{PLAIN}",
    f"/hook?{PLAIN}",
    f"/bot12345678:{PLAIN}/sendMessage",
)
USERS = (f"{PLAIN}@", f"user:{PLAIN}@", f":{PLAIN}@", f"user:{quote(TOKEN, safe='')}@")


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """What a log at debug says of everything, the libraries at their loudest included."""
    stream = io.StringIO()
    names = ("httpx", "httpcore", "httpcore.connection", "asyncio", "urllib3.connectionpool", "apscheduler")
    before = {name: logging.getLogger(name).level for name in names}
    log = JsonLog(stream, "debug")
    with log.everything():
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
        yield stream
        log.flush()
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    "reply", [OK, status("302 Found", "Location: http://127.0.0.1/x"), b"nonsense", status("500 No")]
)
@pytest.mark.parametrize("user", ["", *USERS])
async def test_no_request_leaves_its_address_in_the_log(
    receive: Receive, heard: io.StringIO, user: str, reply: bytes
) -> None:
    receiver = await receive(reply)
    for form in FORMS:
        url = f"http://{user}127.0.0.1:{receiver.port}{form}"
        http = HttpClient(url, 10.0)
        said = ""
        try:
            await http.post(url, b"{}", {})
        except SendError as error:
            said = str(error)
        await http.close()
        assert PLAIN not in said
        assert "T0ken" not in said
    assert len(receiver.requests) == len(FORMS)
    assert heard.getvalue() == ""


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "urllib3.connectionpool", "requests", "apprise"])
def test_what_a_library_warns_of_a_request_is_not_taken_either(heard: io.StringIO, name: str) -> None:
    logging.getLogger(name).warning("Retrying after connection broken: /hook/%s", PLAIN)
    assert heard.getvalue() == ""


@pytest.mark.parametrize("user", ["", *USERS])
@pytest.mark.parametrize("form", FORMS)
def test_each_part_of_an_address_that_is_a_secret_is_masked_by_itself(tmp_path: Path, user: str, form: str) -> None:
    stream = io.StringIO()
    log = JsonLog(stream, "debug")
    environ = {"HOME": str(tmp_path), "MONITORD_NOTIFY__WEBHOOK_URL": f"https://{user}example.org{form}"}
    log.hide(load(environ, tmp_path).secrets())
    for said in (PLAIN, TOKEN, quote(TOKEN, safe="")):
        if said in form + user or quote(said, safe="") in form + user:
            log.emit("tried", "info", f"the library said {said} of it", error=ValueError(said))
    log.emit("tried", "info", "monitord looks at all services, hook and user.")
    log.flush()
    assert PLAIN not in stream.getvalue()
    assert "T0ken" not in stream.getvalue()
    assert "monitord looks at all services, hook and user." in stream.getvalue()
