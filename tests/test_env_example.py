""".env.example holds every setting there is, as a line that works when it is uncommented."""

import re
from pathlib import Path

import pytest

from monitord.config.loader import Settings, described, load, variables
from monitord.config.settings import settings_kind
from monitord.core.subjects.registry import register, unregister
from monitord.reporting.metric_families import Family, families
from tests.support import reference
from tests.support.kiln import KILN
from tests.support.reference import DOCUMENTS, ROOT, completed

EXAMPLE = ROOT / ".env.example"
LINE = re.compile(r"# ((MONITORD_[A-Z0-9_]+)=.*)")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written() -> list[tuple[str, str]]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return [(match[2], match[1]) for line in lines if (match := LINE.fullmatch(line))]


def uncommented(directory: Path) -> Settings:
    (directory / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (directory / ".env").write_text("\n".join(line for _, line in written()), encoding="utf-8")
    return load({}, directory)


def test_every_setting_is_in_it_once_and_no_other() -> None:
    assert sorted(name for name, _ in written()) == sorted(variables())


def test_copied_as_it_is_it_changes_nothing(directory: Path) -> None:
    (directory / ".env").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert all(line.startswith("#") or not line for line in EXAMPLE.read_text(encoding="utf-8").splitlines())
    assert load({}, directory).differences(settings_kind()()) == ()


def test_with_every_line_uncommented_it_is_valid(directory: Path) -> None:
    texts = dict(described(uncommented(directory)))
    assert [name for name, text in texts.items() if text is None] == []


def test_what_it_shows_is_the_default_where_it_says_nothing_else(directory: Path) -> None:
    paragraphs = re.findall(
        r"((?:^# .*\n)+?)((?:^# MONITORD_[A-Z0-9_]+=.*\n)+)", EXAMPLE.read_text("utf-8"), re.MULTILINE
    )
    shown = {name: means for means, lines in paragraphs for name in re.findall(r"# (\w+)=", lines)}
    others = uncommented(directory).differences(settings_kind()())
    assert [name for name in others if not re.search(r"examples?\b|Default: ", shown[name])] == []


def test_it_and_the_reference_are_complete() -> None:
    assert all(completed(document) == (ROOT / document).read_text("utf-8") for document in DOCUMENTS)


def test_what_is_missing_is_added_in_the_words_of_its_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "families", lambda: {**families(), "monitord_new": Family("monitord_new", "New.")})
    added = set(completed("docs/reference.md").splitlines()) - set(
        (ROOT / "docs/reference.md").read_text().splitlines()
    )
    assert added == {"| `monitord_new` | – | New |"}
    register(KILN)
    try:
        text = completed(".env.example")
    finally:
        unregister("kiln")
    assert text.startswith(EXAMPLE.read_text("utf-8"))
    assert text.removeprefix(EXAMPLE.read_text("utf-8")).splitlines()[:6] == [
        "",
        "# --- the kiln ---",
        "",
        "# Where the kiln is asked. Set to nothing: it is not watched.",
        "# MONITORD_KILN__SOCKET=/run/kiln",
        "# How hot an oven may be, in degrees.",
    ]
