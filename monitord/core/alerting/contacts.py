"""What the operator has configured to go with alerts, by rule or subject: a runbook, and whom to contact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from monitord.core.copying import replace
from monitord.core.model import Finding, Judgement
from monitord.core.names import is_pattern, means
from monitord.core.orders import StandingOrders


def annotated(judgements: Iterable[Judgement], orders: StandingOrders) -> dict[str, Judgement]:
    """A rule's answers by subject, each finding with its runbook and its contact; what a check sets itself stays."""
    answers = {judgement.subject: judgement for judgement in judgements}
    if orders.runbooks or orders.contacts:
        for subject, one in answers.items():
            if isinstance(one, Finding):
                runbook = one.runbook or most_specific(orders.runbooks, one.rule, subject)
                contact = one.contact or most_specific(orders.contacts, one.rule, subject)
                answers[subject] = replace(one, runbook=runbook, contact=contact)
    return answers


def most_specific(table: Mapping[str, str], rule: str, subject: str) -> str:
    """What a table by rules and subjects (shell patterns) has for an alert; "" where it has nothing.

    A name comes before a pattern, a longer pattern before a shorter one, the subject before the rule.
    """
    found = [
        (math.inf if not is_pattern(written) or written == name else len(written), name == subject, said)
        for written, said in table.items()
        for name in (rule, subject)
        if means(written, name)
    ]
    return max(found, default=(0, False, ""))[-1]


def annotations_of(finding: Finding) -> tuple[tuple[str, str], ...]:
    """The runbook and the contact of a finding, as far as it has any, each with what it is called."""
    return tuple((name, said) for name, said in (("Runbook", finding.runbook), ("Contact", finding.contact)) if said)
