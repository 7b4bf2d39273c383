import ssl
from pathlib import Path

import pytest

from monitord.postgres.dsn import Address, DsnError, DsnHost, parse


def parsed(dsn: str, ca_file: Path | None = None, **environment: str) -> Address:
    return parse(dsn, ca_file, environment)


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What libpq would find under ~/.postgresql is not part of these tests.
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://db.example/app", [DsnHost("db.example", None)]),
        ("postgres://u:p@db.example:6432/app", [DsnHost("db.example", 6432)]),
        ("postgresql:///app", [DsnHost(None, None)]),
        ("postgresql://", [DsnHost(None, None)]),
        ("postgresql://u@/app", [DsnHost(None, None)]),
        ("postgresql://:5433/app", [DsnHost(None, 5433)]),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/app", [DsnHost("/var/run/postgresql", None)]),
        ("postgresql://%2Ftmp%2Fa%20b:5433/app", [DsnHost("/tmp/a b", 5433)]),
        ("postgresql:///app?host=/tmp/s&port=5433", [DsnHost("/tmp/s", 5433)]),
        ("postgresql://u:@/app?host=/tmp/s", [DsnHost("/tmp/s", None)]),
        ("postgresql://[::1]/app", [DsnHost("::1", None)]),
        ("postgresql://u:p@[2001:db8::7]:5433/app", [DsnHost("2001:db8::7", 5433)]),
        ("postgresql://host1:5432,host2:5433/app", [DsnHost("host1", 5432), DsnHost("host2", 5433)]),
        ("postgresql://u:p@[::1]:1,/app", [DsnHost("::1", 1), DsnHost(None, None)]),
        ("postgresql:///app?host=a,b&port=1,2", [DsnHost("a", 1), DsnHost("b", 2)]),
        ("postgresql:///app?host=a,b&port=7", [DsnHost("a", 7), DsnHost("b", 7)]),
        ("postgresql://one:1/app?host=two", [DsnHost("two", 1)]),
        ("postgresql:///app?hostaddr=192.0.2.7", [DsnHost("192.0.2.7", None)]),
        ("postgresql://db.example?sslmode=disable", [DsnHost("db.example", None)]),
    ],
)
def test_hosts_of_every_form_are_understood(dsn: str, hosts: list[DsnHost]) -> None:
    assert list(parsed(dsn).hosts) == hosts


@pytest.mark.parametrize(
    ("dsn", "user", "password", "database"),
    [
        ("postgresql://u:p@h/d", "u", "p", "d"),
        ("postgresql://u@h", "u", None, None),
        ("postgresql://u%40x:p%3A%2F%23%3F@h/my%20db", "u@x", "p:/#?", "my db"),
        ("postgresql://u:a+b@h/d", "u", "a+b", "d"),
        ("postgresql://u:raw@sign@h/d", "u", "raw@sign", "d"),
        ("postgresql://u:what?#@h/d", "u", "what?#", "d"),
        ("postgresql://u:p@h/d?application_name=a@b", "u", "p", "d"),
        ("postgresql://u:p@h?user=v&password=x+y&dbname=e", "v", "x+y", "e"),
        ("postgresql:///d?user=%C3%BC&password=%C3%9F", "ü", "ß", "d"),
    ],
)
def test_credentials_are_decoded_and_the_query_wins(
    dsn: str, user: str | None, password: str | None, database: str | None
) -> None:
    address = parsed(dsn)
    assert (address.user, address.password, address.database) == (user, password, database)


def test_only_application_name_is_sent_at_start_up_whatever_orms_add() -> None:
    address = parsed(
        "postgresql://u:p@h/d?pgbouncer=true&connection_limit=5&pool_timeout=0&channel_binding=require"
        "&keepalives_idle=30&options=-c%20statement_timeout%3D0&client_encoding=latin1&application_name=mine"
        "&uselibpqcompat=true&gssencmode=disable"
    )
    assert address.arguments(address.hosts[0]) == {
        "host": "h",
        "port": None,
        "user": "u",
        "password": "p",
        "database": "d",
        "server_settings": {"application_name": "mine"},
    }


