"""Templates as a designer may change them: a slip is an error, and no value becomes markup."""

from __future__ import annotations

from importlib.resources import files

import pytest
from jinja2 import DictLoader, Environment, UndefinedError
from markupsafe import Markup

from monitord.reporting.templating import environment

PACKAGES = ("monitord.web", "monitord.reporting")


def shown(source: str, **values: object) -> str:
    made: Environment = environment("monitord.reporting")
    made.loader = DictLoader({"made-up.html": source})
    return made.get_template("made-up.html").render(**values)


@pytest.mark.parametrize("where", ["<p>{{ it }}</p>", '<p title="{{ it }}">', "{% set other = it %}{{ other }}"])
def test_a_value_is_text_on_one_line_wherever_it_stands(where: str) -> None:
    found = shown(where, it="<b>\"'&\x1b]0;x\x07\u202e\n</p>")
    for part in ("<b>", "\"'", "\x1b", "\u202e", "</p></p>", "\n"):
        assert part not in found
    assert "&lt;b&gt;&#34;&#39;&amp;" in found


def test_markup_that_was_made_here_is_left_as_it_is() -> None:
    assert shown("{{ it }}", it=Markup("<svg/>")) == "<svg/>"


def test_what_is_missing_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        shown("{{ it }}")
    with pytest.raises(UndefinedError):
        shown("{% if it.missing %}{% endif %}", it="x")
    with pytest.raises(ValueError, match="shows None"):
        shown("{{ it }}", it=None)


def test_every_template_is_readable_and_has_a_name_of_its_own() -> None:
    names = [path.name for package in PACKAGES for path in files(package).joinpath("templates").iterdir()]
    assert len(names) == len(set(names))
    made = environment(*PACKAGES)
    assert sorted(made.list_templates()) == sorted(names)
    made.filters.update(
        dict.fromkeys(("stamp", "moment", "since", "lasted", "named", "sentence"), str)
    )  # what the pages add
    for name in names:
        made.get_template(name)


def test_no_template_switches_the_escaping_off_or_has_a_script_or_style_of_its_own() -> None:
    for package in PACKAGES:
        for path in files(package).joinpath("templates").iterdir():
            source = path.read_text(encoding="utf-8")
            for part in ("|safe", "| safe", "autoescape", "style=", "onclick", "<script>", "xmlattr"):
                assert part not in source, path.name
