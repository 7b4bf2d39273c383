"""The first page: how it stands in a word, what to do, and then everything that is watched at a glance."""

from __future__ import annotations

from monitord.core import humanize
from monitord.core.status import verdict
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.components import block_html, mark
from monitord.reporting.status import added_sections
from monitord.reporting.wording import sentence
from monitord.web import alerts, epochs, panels, services, silences
from monitord.web.context import PageContext, ago, when


def overview(view: PageContext, done: str = "") -> Markup:
    """The whole of it."""
    return joined(
        tag("p", done, role="status", class_="done") if done else None,
        _state(view),
        _part("firing", alerts.firing(view)),
        _part("waiting", alerts.waiting(view)),
        _part("fleet", panels.room(view, "services", "Fleet", "pm2", services.fleet(view))),
        _part("epochs", panels.room(view, "epochs", "Epochs", "epochs", epochs.epochs(view)))
        if view.seen.report.epochs
        else None,
        tag(
            "div",
            tag("div", _part("growth", panels.growth(view)), _part("redis", panels.redis(view))),
            tag("div", _part("host", panels.host(view)), _part("watch", panels.watch(view))),
            class_="rooms",
        ),
        *(
            _part(
                subject.name, panels.room(view, subject.name, subject.heading, subject.name, *map(block_html, blocks))
            )
            for subject, blocks in added_sections(view.seen.report.as_fields())
        ),
        _part("quiet", silences.quiet(view)),
        _part("incidents", alerts.recent(view)),
    )


def _part(key: str, content: Markup) -> Markup:
    """A part that is renewed by itself when it changes."""
    return tag("div", content, id=f"p-{key}", data_part=True)


def _state(view: PageContext) -> Markup:
    style, report = view.status, view.seen.report
    word = str(style).upper()
    firing = report.alerts["firing"]
    told = sentence(verdict(report.as_fields()))
    if not firing:  # what fires may begin with a name
        told = told[:1].upper() + told[1:]
    if len(firing) > 1:
        critical = sum(1 for alert in firing if alert["severity"] == "critical")
        told = f"{len(firing)} alerts fire: {critical} critical, {humanize.plural(len(firing) - critical, 'warning')}."
        told += f" The worst: {sentence(str(firing[0]['summary']))}"
    if view.is_stale:
        told = f"monitord has not looked for {humanize.duration(view.seen.age_seconds)}; what follows is of then."
    look = tag(
        "p",
        "Last check ",
        ago(view.seen.at, view.until),
        ", ",
        when(view.seen.at, view.until),
        ". ",
        _night_note(view),
        class_="span",
    )
    ask = tag("form", tag("button", "Check now", type="submit"), method="post", action="/check")
    return tag(
        "div",
        tag(
            "div",
            tag("h1", mark(style, word=False), tag("span", word), class_="verdict"),
            ask,
            id="p-state",
            data_part=True,
            class_="line",
        ),
        tag("p", told, class_="sentence", id="sentence", role="status"),
        tag("div", look, id="p-check", data_part=True),
        id="state",
        class_=f"state is-{style}",
    )


def _night_note(view: PageContext) -> Markup:
    kept = view.night
    if kept is None:
        return joined("The night is being read: its plots come in a moment.")
    if kept.value is None:
        return joined(f"The night is unknown: {kept.trouble}.")
    return joined("Plots as of ", when(kept.value.night.until, view.until), ".")
