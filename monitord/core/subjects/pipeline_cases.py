"""The test card: cases that are prepared for the on-chain test, and whether each is as expected."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import CriterionResult, PreparationItem, Prepared, SuccessCriterion, all_done
from monitord.core.subjects import registry
from monitord.core.subjects.base import RootOnChain

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts

_HASH: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
MOST_CASES: Final = 20


@dataclass(frozen=True, slots=True)
class PreparedCase:
    """A participant of a seal, with the expected root and count; `user_hash` is "" where it may not be shown."""

    channel: str
    epoch: int
    root: str
    participants: int | None = None
    user_hash: str = ""

    @property
    def name(self) -> str:
        """How it is called in samples: nothing of the participant is in it."""
        return f"{self.channel}/{self.epoch}"


def cases(text: str | None) -> tuple[PreparedCase, ...]:
    """The cases of a setting. ValueError: with half a sentence, which quotes nothing of what may be secret."""
    if not text:
        return ()
    try:
        listed = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(listed, list) or len(listed) > MOST_CASES or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"it must be a list of at most {MOST_CASES} objects")
    return tuple(_case(one, number) for number, one in enumerate(listed, 1))


def _case(one: dict[str, object], number: int) -> PreparedCase:
    if unknown := one.keys() - {"channel", "epoch", "user_hash", "root", "participants"}:
        raise ValueError(f"case {number} has {min(unknown)!r}, which no case has")
    channel, epoch, many = one.get("channel"), one.get("epoch"), one.get("participants")
    if not isinstance(channel, str) or not channel.strip() or not channel.isprintable():
        raise ValueError(f"case {number} needs a channel")
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < 2**62:
        raise ValueError(f"case {number} needs an epoch, a label in Unix seconds")
    if many is not None and (not isinstance(many, int) or isinstance(many, bool) or many < 1):
        raise ValueError(f"of case {number}, participants must be a whole number above 0")
    hexed = {}
    for name in ("root", "user_hash"):
        value = one.get(name, "" if name == "user_hash" else None)
        if not isinstance(value, str) or not (_HASH.fullmatch(value) or (name == "user_hash" and not value)):
            raise ValueError(f"of case {number}, {name} must be 64 hex digits")
        hexed[name] = value.lower().removeprefix("0x")
    return PreparedCase(channel, epoch, hexed["root"], many, hexed["user_hash"])


def check(text: str | None) -> None:
    """Raise ValueError where these are no cases; each must name its participant."""
    for number, case in enumerate(cases(text), 1):
        if not case.user_hash:
            raise ValueError(f"of case {number}, user_hash must be 64 hex digits")


def known(text: str | None) -> str | None:
    """The cases without their participants, as judgement may know them."""
    if not text:
        return text
    shown = [
        {"channel": c.channel, "epoch": c.epoch, "root": c.root, "participants": c.participants} for c in cases(text)
    ]
    return json.dumps(shown)


# What is to be true of a case, in the order in which it is told; the words are those of it and of its absence.
_ASKED: Final = (
    ("root", "root matches", "the stored root is another"),
    ("participants", "{}", "{}"),
    ("proof", "proof valid", "the participant has no valid proof"),
    ("published", "published", "not published"),
    ("chain", "on chain", "not on chain"),
)


def truths(case: PreparedCase, reading: Reading, on_chain: RootOnChain) -> Mapping[str, bool | None]:
    """What is asked of a case and whether it is so; None: that is not known."""
    many = reading.number("case_participants", case=case.name)
    participants = None if many is None else case.participants in (None, many)
    found = {name: reading.number(f"case_{name}", case=case.name) for name in ("root", "proof", "published")}
    return {
        "root": flag(found["root"]),
        "participants": participants,
        "proof": flag(found["proof"]),
        "published": flag(found["published"]),
        "chain": on_chain.held,
    }


def flag(value: float | None) -> bool | None:
    """What a 1 or 0 says; None: that is not known."""
    return None if value is None else value == 1


def sentence(case: PreparedCase, reading: Reading, on_chain: RootOnChain) -> str:
    """A case in a sentence: what is so, what is not, and what is not known."""
    many = reading.number("case_participants", case=case.name)
    sentences = []
    for name, is_so in truths(case, reading, on_chain).items():
        _, yes, no = next(each for each in _ASKED if each[0] == name)
        if name == "participants":
            yes = humanize.plural(many or 0, "participant")
            no = f"{yes}, not {humanize.count(case.participants or 0)}"
        sentences.append(f"{_SHORT[name]} not known" if is_so is None else yes if is_so else no)
    at = reading.number("case_at", case=case.name)
    why = reading.word("case_trouble", case=case.name) or ("not recomputed yet" if many is None and at is None else "")
    when = "" if at is None else f"at {humanize.clock(at)}"
    notes = "; ".join(filter(None, (why, on_chain.why, when)))
    return f"{case.channel} {humanize.label(case.epoch)}: {', '.join(sentences)}{f' ({notes})' if notes else ''}."


# How a case is announced where all of it is so, something is not, or is not known.
READY: Final = {True: "Ready", False: "Not ready", None: "Not known to be ready"}


def shown(case: PreparedCase, reading: Reading, on_chain: RootOnChain) -> tuple[bool | None, str]:
    met = all_done(iter(truths(case, reading, on_chain).values()))
    return met, f"{READY[met]} for the on-chain test: {sentence(case, reading, on_chain)}"


_SHORT: Final = {
    "root": "whether the root matches",
    "participants": "participants",
    "proof": "whether the proof is valid",
    "published": "whether it is published",
    "chain": "whether it is on chain",
}


def asks_chain(orders: StandingOrders) -> bool:
    """Whether a chain is watched that can tell which roots it holds."""
    return any(one.holds_root is not None and one.name in orders.probes for one in registry.registered())


def on_chain(case: PreparedCase, history: History, orders: StandingOrders) -> RootOnChain:
    """Whether the chain holds the case's root, as the subject that asks it knows."""
    for subject in registry.registered():
        if subject.holds_root is not None and subject.name in orders.probes:
            return subject.holds_root(history, orders, case.channel, case.epoch, case.root)
    return RootOnChain(None, "nothing is asked of the chain")


