"""One check of an address: it accepts a connection, or why it does not."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from monitord.config.check_types import MODELS
from monitord.config.checks import TcpCheckSettings
from monitord.core.model import Value
from monitord.failures import FailureError
from monitord.probes.checks.tcp import TcpCheck
from tests.notify.conftest import Receive
from tests.notify.receivers import Authority

DEADLINE = 60.0


def settings(address: str, **more: Any) -> TcpCheckSettings:
    return cast("TcpCheckSettings", MODELS["tcp"].model_validate({"address": address, **more}).plain())


async def ask(address: str, timeout: float = DEADLINE, **more: Any) -> Mapping[str, Value]:
    check = TcpCheck("db", settings(address, **more), timeout)
    found = (await check.run()).samples
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


async def test_what_does_not_answer_is_a_timeout(black_hole: int) -> None:
    assert (await ask(f"127.0.0.1:{black_hole}", 0.05))["check_problem"] == "timeout"


async def test_a_port_of_plain_text_is_said_where_tls_is_asked_for(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.connections.HANDSHAKE_SHARE", 0.001)  # and the rest of the time to say so
    silent = await receive()  # which waits for a request, and knows nothing of TLS
    found = await ask(f"127.0.0.1:{silent.port}", tls=True)
    assert found["check_problem"] == "timeout"
    assert found["check_error"] == (
        f"127.0.0.1:{silent.port} did not answer the TLS handshake in time: it hangs, or does not speak TLS"
    )


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


async def test_a_private_ca_is_trusted_by_the_check_that_names_it(receive: Receive, authority: Authority) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"127.0.0.1:{receiver.port}", tls=True, ca_file=str(authority.certificate))
    assert found["check_problem"] is None
    assert found["check_certificate"] is not None


async def test_a_ca_file_that_is_gone_or_holds_nothing_is_no_problem_of_the_endpoint(
    receive: Receive, authority: Authority, tmp_path: Path
) -> None:
    receiver = await receive(tls=authority.server_side())
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.certificate.read_bytes())
    asked = TcpCheck("db", settings(f"127.0.0.1:{receiver.port}", tls=True, ca_file=str(file)), 5.0)
    assert not [s for s in (await asked.run()).samples if s.name == "check_problem" and s.value]
    file.write_text("no certificate")
    with pytest.raises(FailureError, match="it holds no certificates") as caught:
        await asked.run()
    assert caught.value.kind == "tls"
    file.unlink()
    with pytest.raises(FailureError, match="No such file") as caught:
        await asked.run()
    assert caught.value.kind == "missing"


def test_a_ca_file_without_tls_is_a_mistake(authority: Authority) -> None:
    with pytest.raises(ValueError, match="write tls = true"):
        settings("127.0.0.1:1", ca_file=str(authority.certificate))


async def test_a_valid_certificate_says_when_it_expires(receive: Receive, authority: Authority, trusting: None) -> None:
    receiver = await receive(tls=authority.server_side())
    found = await ask(f"127.0.0.1:{receiver.port}", tls=True)
    assert found["check_problem"] is None
    expires = found["check_certificate"]
    assert isinstance(expires, int | float)
    assert 1 < (expires - time.time()) / 86400 < 3
