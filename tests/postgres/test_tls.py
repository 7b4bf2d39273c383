import asyncio

import pytest

from monitord.testing.servers.postgres import PostgresServer

from .conftest import Authority, Listen, OpenSession, TlsFront
from .test_session import ask, failure


def at(server: PostgresServer, host: str, query: str) -> str:
    return f"postgresql://postgres:{server.password}@{host}:{server.port}/postgres?{query}"


async def test_each_sslmode_checks_what_it_promises(
    open_session: OpenSession, encrypted: TlsFront, authority: Authority, other_authority: Authority
) -> None:
    ours, theirs = authority.file, other_authority.file
    by_ip, by_name = "127.0.0.1", "localhost"
    for host, query, ca_file, encrypted_or_kind in (
        (by_ip, "", None, True),  # prefer
        (by_ip, "sslmode=disable", None, False),
        (by_ip, "sslmode=disable", ours, False),
        (by_ip, "sslmode=allow", None, False),
        (by_ip, "sslmode=prefer", None, True),
        (by_ip, "sslmode=require", None, True),
        (by_ip, "sslmode=require", ours, True),
        (by_ip, "sslmode=require", theirs, "tls"),
        (by_ip, f"sslmode=require&sslrootcert={theirs}", None, "tls"),
        (by_ip, f"sslmode=require&sslrootcert={theirs}", ours, True),
        (by_ip, "", ours, True),
        (by_ip, "", theirs, "tls"),
        (by_ip, "sslmode=verify-ca", ours, True),
        (by_ip, "sslmode=verify-ca", theirs, "tls"),
        (by_ip, "sslmode=verify-full", ours, "tls"),  # the certificate is for localhost
        (by_name, "sslmode=verify-full", ours, True),
        (by_name, "sslmode=verify-full", theirs, "tls"),
        (by_name, "sslmode=verify-full", None, "tls"),  # no public CA has signed it
        (by_name, "sslmode=verify-full&sslnegotiation=direct", ours, True),
    ):
        session = open_session(encrypted.dsn(host, query, direct="direct" in query), ca_file)
        case = (host, query, ca_file)
        if isinstance(encrypted_or_kind, bool):
            assert (case, await ask(session), encrypted.encrypted) == (case, 1, encrypted_or_kind)
        else:
            error = await failure(session)
            assert (case, error.kind) == (case, encrypted_or_kind)
            assert encrypted.encrypted is None  # and nothing was said to a stranger
        await session.close()


async def test_encryption_without_verification_is_known_before_connecting(
    open_session: OpenSession, postgres: PostgresServer, authority: Authority
) -> None:
    assert open_session(at(postgres, "127.0.0.1", "sslmode=require")).unverified
    assert not open_session(at(postgres, "127.0.0.1", "sslmode=require"), authority.file).unverified
    assert not open_session(postgres.dsn(unix_socket=True) + "&sslmode=require").unverified


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_a_server_without_tls_is_not_talked_to_in_the_clear(
    open_session: OpenSession, postgres: PostgresServer, authority: Authority, sslmode: str
) -> None:
    assert (await failure(open_session(at(postgres, "localhost", f"sslmode={sslmode}"), authority.file))).kind == "tls"


async def test_what_never_answers_whether_it_speaks_tls_is_said_so(
    open_session: OpenSession, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.postgres.session._CONNECT_SHARE", 0.005)  # and the rest of the time to say so

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    port = await listen(silent)
    error = await failure(open_session(f"postgresql://u@127.0.0.1:{port}/d?sslmode=require"), timeout=10.0)
    assert (error.kind, error.error) == (
        "timeout",
        f"Postgres at 127.0.0.1:{port} did not answer in time with the encryption that sslmode=require asks for",
    )


async def test_a_ca_file_that_is_not_there_or_no_certificate_is_said(
    open_session: OpenSession, postgres: PostgresServer, authority: Authority
) -> None:
    for path in (authority.file.with_name("gone.pem"), authority.key):
        error = await failure(open_session(at(postgres, "127.0.0.1", "sslmode=verify-ca"), path))
        assert error.kind == "tls"
