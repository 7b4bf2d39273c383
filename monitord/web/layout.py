"""The frame around every page: its head, the bar with the ways to the others, and a page that only says something."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

from monitord import __version__
from monitord.core.blocks import Style
from monitord.reporting.charts.svg import Markup, tag
from monitord.reporting.components import mark
from monitord.web.context import stamp

PAGES: Final = (("/", "Overview"), ("/alerts", "Alerts"), ("/report", "Report"), ("/silences", "Silences"))
# So often a page without a script asks again by itself.
REFRESH_SECONDS: Final = 30
_TONES: Final[dict[str, str]] = {"ok": "156a34", "warning": "b87400", "critical": "c4162f", "unknown": "6d3fc0"}
_ICONS: Final[dict[str, str]] = {
    "ok": "<circle cx='8' cy='8' r='7'/>",
    "warning": "<path d='M8 1L15.5 15H.5Z'/>",
    "critical": "<path d='M5 .5H11L15.5 5V11L11 15.5H5L.5 11V5Z'/>",
    "unknown": "<path d='M8 0L16 8L8 16L0 8Z'/>",
}


def framed(
    title: str,
    place: str,
    style: Style | None,
    main: Markup,
    *,
    who: str,
    live: bool = True,
    acts: bool = False,
) -> str:
    """A whole page.

    Args:
        title: what the tab says.
        place: which of PAGES it belongs to; "" for none.
        style: the status that the bar and the tab's icon show; None: none is known.
        main: what it is about.
        who: the instance that is watched.
        live: it follows monitord; a page with a form in it does not.
        acts: whoever asks may silence and acknowledge, and may want to stop.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"{title} · {who}"),
        tag("link", rel="icon", href=_icon(style or "unknown")),
        tag("link", rel="stylesheet", href="/static/report.css"),
        tag("link", rel="stylesheet", href="/static/page.css"),
        tag("noscript", tag("meta", http_equiv="refresh", content=str(REFRESH_SECONDS))) if live else None,
        tag("script", Markup(""), src="/static/live.js", defer=True) if live else None,
    )
    leaving = (
        tag("form", tag("button", "Log out", type="submit", class_="quiet"), method="post", action="/logout")
        if acts
        else None
    )
    bar = tag(
        "header",
        tag("a", "monitord", href="/", class_="brand"),
        tag("span", who, class_="who") if who != "monitord" else None,
        tag(
            "nav",
            tag(
                "ul",
                *(
                    tag("li", tag("a", name, href=address, aria_current="page" if address == place else None))
                    for address, name in PAGES
                ),
            ),
            aria_label="Pages",
        ),
        tag("span", mark(style), class_="now", id="now") if style else None,
        leaving,
        class_="bar",
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        bar,
        tag("p", class_="stale", id="stale", role="status", hidden=True),
        tag("main", main, id="main", tabindex="-1"),
        tag("footer", tag("p", f"monitord {__version__}. All times are UTC.")),
        class_="page",
        data_at=stamp(time.time()) if live else None,
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def notice(title: str, *sentences: str | None) -> Markup:
    """A page's content where there is only something to say."""
    return tag("div", tag("h1", title), *(tag("p", words) for words in sentences if words), class_="notice")


def _icon(style: str) -> str:
    drawing = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='#{_TONES[style]}'>{_ICONS[style]}</svg>"
    )
    return f"data:image/svg+xml,{quote(drawing)}"
