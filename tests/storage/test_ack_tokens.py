"""Tokens that acknowledge one alert: genuine, used once, and of one state directory."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from monitord.masking import MASK, mask
from monitord.storage.ack_tokens import KEY_FILE, AckTokens, key_of, token

NOW, ALERT = 1_762_315_020.0, "a1b2c3d4e5f6"


def made(directory: Path, ends: float = NOW + 60) -> str:
    return token(key_of(directory), ALERT, int(ends))


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = key_of(tmp_path)
    assert (len(key), key_of(tmp_path)) == (32, key)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_what_is_no_key_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(ValueError, match="is no key"):
        AckTokens(tmp_path)


def test_a_token_is_good_until_it_ends(tmp_path: Path) -> None:
    tokens = AckTokens(tmp_path)
    assert tokens.standing(made(tmp_path), NOW) == ("valid", ALERT)
    assert tokens.standing(made(tmp_path), NOW + 60) == ("expired", ALERT)


def test_a_used_token_stays_used_in_the_next_run(tmp_path: Path) -> None:
    tokens, written = AckTokens(tmp_path), made(tmp_path)
    tokens.use(written, NOW)
    assert tokens.standing(written, NOW) == ("used", ALERT)
    assert AckTokens(tmp_path).standing(written, NOW) == ("used", ALERT)
    assert AckTokens(tmp_path).standing(made(tmp_path, NOW + 61), NOW) == ("valid", ALERT)


def test_what_is_kept_of_used_tokens_is_bounded_and_ends_with_them(tmp_path: Path) -> None:
    tokens = AckTokens(tmp_path)
    tokens.use(made(tmp_path), NOW)
    tokens.use(made(tmp_path, NOW + 500), NOW + 100)
    assert len((tmp_path / "ack.used").read_text("ascii").split(",")) == 1


def test_nothing_else_is_a_token(tmp_path: Path) -> None:
    tokens, written = AckTokens(tmp_path), made(tmp_path)
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    _, ends, signature = written.split(".")
    wrong = [
        *("", ".", "..", "x" * 10_000, "ä.1.x", f"{ALERT}.zz.x", f"{written}x", written[:-1], made(elsewhere)),
        f"b1b2c3d4e5f6.{ends}.{signature}",
        f"{ALERT}.{int(ends, 16) + 1:x}.{signature}",
        f"{ALERT}.0{ends}.{signature}",
        f"{ALERT}.-{ends}.{signature}",
    ]
    assert {tokens.standing(each, NOW) for each in wrong} == {("unknown", "")}


def test_a_token_is_masked_wherever_it_is_said(tmp_path: Path) -> None:
    said = f"GET https://h/a/{made(tmp_path)} failed"
    assert mask(said) == f"GET https://h/a/{MASK} failed"
    assert mask("/srv/a/b.txt /a/ok") == "/srv/a/b.txt /a/ok"