def judge(facts: ReportFacts, prepared: tuple[PreparedCase, ...], probe: str) -> CriterionResult:
    """Ready where all of it is true of each case as the report's window ends."""
    reading = facts.history.reading(probe)
    if reading is None:
        return CriterionResult(None, "The pipeline could not be measured as the night ended.")
    chain = {case: on_chain(case, facts.history, facts.orders) for case in prepared}
    ready = {case: all_done(iter(truths(case, reading, chain[case]).values())) for case in prepared}
    met = all_done(iter(ready.values()))
    # Those that decide it come first, and each other one says how it is.
    first, *rest = sorted(prepared, key=lambda case: ready[case] is not met)
    sentences = {case: f"{READY[ready[case]]}: {sentence(case, reading, chain[case])}" for case in prepared}
    return CriterionResult(met, sentences[first], tuple(sentences[case] for case in rest))


def criterion(probe: str, prepared: Callable[[StandingOrders], tuple[PreparedCase, ...]]) -> SuccessCriterion:
    return SuccessCriterion(
        "test_cases",
        lambda facts: f"Ready for the on-chain test ({humanize.plural(len(prepared(facts.orders)), 'test case')})",
        "of each test case the root matches, the participants are as many, the proof is valid, and it is published and "
        "on chain",
        judge=lambda facts: judge(facts, prepared(facts.orders), probe),
        applies=lambda orders: probe in orders.probes and prepared(orders),
    )


def preparation(
    prepared: Callable[[StandingOrders], tuple[PreparedCase, ...]], probe: str
) -> tuple[PreparationItem, ...]:
    """The lines of the checklist that the cases answer: the plan, and the participant's proof."""

    def planned(history: History, orders: StandingOrders) -> Prepared:
        found = [(case, _reading(history, probe), on_chain(case, history, orders)) for case in prepared(orders)]
        done = (is_so for each in found for name, is_so in truths(*each).items() if name != "proof")
        return Prepared(all_done(done), tuple(sentence(*each) for each in found))

    def proven(history: History, orders: StandingOrders) -> Prepared:
        found = {case: truths(case, _reading(history, probe), RootOnChain(None))["proof"] for case in prepared(orders)}
        return Prepared(all_done(iter(found.values())), tuple(_proof(case, is_so) for case, is_so in found.items()))

    hint = "MONITORD_PIPELINE__TEST_CASES would have the plan's test cases checked."
    return (
        PreparationItem(
            "plan",
            "Review the test plan: its test cases",
            planned,
            prepared,
            hint,
            by_hand="By hand: reading the plan. monitord checks that its cases are as the plan has them.",
        ),
        PreparationItem("proof", "Generate the test participant's merkle proof", proven, prepared, hint),
    )


def _proof(case: PreparedCase, is_valid: bool | None) -> str:
    words = {True: "the proof is valid", False: "the participant has no valid proof", None: "the proof is not known"}
    command = f"monitord proof --channel {shlex.quote(case.channel)} --epoch {case.epoch} --user-hash HASH"
    return f"{case.channel} {humanize.label(case.epoch)}: {words[is_valid]}; `{command}` prints it."


def _reading(history: History, probe: str) -> Reading:
    return history.reading(probe) or Reading(probe)
