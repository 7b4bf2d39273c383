"""Quiet on purpose, on the page: what is silenced, and the forms to begin and to end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitord.core import humanize
from monitord.core.blocks import Grid
from monitord.core.engine import ALWAYS
from monitord.core.model import Silence
from monitord.core.subjects import rule_names, rules
from monitord.reporting.charts.svg import Markup, joined, tag
from monitord.reporting.components import grid
from monitord.reporting.silences import spell
from monitord.web.auth import VARIABLE
from monitord.web.context import NOTHING, PageContext, when

NO_TOKEN = f"To silence and to acknowledge from here, set {VARIABLE} and reload; the commands can do it without."
DONE = {
    "silenced": "It will be quiet with the next check.",
    "ended": "The silence ends with the next check.",
    "acked": "Acknowledged with the next check.",
    "asked": "A check was asked for.",
}


def living(view: PageContext) -> list[Silence]:
    """The silences that are not over, the newest first."""
    found = [one for one in view.silences if one.until is None or one.until > view.now]
    return sorted(found, key=lambda one: one.since, reverse=True)


def quiet(view: PageContext) -> Markup:
    """The silences as a section of the overview; nothing where there is none."""
    found = living(view)
    if not found:
        return joined()
    return tag(
        "section",
        tag("h2", f"Silences ({len(found)})", id="h-silences"),
        _table(found, view),
        aria_labelledby="h-silences",
    )


def _table(found: list[Silence], view: PageContext, *, ends: bool = False) -> Markup:
    rows = []
    for one in found:
        row: tuple[str, ...] = (
            one.subject,
            one.rule or "any",
            when(one.since, view.until),
            _until(one, view),
            one.reason or NOTHING,
        )
        rows.append((None, (*row, _end(one)) if ends else row))
    header = ("Subject", "Rule", "Since", "Until", "Reason")
    return grid(
        Grid(
            "Watched, judged and recorded as ever, and paging nobody", (*header, "End") if ends else header, tuple(rows)
        )
    )


def _until(one: Silence, view: PageContext) -> Markup:
    window = f"{one.every}, each time for {humanize.duration(one.lasts)}: {spell(one, view.now)}" if one.every else ""
    if one.until is None:
        return joined(window or "it is ended")
    return joined(when(one.until, view.until), f" ({window})" if window else None)


def _end(one: Silence) -> Markup:
    return tag(
        "form",
        tag("button", "End", tag("span", f" the silence of {one.subject}", class_="vh"), type="submit"),
        method="post",
        action=f"/silences/{one.id}/end",
    )


def silences_page(view: PageContext, given: Mapping[str, str], mistake: str = "", done: str = "") -> Markup:
    """The silences, and the form for another. `given` is what stands in the form already."""
    found = living(view)
    return joined(
        tag("h1", "Silences"),
        tag("p", done, role="status", class_="done") if done else None,
        _table(found, view, ends=view.acts) if found else tag("p", "Nothing is silenced."),
        _form(view, given, mistake),
    )


def _rules(view: PageContext) -> Iterator[str]:
    """The rules that are judged here: what is off has none."""
    judged = view.seen.decision.orders.probes | ALWAYS
    return (name for name in rule_names() if any(rule.name == name and rule.probe in judged for rule in rules()))


def _form(view: PageContext, given: Mapping[str, str], mistake: str) -> Markup:
    if not view.has_token:
        return tag("p", NO_TOKEN, class_="quietly")
    if not view.acts:
        return tag("p", tag("a", "Log in with the token", href="/login?to=/silences"), " to silence something.")
    rules = [tag("option", "any rule", value="")]
    rules += [tag("option", name, value=name, selected=given.get("rule") == name) for name in _rules(view)]
    subjects = [
        *view.seen.report.services,
        *view.seen.report.growth,
        *view.seen.report.epochs,
        "postgres",
        "redis",
        "pm2",
    ]
    return tag(
        "form",
        tag("h2", "Silence something"),
        tag("p", mistake, role="alert", class_="is-critical mistake") if mistake else None,
        _field(
            "subject",
            "Subject",
            given.get("subject", ""),
            "A name or a pattern; * is the whole host.",
            list="subjects",
            required=True,
        ),
        tag("datalist", *(tag("option", Markup(""), value=name) for name in subjects), id="subjects"),
        tag("div", tag("label", "Rule", for_="rule"), tag("select", *rules, name="rule", id="rule"), class_="field"),
        _field("for", "For", given.get("for", "2h"), "30m, 2h, 7d"),
        _field(
            "every",
            "Each time at",
            given.get("every", ""),
            "A cron schedule in UTC makes a maintenance window; else leave it empty.",
        ),
        _field("reason", "Reason", given.get("reason", ""), "For whoever wonders at 3 a.m."),
        tag("button", "Silence", type="submit"),
        method="post",
        action="/silences",
        class_="form",
    )


def _field(name: str, label: str, value: str, hint: str, **more: object) -> Markup:
    return tag(
        "div",
        tag("label", label, for_=name),
        tag("input", name=name, id=name, value=value, autocomplete="off", aria_describedby=f"{name}-hint", **more),
        tag("small", hint, id=f"{name}-hint"),
        class_="field",
    )


def login_page(to: str, mistake: str, *, has_token: bool) -> Markup:
    """Where the token is shown."""
    if not has_token:
        return joined(tag("h1", "Log in"), tag("p", NO_TOKEN))
    return joined(
        tag("h1", "Log in"),
        tag(
            "form",
            tag("p", mistake, role="alert", class_="is-critical mistake") if mistake else None,
            tag("input", type="hidden", name="to", value=to),
            tag("input", type="text", name="user", value="monitord", autocomplete="username", hidden=True),
            tag(
                "div",
                tag("label", "Token", for_="token"),
                tag("input", type="password", name="token", id="token", autocomplete="current-password", required=True),
                tag("small", f"What {VARIABLE} was set to."),
                class_="field",
            ),
            tag("button", "Log in", type="submit"),
            method="post",
            action="/login",
            class_="form",
        ),
    )
