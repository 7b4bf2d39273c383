"""Judgement of the chain: not reached, without what is said to be published, another root, another program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Alert, Clear, Finding, Judgement, NotTaken, Observation, Reading, Severity, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import SuccessCriterion
from monitord.core.report.preparation import PreparationItem, Prepared, all_done
from monitord.core.subjects import chain_status
from monitord.core.subjects.base import (
    NONE,
    Answer,
    Impact,
    RecoveryContext,
    RootOnChain,
    Rule,
    Subject,
    Updated,
    asked,
    of_each,
    of_one,
)
from monitord.core.subjects.chain_facts import (
    AUTHORITY,
    BALANCE,
    DEPLOYED,
    EXECUTABLE,
    NAME,
    PROGRAM_STATE,
    SLOT,
    ChainSettings,
    ChannelFacts,
    Known,
    accounts,
    chain_settings,
    is_kept,
    kept_accounts,
    published,
    remembered,
    standing,
    uncompared,
)
from monitord.core.subjects.servers import unmeasured, unreachable

_ON_CHAIN: Final = "on_chain"
# What was found of a channel is remembered until it is found well, or has not been asked about for so long.
_REMEMBER_SECONDS: Final = 24 * 3600.0
_MOST_REMEMBERED: Final = 200
_MOST_ACCOUNTS: Final = 64
_AGED_SECONDS: Final = 60.0  # what is older is said to be
_MOST_NAMED: Final = 5
_NOT_DEPLOYED: Final = "its deployment was not read"
_BAD: Final = {"BEHIND": "chain_behind", "MISSING": "chain_behind", "DIFFERENT": "chain_root_differs"}


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    """The history with the program as first seen, the channels that are not on chain as published, and the accounts."""
    if is_kept(reading):
        return Updated(history)
    kept = dict(history.kept(NAME))
    if "program" not in kept and (program := _program(reading)) is not None:
        kept["program"] = program
    if uncompared(reading) is None:
        kept["channels"] = _channels(history, list(published(reading)), now, orders)
    kept["accounts"] = _accounts(history, reading, now, orders)
    return Updated(history if kept == history.kept(NAME) else history.keeping(NAME, kept))


def _channels(history: History, asked: Sequence[ChannelFacts], now: float, orders: StandingOrders) -> dict[str, object]:
    mints = chain_settings(orders).tokens
    found = {
        name: what
        for name, what in remembered(history).items()
        if name.partition("/")[0] in mints and 0 <= now - what["at"] < _REMEMBER_SECONDS
    }
    for one in asked:
        found.pop(one.name, None)
        if one.state in _BAD:
            found[one.name] = {
                "state": one.state,
                "published": one.published,
                "latest": one.latest,
                "elsewhere": one.is_elsewhere,
                "at": now,
            }
    return dict(list(found.items())[-_MOST_REMEMBERED:])


def _accounts(history: History, reading: Reading, now: float, orders: StandingOrders) -> dict[str, Any]:
    """The accounts as they were last read, those that were read last at the end."""
    mints = chain_settings(orders).tokens
    found = {
        f"{one.group}/{one.channel}": one
        for one in kept_accounts(history)
        if one.group in mints and one.at is not None and 0 <= now - one.at < _REMEMBER_SECONDS
    }
    for one in accounts(reading, now):
        found.pop(f"{one.group}/{one.channel}", None)
        found[f"{one.group}/{one.channel}"] = one
    return {name: one.fields() for name, one in list(found.items())[-_MOST_ACCOUNTS:]}


def _program(reading: Reading) -> dict[str, Any] | None:
    deployed, authority = reading.number(DEPLOYED), reading.word(AUTHORITY)
    if deployed is None or authority is None or reading.word(PROGRAM_STATE) != EXECUTABLE:
        return None
    return {"deployed": int(deployed), "authority": authority}


def _adopted(history: History, subject: str) -> History:
    """The history in which the program is known as it was last read."""
    last = history.readings.get(NAME)
    program = None if last is None else _program(last)
    return history if program is None else history.keeping(NAME, {**history.kept(NAME), "program": program})


_Wrong = list[tuple[str, dict[str, Any]]]


def _tokens(orders: StandingOrders) -> Mapping[str, str]:
    return chain_settings(orders).tokens


def _remembered(rule: str, group: str, reading: Reading, history: History) -> _Wrong | NotTaken | str:
    """The channels of a group that this rule is about, as they are remembered."""
    if is_kept(reading):
        return NotTaken(rule, group)
    if (why := uncompared(reading)) is not None:
        return why
    return [
        (name.partition("/")[2], dict(what))
        for name, what in remembered(history).items()
        if name.partition("/")[0] == group and _BAD[what["state"]] == rule
    ]


@of_each(_tokens)
def chain_behind(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Channels of a group have newer labels marked as published than their accounts on chain have.

    Critical where that is so of every channel that was compared.
    """
    found = _remembered("chain_behind", group, observation.readings[NAME], history)
    if not isinstance(found, list):
        return found
    if not found:
        return None
    asked = [one for one in published(observation.readings[NAME]) if one.group == group]
    is_all = bool(asked) and all(one.state in ("BEHIND", "MISSING") for one in asked)
    elsewhere = [channel for channel, what in found if what["elsewhere"]]
    hint = (
        f" Of {humanize.listed(elsewhere)} there is an account under the key that the gateway's claims derive "
        "(twitch:): is it published there?"
        if elsewhere
        else ""
    )
    summary = (
        f"{humanize.plural(len(found), 'channel')} of {group} "
        f"{'is' if len(found) == 1 else 'are'} marked as published and not on chain: "
        f"{humanize.listed([_behind(*one) for one in found], most=_MOST_NAMED)}."
    )
    evidence = _evidence(found) | ({"elsewhere": elsewhere} if elsewhere else {})
    advice = (
        "`published` is the publisher's claim, the account is the proof: look at the publisher's log for the "
        f"transactions of these labels, and at its wallet's balance.{hint}"
    )
    severity: Severity = "critical" if is_all else "warning"
    return Finding("chain_behind", group, severity, len(found), 0, "channels", summary, evidence, advice)


