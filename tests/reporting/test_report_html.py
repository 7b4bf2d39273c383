"""The night's report as a page: one sound file that needs nothing else, and in which every value is only text."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS
from monitord.reporting.html import report_html

from .page import Page, plots
from .sample_nights import HOSTILE, NIGHTS, Made

PAGES = Made(NIGHTS, lambda name: report_html(NIGHTS[name]))
READ = Made(NIGHTS, lambda name: Page(PAGES[name]))
PLOTS = Made(NIGHTS, lambda name: plots(PAGES[name]))
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "article", "h1", "h2",
    "h3", "p", "ul", "li", "dl", "dt", "dd", "div", "span", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "figure", "figcaption", "details", "summary", "pre", "svg", "desc", "g", "defs", "pattern", "text", "line", "rect",
    "circle", "path",
}  # fmt: skip


@pytest.mark.parametrize("name", NIGHTS)
def test_the_page_is_balanced_and_its_ids_are_unique(name: str) -> None:
    page = READ[name]
    assert page.faults == []
    assert len(page.ids()) == len(set(page.ids()))


@pytest.mark.parametrize("name", NIGHTS)
def test_the_page_is_made_of_plain_elements_without_handlers_or_addresses(name: str) -> None:
    page = READ[name]
    assert {element.name for element in page.elements} <= ALLOWED
    named = {key for element in page.elements for key in element.attributes}
    assert not {key for key in named if key.startswith("on") or key in ("src", "href", "xlink:href", "style")}


@pytest.mark.parametrize("name", ["good", "bad", "blind", "empty", "crowded"])
def test_the_page_asks_for_nothing_from_elsewhere(name: str) -> None:
    for wanted in ("http://", "https://", "src=", "<script", "@import", "<link"):
        assert wanted not in PAGES[name]
    assert set(re.findall(r"url\((.)", PAGES[name])) <= {"#"}


def test_the_page_forbids_all_but_its_own_style() -> None:
    policy = [element.attributes for element in READ["good"].all("meta") if "http-equiv" in element.attributes]
    assert policy == [
        {
            "http-equiv": "Content-Security-Policy",
            "content": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        }
    ]


def test_what_a_name_says_never_becomes_markup() -> None:
    page = READ["hostile"]
    assert page.all("img") == []
    assert page.all("script") == []
    shown = HOSTILE.split("\x1b")[0]
    assert shown in page.all("h1")[0].text + page.all("header")[0].text
    assert any(shown in found.text for found in page.all("desc") + page.all("title"))
    assert any("</pre><script>alert(1)</script>" in found.text for found in page.all("pre"))


@pytest.mark.parametrize("name", NIGHTS)
def test_every_plot_is_sound_and_named_in_words(name: str) -> None:
    shown = [plot for plot in PLOTS[name] if plot.get("role") == "img"]
    ids = READ[name].ids()
    for plot in shown:
        title, description = str(plot.get("aria-labelledby")).split()
        assert {title, description} <= set(ids)
        assert all("".join(part.itertext()).strip() for part in plot if part.tag in ("title", "desc"))
    report = NIGHTS[name]
    services, tables = report.of(SERVICE_REPORTS), report.of(TABLE_REPORTS)
    groups = report.of(SEALING_REPORT).groups
    assert len(shown) == 2 * len(services) + len(tables) + len(groups)


@pytest.mark.parametrize("name", NIGHTS)
def test_each_pattern_that_a_plot_is_filled_with_is_in_it(name: str) -> None:
    for plot in PLOTS[name]:
        used = {found for part in plot.iter() for found in re.findall(r"url\(#(.+?)\)", part.get("fill") or "")}
        assert used <= {str(part.get("id")) for part in plot.iter("pattern")}


@pytest.mark.parametrize(("name", "word"), [("good", "GO"), ("bad", "NO-GO"), ("blind", "UNKNOWN")])
def test_the_verdict_is_the_first_heading_with_a_word_and_a_shape(name: str, word: str) -> None:
    page = READ[name]
    assert [found.text for found in page.all("h1")] == [word]
    assert re.search(r'<h1 class="verdict"><span class="chip[^>]*><svg', PAGES[name])


def test_headings_come_in_the_order_of_the_report() -> None:
    assert [found.text for found in READ["bad"].all("h2")] == [
        "Success criteria", "Incidents (3)", "Services", "Database growth", "Epoch sealing", "Two-tier recap",
        "What the monitor could not see", "Baseline of now", "Notes",
    ]  # fmt: skip


def test_no_heading_skips_a_level_and_every_section_is_named() -> None:
    page = READ["bad"]
    levels = [int(found.name[1]) for found in page.elements if re.fullmatch("h[1-6]", found.name)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    named = [element.attributes.get("aria-labelledby") for element in page.all("section") + page.all("article")]
    assert set(named) <= set(page.ids())


@pytest.mark.parametrize("name", NIGHTS)
def test_every_cell_of_a_table_heading_has_its_scope(name: str) -> None:
    assert {found.attributes.get("scope") for found in READ[name].all("th")} <= {"col", "row"}


def test_what_is_to_be_handed_on_is_open_only_while_its_incident_is() -> None:
    to_hand_on = [found for found in READ["bad"].all("details") if found.text.startswith("Escalation text")]
    assert ["open" in found.attributes for found in to_hand_on] == [False, True]


def test_states_and_seals_are_told_by_shape_and_pattern() -> None:
    gateway = next(found for found in PLOTS["bad"] if found.findtext("title") == "gateway: its states")
    fills = [part.get("fill") or "" for part in gateway.iter("rect")]
    assert sum(fill.endswith("-wrong)") for fill in fills) == 7
    assert sum(1 for part in gateway.iter("path") if part.get("class") == "restarted") == 7
    milo, cls = (found for found in PLOTS["bad"] if (found.findtext("title") or "").endswith("sealing delay"))
    assert [len([p for p in milo.iter("path") if p.get("class") == kind]) for kind in ("late", "unusual")] == [1, 1]
    assert [len([p for p in cls.iter("path") if p.get("class") == kind]) for kind in ("cross", "unusual")] == [1, 1]


def test_a_memory_line_breaks_where_nothing_was_seen_and_marks_its_peak() -> None:
    plot = next(found for found in PLOTS["bad"] if found.findtext("title") == "milo-worker-v2: memory")
    line = next(part for part in plot.iter("path") if part.get("class") == "line")
    assert str(line.get("d")).count("M") == 2
    peak = NIGHTS["bad"].of(SERVICE_REPORTS)[1].memory_peak
    assert peak is not None
    assert f"peak {peak / 1e6:.0f} MB" in [part.text for part in plot.iter("text")]
    assert any(part.get("class") == "limit" for part in plot.iter("line"))


def test_bars_above_the_limit_are_hatched_and_unknown_hours_dotted() -> None:
    plot = next(found for found in PLOTS["bad"] if found.findtext("title") == "user_signals: rows per hour")
    fills = [part.get("fill") or "" for part in plot.iter("rect")]
    assert sum(fill.endswith("-wrong)") for fill in fills) == 1
    assert sum(fill.endswith("-unknown)") for fill in fills) == 1
    assert sum(part.get("class") == "bar" for part in plot.iter("rect")) == 10


def test_letters_are_never_scaled_with_the_width_of_the_page() -> None:
    for plot in PLOTS["bad"]:
        if plot.get("role") == "img":
            assert plot.get("viewBox") is None
            assert all(not list(part.iter("text")) for part in plot.iter("svg") if part.get("viewBox"))


def test_fifty_services_are_a_page_that_can_still_be_sent() -> None:
    assert len(PAGES["crowded"]) < 600_000
    assert len(PAGES["good"]) < 200_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_letters_stand_out_from_their_ground_in_both_schemes(scheme: str, ground: str) -> None:
    palettes = re.findall(r":root \{(.*?)\}", PAGES["good"], re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+);", palettes[("light", "dark").index(scheme)]))
    for name in ("ink", "muted", "ok", "warning", "critical", "unknown", "series"):
        assert contrast(colours[name], colours[ground]) >= 4.5, name


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
