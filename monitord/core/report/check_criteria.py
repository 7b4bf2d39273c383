"""The criterion that checks of one's own must meet: none was critical, and it is known what came of each."""

from __future__ import annotations

from monitord.core import humanize
from monitord.core.report.facts import ReportFacts, told, untold
from monitord.core.report.model import Criterion
from monitord.core.subjects.check_rules import PROBE


def checks_met(facts: ReportFacts) -> Criterion:
    """No check was critical, told or explained by what it depends on; what was worth a warning is named."""
    many = len(facts.levels.checks)
    name, title = "checks_met", f"Checks of one's own met ({many})"
    found = facts.against(name)
    critical = [part for part in found if facts.was_critical(part.alert)]
    warnings = tuple(told(part, facts) for part in found if part not in critical)
    if critical:
        who = humanize.listed(sorted({part.alert.subject for part in critical}))
        details = (*(told(part, facts, at_worst=True) for part in critical), *warnings)
        return Criterion(name, title, False, f"Not all night: {who}.", details)
    if why := facts.too_blind(PROBE):
        return Criterion(name, title, None, why, warnings)
    if unread := untold(facts.levels.checks.values(), facts):
        return Criterion(name, title, None, f"It is not known what came of {humanize.listed(unread)}.", warnings)
    but = f", but for {humanize.plural(len(warnings), 'warning')}" if warnings else ""
    return Criterion(name, title, True, f"{humanize.plural(many, 'check')} met all night{but}.", warnings)
