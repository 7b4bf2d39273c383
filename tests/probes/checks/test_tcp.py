"""One check of an address: it accepts a connection, or why it does not."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

import pytest

from monitord.config.checks import TcpCheck as TcpSettings
from monitord.core.model import Value
from monitord.probes.checks.tcp import TcpCheck
from tests.notify.conftest import Receive
from tests.notify.receivers import Authority

DEADLINE = 60.0


async def ask(address: str, timeout: float = DEADLINE, *, tls: bool = False) -> Mapping[str, Value]:
    check = TcpCheck("db", TcpSettings.model_validate({"address": address, "tls": tls}), timeout)
    found = (await check.run()).samples
    await check.close()
    return {s.name: s.value for s in found}


async def test_what_accepts_a_connection_is_well_and_is_sent_nothing(receive: Receive) -> None:
    receiver = await receive()
    found = await ask(f"127.0.0.1:{receiver.port}")
    assert (found["check_problem"], found["check_certificate"]) == (None, None)
    assert isinstance(found["check_value"], float)
    assert receiver.requests == []


async def test_what_nobody_listens_at_refuses() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = await ask(address := f"127.0.0.1:{taken.getsockname()[1]}")
    assert found["check_problem"] == "refused"
    assert found["check_error"] == f"{address} refuses the connection: nothing listens there"
    assert found["check_value"] is None


async def test_what_does_not_answer_is_a_timeout(black_hole: int, receive: Receive) -> None:
    assert (await ask(f"127.0.0.1:{black_hole}", 0.2))["check_problem"] == "timeout"
    receiver = await receive()  # which waits for a request, and knows nothing of TLS
    assert (await ask(f"127.0.0.1:{receiver.port}", 0.2, tls=True))["check_problem"] == "timeout"


async def test_a_name_that_is_none_cannot_be_resolved() -> None:
    assert (await ask("db.invalid:5432"))["check_problem"] == "dns"


async def test_an_address_of_ipv6_is_asked() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert (await ask(f"[::1]:{listener.getsockname()[1]}"))["check_problem"] is None


async def test_over_tls_the_certificate_is_looked_at(receive: Receive, authority: Authority) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"127.0.0.1:{receiver.port}", tls=True)
    assert (found["check_problem"], found["check_certificate"]) == ("tls", None)


async def test_a_valid_certificate_says_when_it_expires(receive: Receive, authority: Authority, trusting: None) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"127.0.0.1:{receiver.port}", tls=True)
    assert found["check_problem"] is None
    expires = found["check_certificate"]
    assert isinstance(expires, int | float)
    assert 1 < (expires - time.time()) / 86400 < 3