@pytest.mark.parametrize(
    ("query", "search_path"),
    [
        ("schema=app", ("app",)),
        ("options=-c%20search_path%3Dapp,%22Mixed%22", ("app", "Mixed")),
        ("options=--search_path=a%5C%20b", ("a b",)),
        ("options=-csearch_path=x", ("x",)),
        ("options=endpoint%3Dabc", ()),
        ("connect_timeout=3", ()),
    ],
)
def test_the_schema_an_orm_was_told_is_looked_in(query: str, search_path: tuple[str, ...]) -> None:
    assert parsed(f"postgresql://h/d?{query}").search_path == search_path


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("0", None), ("-1", None)])
def test_connect_timeout_is_in_seconds_and_none_when_not_positive(text: str, seconds: float | None) -> None:
    assert parsed(f"postgresql://h/d?connect_timeout={text}").connect_timeout == seconds


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://u:hunter2@h/d",
        "u:hunter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2/5@h/d",
        "postgresql://u:hunter2@h:0/d",
        "postgresql://u:hunter2@h:65536/d",
        "postgresql://u:hunter2@h/d?sslmode=hunter2",
        "postgresql://u:hunter2@h/d?target_session_attrs=hunter2",
        "postgresql://u:hunter2@h/d?connect_timeout=hunter2",
        "postgresql://u:hunter2@h/d?hunter2",
        "postgresql://u:hunter2@a,b,c/d?port=1,2",
        "postgresql://u:hunter2@h/d?sslmode=verify-ca",
        "postgresql://u:hunter2@h/d?sslmode=prefer&sslnegotiation=direct",
        "postgresql://u:hunter2@h/d?sslmode=require&ssl_min_protocol_version=hunter2",
    ],
)
def test_a_mistake_is_one_sentence_that_never_repeats_a_secret(dsn: str) -> None:
    with pytest.raises(DsnError) as caught:
        parsed(dsn)
    assert str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_address_shown_in_a_traceback_shows_no_password() -> None:
    assert "hunter2" not in repr(parsed("postgresql://u:hunter2@h/d?sslpassword=hunter2"))


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", "prefer"),
        ("?sslmode=disable", "disable"),
        ("?sslmode=allow", "allow"),
        ("?sslmode=verify-full", "verify-full"),
        ("?ssl=true", "require"),
        ("?sslmode=no-verify", "require"),
        ("?sslmode=require&sslrootcert=system", "verify-full"),
    ],
)
def test_sslmode_is_honoured_and_prefer_where_nothing_is_said(query: str, mode: str) -> None:
    assert parsed(f"postgresql://h/d{query}").tls.mode == mode


def test_the_environment_stands_in_for_what_the_dsn_leaves_out() -> None:
    assert parsed("postgresql://h/d", PGSSLMODE="require", PGSSLROOTCERT="/ca").tls.ca_file == "/ca"
    assert parsed("postgresql://h/d?sslmode=disable", PGSSLMODE="require").tls.mode == "disable"


def test_the_ca_file_setting_wins_and_asks_to_be_used() -> None:
    address = parsed("postgresql://h/d?sslmode=verify-full&sslrootcert=/theirs", Path("/ours"))
    assert (address.tls.mode, address.tls.ca_file) == ("verify-full", "/ours")
    assert parsed("postgresql://h/d", Path("/ours")).tls.mode == "require"
    assert parsed("postgresql://h/d?sslmode=disable", Path("/ours")).tls.mode == "disable"


def test_a_ca_where_libpq_looks_for_one_is_found(tmp_path: Path) -> None:
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("a certificate")
    tls = parsed("postgresql://h/d?sslmode=require").tls
    assert tls.ca_file == str(tmp_path / ".postgresql" / "root.crt")
    assert not tls.unverified


@pytest.mark.parametrize(
    ("query", "ca_file", "unverified"),
    [
        ("sslmode=require", None, True),
        ("sslmode=require", Path("/ca"), False),
        ("sslmode=require&sslrootcert=/ca", None, False),
        ("sslmode=prefer", None, False),
        ("sslmode=verify-full", None, False),
    ],
)
def test_encryption_that_verifies_nobody_is_known_as_such(query: str, ca_file: Path | None, unverified: bool) -> None:
    assert parsed(f"postgresql://h/d?{query}", ca_file).tls.unverified is unverified


def test_verification_is_what_each_mode_promises() -> None:
    require = parsed("postgresql://h/d?sslmode=require").tls.argument()
    full = parsed("postgresql://h/d?sslmode=verify-full").tls.argument()
    assert isinstance(require, ssl.SSLContext)
    assert isinstance(full, ssl.SSLContext)
    assert (require.verify_mode, require.check_hostname) == (ssl.CERT_NONE, False)
    assert (full.verify_mode, full.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert parsed("postgresql://h/d?sslmode=disable").tls.argument() is False
    assert parsed("postgresql://h/d").tls.argument() == "prefer"
