"""Words that have been replaced do not come back: CONTRIBUTING.md lists them beside what is said instead."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Words\n", 1)[1].split("\n## ", 1)[0]
ROWS = [line.strip("| ").split(" | ") for line in TABLE.splitlines() if line.startswith("| ")][1:]
RETIRED = [word for row in ROWS for word in row[1].split(", ")]
# Records of decisions are never rewritten: those up to this one have the words of their time.
HISTORY = {path for path in (ROOT / "docs" / "decisions").glob("0*.md") if path.name < "0019"}
TEXTS = {".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".yml"}


def _any_of(words: list[str]) -> re.Pattern[str]:
    spelt = [r"[\s#*]+".join(map(re.escape, word.split())) for word in words]
    return re.compile(rf"\b(?:{'|'.join(spelt)})\b")


NAMES = _any_of([word for word in RETIRED if word[0].isupper()])
PHRASES = _any_of([word for word in RETIRED if not word[0].isupper()])


def found(text: str) -> list[str]:
    return [*(hit[0] for hit in PHRASES.finditer(text.lower())), *(hit[0] for hit in NAMES.finditer(text))]


def test_the_list_is_read() -> None:
    assert {"way out", "Teller", "could not be told", "Citizen"} <= set(RETIRED)
    assert found("# what each way\n# out has, and the Teller") == ["way\n# out", "Teller"]
    assert found("a storyteller in turn") == []


def test_no_replaced_word_is_in_the_code_or_the_documents() -> None:
    paths = [
        path
        for place in ("monitord", "docs")
        for path in (ROOT / place).rglob("*")
        if path.suffix in TEXTS and path not in HISTORY
    ]
    assert len(paths) > 200
    hits = {
        str(path.relative_to(ROOT)): words
        for path in sorted(paths)
        if (words := found(path.read_text(encoding="utf-8")))
    }
    assert hits == {}


def test_no_public_class_name_is_defined_twice() -> None:
    defined: dict[str, list[str]] = {}
    for path in sorted((ROOT / "monitord").rglob("*.py")):
        for name in re.findall(r"^class ([A-Za-z]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            defined.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert len(defined) > 400
    assert {name: places for name, places in defined.items() if len(places) > 1} == {}