def _behind(channel: str, what: dict[str, object]) -> str:
    latest = what["latest"]
    there = "there is no account" if latest is None else f"its account has {latest}" if latest else "it has none"
    return f"{channel} (label {what['published']}; {there})"


def _evidence(found: _Wrong) -> dict[str, object]:
    """How the first channels are, and the labels that are marked as published."""
    named = found[:_MOST_NAMED]
    labels = sorted({what["published"] for _, what in named})
    return {"channels": {channel: what["state"] for channel, what in named}, "labels": labels}


@of_each(_tokens)
def chain_root_differs(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A channel's account has another root for a label than the tree cache has."""
    found = _remembered("chain_root_differs", group, observation.readings[NAME], history)
    if not isinstance(found, list):
        return found
    if not found:
        return None
    named = [f"{channel} (label {what['published']})" for channel, what in found]
    summary = (
        f"The root on chain is another than the one that was built, "
        f"of {humanize.plural(len(found), 'channel')} of {group}: {humanize.listed(named, most=_MOST_NAMED)}."
    )
    evidence = _evidence(found)
    advice = (
        "Claims with proofs of this tree are refused. Run `monitord verify` for these labels: it says whether "
        "the stored root is that of the participants; then see what the publisher sent."
    )
    return Finding("chain_root_differs", group, "critical", len(found), 0, "channels", summary, evidence, advice)


@of_one(NAME)
def program_changed(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """The program is not executable, or was deployed again, or may be by another key than was known."""
    reading, address = observation.readings[NAME], chain_settings(orders).program
    state = reading.word(PROGRAM_STATE)
    if is_kept(reading):
        return NotTaken("program_changed", NAME)
    if state is None:
        return "the program was not read"
    known, present = history.kept(NAME).get("program"), _program(reading)
    if present is None and state == EXECUTABLE:
        return _NOT_DEPLOYED
    if present is not None and known in (None, present):
        return None
    if present is None:
        value, limit, said = state, EXECUTABLE, f"it is {state}"
    elif known is not None and present["deployed"] != known["deployed"]:
        value, limit = str(present["deployed"]), str(known["deployed"])
        said = f"it was deployed again in slot {value}; the deployment that is known is of slot {limit}"
    else:
        value, limit = present["authority"] or "nobody", (known or {}).get("authority") or "nobody"
        said = f"{value} may deploy it now; before, {limit} could"
    summary = f"The program {address} is not what it was: {said}."
    evidence = {"program": address, "known": known, "found": present, "state": state}
    advice = (
        "Was it deployed on purpose? Then acknowledge this alert: what is there now is then the known one. "
        "If not, somebody else holds the key that may deploy it: stop publishing and claims."
    )
    return Finding("program_changed", NAME, "critical", value, limit, "", summary, evidence, advice)


def wallet_low(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A wallet holds less than it must at least."""
    reading = observation.readings[NAME]
    for address, least in chain_settings(orders).wallets.items():
        balance = reading.number(BALANCE, wallet=address)
        if is_kept(reading):
            yield NotTaken("wallet_low", address)
        elif balance is None:
            yield Unknown("wallet_low", address, "its balance was not read")
        elif balance >= least:
            yield Clear("wallet_low", address)
        else:
            summary = f"The wallet {address} holds {balance:g} SOL; it must hold {least:g} at least."
            advice = "Fund it: without SOL nothing is published, and the publisher's transactions fail."
            yield Finding("wallet_low", address, "warning", balance, least, "SOL", summary, {"wallet": address}, advice)


def _published_now(alert: Alert, at: RecoveryContext) -> str:
    return f"What is marked as published of {alert.subject} is on chain, as far as it was compared."


def _program_now(alert: Alert, at: RecoveryContext) -> str | None:
    known = at.history.kept(NAME).get("program")
    return None if known is None else f"The program is the known one, deployed in slot {known['deployed']}."


def _balance_now(alert: Alert, at: RecoveryContext) -> str | None:
    chain = at.report.of(chain_status.STATUS)
    wallet = None if chain is None else chain.wallets.get(alert.subject)
    if wallet is None or wallet.sol is None:
        return None
    return f"The wallet {alert.subject} holds {wallet.sol:g} SOL."


_WARNING: Final[Severity] = "warning"
CHAIN_UNREACHABLE = unreachable(
    "chain_unreachable",
    NAME,
    "The chain",
    blocks=lambda _: "what is published there",
    response=chain_status.response,
    severity=_WARNING,
    runbook=("monitord config", "monitord logs --no-follow -n 50", "monitord check"),
    impact=Impact("what is on chain is not known", (NONE, NONE, "not known while it lasts")),
)
_rule = partial(Rule, probe=NAME, criterion=_ON_CHAIN)
CHAIN_BEHIND = _rule(
    severities=("warning", "critical"),
    evaluate=chain_behind,
    runbook=("{pm2} logs --lines 50 --nostream", "{pm2} status", "monitord check --explain"),
    impact=Impact(
        "what is marked as published cannot be claimed", (NONE, NONE, "claims of the newest epochs are refused")
    ),
    recovered=_published_now,
)
CHAIN_ROOT_DIFFERS = _rule(
    severities=("critical",),
    evaluate=chain_root_differs,
    runbook=("monitord verify --group {name} --since 24h", "{pm2} logs --lines 50 --nostream", "monitord check"),
    impact=Impact("proofs lead to another root than is published", (NONE, NONE, "claims are refused")),
    recovered=_published_now,
)
PROGRAM_CHANGED = _rule(
    severities=("critical",),
    evaluate=program_changed,
    adopt=_adopted,
    runbook=("monitord config", "monitord check --explain", "monitord alerts"),
    impact=Impact("claims are decided by another program", (NONE, NONE, "decided by another program")),
    recovered=_program_now,
)
WALLET_LOW = _rule(
    evaluate=wallet_low,
    runbook=("solana balance {name}", "{pm2} logs --lines 50 --nostream", "monitord check"),
    impact=Impact("nothing can be published once it is empty", (NONE, NONE, "new epochs cannot be claimed")),
    recovered=_balance_now,
)
UNMEASURED = unmeasured(
    NAME,
    "the chain",
    "Is the address right? MONITORD_CHAIN__ACCOUNTS and MONITORD_CHAIN__MINTS say where accounts are.",
    is_fresh=lambda reading, _: not is_kept(reading),
)


_WHY: Final[Mapping[Known, str]] = {
    "OK": "",
    "SUPERSEDED": "a newer label has taken its place, and it can no longer be claimed",
    "BEHIND": "the newest label of its account is older",
    "DIFFERENT": "its account has another root for this label",
    "MISSING": "there is no account of its channel",
    "UNKNOWN": "its account was not read",
}


def _holds(history: History, orders: StandingOrders, channel: str, epoch: int, root: str) -> RootOnChain:
    """Whether a root can be claimed on chain; what a newer label has taken the place of cannot."""
    found = standing(history, orders, channel, epoch, root)
    why, is_known = _WHY[found.state], found.state != "UNKNOWN"
    age = None if found.at is None or history.at is None else history.at - found.at
    if age is not None and age >= _AGED_SECONDS:
        read = f"its account was read {humanize.duration(age)} ago"
        why = "; ".join(filter(None, (why, read))) if is_known else f"{read}, which is too long"
    return RootOnChain(found.state == "OK" if is_known else None, why)


def _untold(history: History, orders: StandingOrders, now: float) -> tuple[str, ...]:
    reading = asked(NAME, history, orders)
    return (NAME,) if reading is not None and reading.number(SLOT) is None else ()


def _funded(history: History, orders: StandingOrders) -> Prepared:
    """Whether each wallet holds what it must."""
    reading = history.reading(NAME) or Reading(NAME)
    found = [(address, reading.number(BALANCE, wallet=address), least) for address, least in _wallets(orders).items()]
    return Prepared(
        all_done(None if sol is None else sol >= least for _, sol, least in found),
        tuple(
            f"{address}: {humanize.said(lambda sol: f'{sol:g} SOL', sol)}, at least {least:g}."
            for address, sol, least in found
        ),
    )


def _wallets(orders: StandingOrders) -> Mapping[str, float]:
    return chain_settings(orders).wallets


def _deployed(history: History, orders: StandingOrders) -> Prepared:
    """Whether the program is executable, and its deployment the known one."""
    reading = history.reading(NAME) or Reading(NAME)
    state, known, present = reading.word(PROGRAM_STATE), history.kept(NAME).get("program"), _program(reading)
    address = chain_settings(orders).program
    if state is None:
        return Prepared(None, (f"{address} was not read.",))
    if present is None and state == EXECUTABLE:
        return Prepared(None, (f"{address} is {state}; {_NOT_DEPLOYED}.",))
    if present is None:
        return Prepared(False, (f"{address} is {state}.",))
    slot = humanize.count(present["deployed"])
    if known not in (None, present):
        return Prepared(
            False, (f"{address} is executable; its deployment in slot {slot} is not the one that is known.",)
        )
    return Prepared(True, (f"{address} is executable, deployed in slot {slot}.",))


CHAIN = Subject(
    NAME,
    "the chain",
    server=NAME,
    rules=(CHAIN_UNREACHABLE, PROGRAM_CHANGED, CHAIN_ROOT_DIFFERS, CHAIN_BEHIND, WALLET_LOW, UNMEASURED),
    update=_update,
    undetermined=_untold,
    member="group or wallet",
    in_fleet=False,
    component="published",
    status=(chain_status.STATUS,),
    metrics=chain_status.METRICS,
    perfdata=chain_status.perfdata,
    hint="Not watched. MONITORD_CHAIN__RPC_URLS would add it.",
    section=chain_status.section,
    heading="On chain",
    criteria=(
        SuccessCriterion(
            _ON_CHAIN,
            title=lambda _: "What is published is on chain",
            means="what is marked as published was found on chain, by the program that was known",
        ),
    ),
    preparation=(
        PreparationItem(
            "wallets",
            "Prepare the test wallets with SOL",
            _funded,
            _wallets,
            "MONITORD_CHAIN__WALLETS (with MONITORD_CHAIN__RPC_URLS) would have their balances checked.",
            by_hand="By hand: that the wallets of the test are these.",
        ),
        PreparationItem(
            "program",
            "Verify the program's deployment",
            _deployed,
            hint="MONITORD_CHAIN__RPC_URLS would have it checked.",
            by_hand="By hand: that this deployment is the version to be tested.",
        ),
    ),
    holds_root=_holds,
    settings=ChainSettings,
    needs="rpc_urls",
)
