"""Libraries imported in part: what is asked for is there, the rest is not until somebody asks for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitord.imports import defer, import_parts, without

FILES = {
    "library/__init__.py": "from library.client import Client\nfrom library.parts import parser\nversion = 3\n",
    "library/client.py": "class Client: ...\n",
    "library/parts/__init__.py": "from library.parts import heavy\n",
    "library/parts/heavy.py": "",
    "library/parts/parser.py": "class Parser: ...\n",
    "library/late.py": "def made():\n    from library import Client\n    return Client()\n",
    "library/first.py": "from library import Parser\n",
    "greedy.py": "try:\n    import optional\nexcept ImportError:\n    optional = None\n",
    "optional.py": "",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def loaded(package: str) -> set[str]:
    return {name for name in sys.modules if name.split(".")[0] == package}


def test_a_part_is_imported_without_the_rest() -> None:
    import_parts("library.parts.parser")
    assert loaded("library") == {"library", "library.parts", "library.parts.parser"}
    assert importlib.import_module("library").parts.parser.Parser.__name__ == "Parser"


def test_what_the_package_itself_has_is_there_once_it_is_asked_for() -> None:
    import_parts("library.parts.parser", "library.late")
    assert "library.client" not in sys.modules
    made = sys.modules["library.late"].made()
    assert type(made) is sys.modules["library"].Client
    assert sys.modules["library"].version == 3
    with pytest.raises(AttributeError, match="module 'library' has no attribute 'nothing'"):
        _ = sys.modules["library"].nothing


def test_a_name_that_a_part_asks_its_package_for_can_be_put_there() -> None:
    import_parts("library.client:Client", "library.late")
    sys.modules["library.late"].made()
    assert loaded("library") == {"library", "library.client", "library.late"}


def test_a_package_that_cannot_be_taken_apart_is_imported_whole(tmp_path: Path) -> None:
    (tmp_path / "library" / "__init__.py").write_text("from library.parts.parser import Parser\nimport library.first\n")
    import_parts("library.first")
    assert sys.modules["library.first"].Parser is sys.modules["library.parts.parser"].Parser
    assert sys.modules["library"].Parser is sys.modules["library.first"].Parser


def test_one_that_is_imported_already_is_left_as_it_is() -> None:
    whole = importlib.import_module("library")
    import_parts("library.parts.parser")
    assert sys.modules["library"] is whole
    assert "library.client" in sys.modules


def test_one_that_is_not_installed_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="'nowhere'"):
        import_parts("nowhere.part")
    assert "nowhere" not in sys.modules


def test_what_a_library_would_import_where_it_finds_it_can_be_kept_from_it() -> None:
    with without("optional"):
        greedy = importlib.import_module("greedy")
    assert greedy.optional is None
    assert "optional" not in sys.modules
    assert importlib.import_module("optional").__name__ == "optional"


def test_what_is_in_use_already_is_not_taken_away() -> None:
    optional = importlib.import_module("optional")
    with without("optional"):
        assert importlib.import_module("optional") is optional
    assert sys.modules["optional"] is optional


def test_a_module_that_is_deferred_runs_when_it_is_asked_for_something(installed: None) -> None:
    defer("greedy")
    greedy = importlib.import_module("greedy")
    assert "optional" not in sys.modules
    assert greedy.optional.__name__ == "optional"
    assert "optional" in sys.modules


def test_one_that_is_in_use_already_is_not_deferred(installed: None) -> None:
    greedy = importlib.import_module("greedy")
    defer("greedy")
    assert sys.modules["greedy"] is greedy


def test_one_that_is_not_there_cannot_be_deferred() -> None:
    with pytest.raises(ModuleNotFoundError, match="'nowhere'"):
        defer("nowhere")
