"""Where to look first: for every rule three commands, the log with its last lines and the query among them.

They are for a person's shell, and only look: with no variable that nobody set, and names quoted as the shell wants it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from shlex import quote

from monitord.core.dependencies import feeders, sealers
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared


def look_at(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    """The first three things to look at for this alert, as commands."""
    home = orders.places.get("pm2")
    words = {
        "home": "~/.pm2" if home is None else quote(home),
        "pm2": "pm2" if home is None else f"PM2_HOME={quote(home)} pm2",
        "postgres": orders.places.get("postgres", "psql"),
        "redis": orders.places.get("redis", "redis-cli"),
        "name": quote(alert.subject),
        "literal": "'" + alert.subject.rpartition(".")[2].replace("'", "''") + "'",
        "sealer": _logs_of(by for group in orders.groups for by in sealers(group, orders)),
        "feeder": _logs_of(feeders(str(alert.finding.evidence.get("group", alert.subject)), orders)),
        "worker": _logs_of(orders.workers_of(alert.subject) or (alert.subject,)),
        "waiting": quote(f"{orders.prefix_of(alert.subject)}:{alert.subject}:wait"),
    }
    return tuple(_command(form, words) for form in declared(alert.rule).runbook)


def _command(form: str, words: dict[str, str]) -> str:
    # In one pass: what stands in a name is not looked at again.
    filled = re.sub(r"\{(\w+)\}", lambda match: words[match[1]], form)
    return f"{words['postgres']} -c {quote(filled)}" if form.startswith("SELECT ") else filled


def _logs_of(patterns: Iterable[str]) -> str:
    """The services that shell patterns name, as `pm2 logs` takes them: a regular expression, or all of them."""
    names = dict.fromkeys(re.escape(pattern.strip("*")) for pattern in patterns)
    return quote("/" + "|".join(names) + "/") if names else "all"
