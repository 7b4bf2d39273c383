"""What a report comes to, in one sentence: the same in the log, on the terminal and to Nagios."""

from __future__ import annotations

from monitord.core import humanize
from monitord.core.status import Fields
from monitord.core.subjects.registry import readings_of


def verdict(fields: Fields) -> str:
    """The status in one sentence, without its name."""
    firing = fields["alerts"]["firing"]
    if len(firing) == 1:
        return str(firing[0]["summary"])
    if firing:
        return f"{len(firing)} alerts fire, the worst: {firing[0]['summary']}"
    if fields.get("unasked"):
        return f"{fields['unasked']}."
    failed = [readings_of(name) for name, probe in fields["probes"].items() if _failed(name, probe, fields)]
    if failed:
        return f"{humanize.listed(failed)} could not be measured."
    if fields["status"] == "unknown":
        return "a part of what is watched could not be measured."
    services = fields["services"]
    well = sum(1 for service in services.values() if service["ok"])
    fleet = f"{well} of {len(services)} services are as ordered" if services else "no services are watched"
    return f"{'nothing is wrong' if well == len(services) else 'no alert fires'}; {fleet}."


def _failed(name: str, probe: Fields, fields: Fields) -> bool:
    """Whether a probe failed, and of something: while nobody could be asked what is there, the server says it."""
    asks_first = name == "epochs" and not fields["epochs"] and fields["probes"]["postgres"]["status"] == "failed"
    return probe["status"] == "failed" and not asks_first
