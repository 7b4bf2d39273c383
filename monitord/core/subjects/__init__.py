"""Every rule, in the order of causation, and how one takes the place of another."""

from collections.abc import Mapping
from typing import Final

from monitord.core.model import Finding
from monitord.core.subjects.base import Rule, Subject
from monitord.core.subjects.registry import SUBJECTS, registered


def in_order(subjects: tuple[Subject, ...]) -> tuple[Rule, ...]:
    """The rules of these subjects in the order of causation: what explains comes before what it may explain.

    The host, the servers, what is measured of them and through them, what could not be measured, monitord itself; of
    one stage in the order of the subjects, and of one subject as it names them.
    """
    rules = [(_stage(subject, rule), rule) for subject in subjects for rule in subject.rules]
    return tuple(rule for _, rule in sorted(rules, key=lambda each: each[0]))


def _stage(subject: Subject, rule: Rule) -> int:
    if not rule.roles.isdisjoint({"unmeasured", "monitor"}):
        return 4 if "monitor" in rule.roles else 3
    if subject.beneath_all:
        return 0
    is_cause = rule.inhibits or rule.inhibits_missing
    return 1 if rule.of_server or is_cause or "lag" in rule.roles else 2


# Those of monitord's own subjects.
RULES: tuple[Rule, ...] = in_order(SUBJECTS)
# Of so many sets of probes the rules are kept.
_MOST_SETS: Final = 64


class RuleCatalogue:
    """The rules of these subjects, and how one takes the place of another.

    `replaces`: the first says all that the second would say of the same subject, where the rule does not know better.
    `succeeds`: where the second is found no more because the first is, it is not over: the first takes its place.
    `continues`: the first is the second's alert that goes on; it keeps its id and its beginning, and nothing ends.
    `continued` has by the first of such a pair the second ones.
    `stronger` has by the weaker rule the stronger ones in order, and whether they only succeed it.
    """

    def __init__(self, subjects: tuple[Subject, ...]) -> None:
        self.subjects = subjects
        self.rules = in_order(subjects)
        # Of a rule that judges several probes' readings, the first: its wording is the same for all.
        self.by_name: Mapping[str, Rule] = {rule.name: rule for rule in reversed(self.rules)}
        self.by_place: Mapping[tuple[str, str], Rule] = {(rule.name, rule.probe): rule for rule in self.rules}
        # Server -> the rule that it cannot be measured.
        self.unreachable = {rule.probe: rule.name for rule in self.rules if "unreachable" in rule.roles}
        self.unreachable_rules = frozenset(self.unreachable.values())
        self.restart_loops = tuple(rule.name for rule in self.rules if "restart_loop" in rule.roles)
        self.replaces = tuple((rule.name, weaker.rule.name) for rule in self.rules for weaker in rule.replaces)
        self.succeeds = tuple((rule.name, weaker.name) for rule in self.rules for weaker in rule.succeeds)
        self.continues = frozenset(
            (rule.name, weaker.rule.name) for rule in self.rules for weaker in rule.replaces if weaker.continues
        )
        self.continued = {
            rule.name: tuple(weaker for stronger, weaker in sorted(self.continues) if stronger == rule.name)
            for rule in self.rules
        }
        self.when = {(rule.name, weaker.rule.name): weaker.when for rule in self.rules for weaker in rule.replaces}
        self.stronger: dict[str, list[tuple[str, bool]]] = {}
        for pairs, only_succeeds in ((self.replaces, False), (self.succeeds, True)):
            for stronger, weaker in pairs:
                self.stronger.setdefault(weaker, []).append((stronger, only_succeeds))
        self._judging: dict[frozenset[str], tuple[Rule, ...]] = {}

    def judging(self, probes: frozenset[str]) -> tuple[Rule, ...]:
        """The rules that judge the readings of these probes, in order: a cycle takes one of few sets of probes."""
        if (found := self._judging.get(probes)) is None:
            if len(self._judging) >= _MOST_SETS:
                self._judging.clear()
            found = self._judging[probes] = tuple(rule for rule in self.rules if rule.probe in probes)
        return found


_catalogue = RuleCatalogue(registered())


def catalogue() -> RuleCatalogue:
    """The rules of every subject there is: monitord's own first."""
    global _catalogue
    if _catalogue.subjects is not registered():
        _catalogue = RuleCatalogue(registered())
    return _catalogue


def rules() -> tuple[Rule, ...]:
    """Every rule there is, in the order of causation."""
    return catalogue().rules


def rule_names() -> tuple[str, ...]:
    return tuple(sorted(catalogue().by_name))


def declared(name: str, probe: str = "") -> Rule:
    """A rule as it judges this probe's readings; of a name that is no more, one of which nothing is known."""
    known = catalogue()
    return known.by_place.get((name, probe)) or known.by_name.get(name) or Rule(name, probe, ())


def replaces(stronger: Finding, weaker: Finding) -> bool:
    """Whether the first of two findings, whose rules replace one another in this order, leaves the second nothing."""
    return catalogue().when[stronger.rule, weaker.rule](stronger, weaker)
