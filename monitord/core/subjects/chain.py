"""Judgement of the chain: not reached, without what is said to be published, another root, another program."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, NotTaken, Observation, Reading, Severity
from monitord.core.orders import StandingOrders
from monitord.core.report.criterion import PreparationItem, Prepared, SuccessCriterion, all_done
from monitord.core.subjects import base, chain_facts, chain_status
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


def _update(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> base.Updated:
    """The history with the program as first seen, the channels that are not on chain as published, and the accounts."""
    if chain_facts.is_kept(reading):
        return base.Updated(history)
    kept = dict(history.kept(chain_facts.NAME))
    if "program" not in kept and (program := _program(reading)) is not None:
        kept["program"] = program
    if chain_facts.uncompared(reading) is None:
        kept["channels"] = _channels(history, list(chain_facts.published(reading)), now, orders)
    kept["accounts"] = _accounts(history, reading, now, orders)
    return base.Updated(history if kept == history.kept(chain_facts.NAME) else history.keeping(chain_facts.NAME, kept))


def _channels(
    history: History, read: Sequence[chain_facts.ChannelFacts], now: float, orders: StandingOrders
) -> dict[str, object]:
    mints = chain_facts.chain_settings(orders).tokens
    found = {
        name: what
        for name, what in chain_facts.remembered(history).items()
        if name.partition("/")[0] in mints and 0 <= now - what["at"] < _REMEMBER_SECONDS
    }
    for one in read:
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
    mints = chain_facts.chain_settings(orders).tokens
    found = {
        f"{one.group}/{one.channel}": one
        for one in chain_facts.kept_accounts(history)
        if one.group in mints and one.at is not None and 0 <= now - one.at < _REMEMBER_SECONDS
    }
    for one in chain_facts.accounts(reading, now):
        found.pop(f"{one.group}/{one.channel}", None)
        found[f"{one.group}/{one.channel}"] = one
    return {name: one.fields() for name, one in list(found.items())[-_MOST_ACCOUNTS:]}


def _program(reading: Reading) -> dict[str, Any] | None:
    deployed, authority = reading.number(chain_facts.DEPLOYED), reading.word(chain_facts.AUTHORITY)
    if deployed is None or authority is None or reading.word(chain_facts.PROGRAM_STATE) != chain_facts.EXECUTABLE:
        return None
    return {"deployed": int(deployed), "authority": authority}


def _adopted(history: History, subject: str) -> History:
    last = history.readings.get(chain_facts.NAME)
    program = None if last is None else _program(last)
    return (
        history
        if program is None
        else history.keeping(chain_facts.NAME, {**history.kept(chain_facts.NAME), "program": program})
    )


_Wrong = list[tuple[str, dict[str, Any]]]


def _tokens(orders: StandingOrders) -> Mapping[str, str]:
    return chain_facts.chain_settings(orders).tokens


def _wallets(orders: StandingOrders) -> Mapping[str, float]:
    return chain_facts.chain_settings(orders).wallets


def _remembered(rule: str, group: str, reading: Reading, history: History) -> _Wrong | NotTaken | str:
    """The channels of a group that this rule is about, as they are remembered."""
    if chain_facts.is_kept(reading):
        return NotTaken(rule, group)
    if (why := chain_facts.uncompared(reading)) is not None:
        return why
    return [
        (name.partition("/")[2], dict(what))
        for name, what in chain_facts.remembered(history).items()
        if name.partition("/")[0] == group and _BAD[what["state"]] == rule
    ]


@base.of_each(_tokens)
def chain_behind(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """Channels of a group have newer labels marked as published than their accounts on chain have.

    Critical where that is so of every channel that was compared.
    """
    found = _remembered("chain_behind", group, observation.readings[chain_facts.NAME], history)
    if not isinstance(found, list):
        return found
    if not found:
        return None
    compared = [one for one in chain_facts.published(observation.readings[chain_facts.NAME]) if one.group == group]
    is_all = bool(compared) and all(one.state in ("BEHIND", "MISSING") for one in compared)
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
    named = found[:_MOST_NAMED]
    labels = sorted({what["published"] for _, what in named})
    return {"channels": {channel: what["state"] for channel, what in named}, "labels": labels}


@base.of_each(_tokens)
def chain_root_differs(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A channel's account has another root for a label than the tree cache has."""
    found = _remembered("chain_root_differs", group, observation.readings[chain_facts.NAME], history)
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


@base.of_one(chain_facts.NAME)
def program_changed(observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """The program is not executable, or was deployed again, or may be by another key than was known."""
    reading, address = observation.readings[chain_facts.NAME], chain_facts.chain_settings(orders).program
    state = reading.word(chain_facts.PROGRAM_STATE)
    if chain_facts.is_kept(reading):
        return NotTaken("program_changed", chain_facts.NAME)
    if state is None:
        return "the program was not read"
    known, present = history.kept(chain_facts.NAME).get("program"), _program(reading)
    if present is None and state == chain_facts.EXECUTABLE:
        return _NOT_DEPLOYED
    if present is not None and known in (None, present):
        return None
    if present is None:
        value, limit, change = state, chain_facts.EXECUTABLE, f"it is {state}"
    elif known is not None and present["deployed"] != known["deployed"]:
        value, limit = str(present["deployed"]), str(known["deployed"])
        change = f"it was deployed again in slot {value}; the deployment that is known is of slot {limit}"
    else:
        value, limit = present["authority"] or "nobody", (known or {}).get("authority") or "nobody"
        change = f"{value} may deploy it now; before, {limit} could"
    summary = f"The program {address} is not what it was: {change}."
    evidence = {"program": address, "known": known, "found": present, "state": state}
    advice = (
        "Was it deployed on purpose? Then acknowledge this alert: what is there now is then the known one. "
        "If not, somebody else holds the key that may deploy it: stop publishing and claims."
    )
    return Finding("program_changed", chain_facts.NAME, "critical", value, limit, "", summary, evidence, advice)


@base.of_each(_wallets)
def wallet_low(address: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A wallet holds less than it must at least."""
    reading, least = observation.readings[chain_facts.NAME], _wallets(orders)[address]
    balance = reading.number(chain_facts.BALANCE, wallet=address)
    if chain_facts.is_kept(reading):
        return NotTaken("wallet_low", address)
    if balance is None:
        return "its balance was not read"
    if balance >= least:
        return None
    summary = f"The wallet {address} holds {balance:g} SOL; it must hold {least:g} at least."
    advice = "Fund it: without SOL nothing is published, and the publisher's transactions fail."
    return Finding("wallet_low", address, "warning", balance, least, "SOL", summary, {"wallet": address}, advice)


def _published_now(alert: Alert, at: base.RecoveryContext) -> str:
    return f"What is marked as published of {alert.subject} is on chain, as far as it was compared."


def _program_now(alert: Alert, at: base.RecoveryContext) -> str | None:
    known = at.history.kept(chain_facts.NAME).get("program")
    return None if known is None else f"The program is the known one, deployed in slot {known['deployed']}."


def _balance_now(alert: Alert, at: base.RecoveryContext) -> str | None:
    chain = at.report.of(chain_status.STATUS)
    wallet = None if chain is None else chain.wallets.get(alert.subject)
    if wallet is None or wallet.sol is None:
        return None
    return f"The wallet {alert.subject} holds {wallet.sol:g} SOL."


_WARNING: Final[Severity] = "warning"
CHAIN_UNREACHABLE = unreachable(
    "chain_unreachable",
    chain_facts.NAME,
    "The chain",
    blocks=lambda _: "what is published there",
    response=chain_status.response,
    severity=_WARNING,
    runbook=("monitord config", "monitord logs --no-follow -n 50", "monitord check"),
    impact=base.Impact("what is on chain is not known", (base.NONE, base.NONE, "not known while it lasts")),
)
_rule = partial(base.Rule, probe=chain_facts.NAME, criterion=_ON_CHAIN)
CHAIN_BEHIND = _rule(
    severities=("warning", "critical"),
    evaluate=chain_behind,
    runbook=("{pm2} logs --lines 50 --nostream", "{pm2} status", "monitord check --explain"),
    impact=base.Impact(
        "what is marked as published cannot be claimed",
        (base.NONE, base.NONE, "claims of the newest epochs are refused"),
    ),
    recovered=_published_now,
)
CHAIN_ROOT_DIFFERS = _rule(
    severities=("critical",),
    evaluate=chain_root_differs,
    runbook=("monitord verify --group {name} --since 24h", "{pm2} logs --lines 50 --nostream", "monitord check"),
    impact=base.Impact("proofs lead to another root than is published", (base.NONE, base.NONE, "claims are refused")),
    recovered=_published_now,
)
PROGRAM_CHANGED = _rule(
    severities=("critical",),
    evaluate=program_changed,
    adopt=_adopted,
    runbook=("monitord config", "monitord check --explain", "monitord alerts"),
    impact=base.Impact("claims are decided by another program", (base.NONE, base.NONE, "decided by another program")),
    recovered=_program_now,
)
WALLET_LOW = _rule(
    evaluate=wallet_low,
    runbook=("solana balance {name}", "{pm2} logs --lines 50 --nostream", "monitord check"),
    impact=base.Impact(
        "nothing can be published once it is empty", (base.NONE, base.NONE, "new epochs cannot be claimed")
    ),
    recovered=_balance_now,
)
UNMEASURED = unmeasured(
    chain_facts.NAME,
    "the chain",
    "Is the address right? MONITORD_CHAIN__ACCOUNTS and MONITORD_CHAIN__MINTS say where accounts are.",
    is_fresh=lambda reading, _: not chain_facts.is_kept(reading),
)


_WHY: Final[Mapping[chain_facts.Known, str]] = {
    "OK": "",
    "SUPERSEDED": "a newer label has taken its place, and it can no longer be claimed",
    "BEHIND": "the newest label of its account is older",
    "DIFFERENT": "its account has another root for this label",
    "MISSING": "there is no account of its channel",
    "UNKNOWN": "its account was not read",
}


def _holds(history: History, orders: StandingOrders, channel: str, epoch: int, root: str) -> base.RootOnChain:
    """Whether a root can be claimed on chain; what a newer label has taken the place of cannot."""
    found = chain_facts.standing(history, orders, channel, epoch, root)
    why, is_known = _WHY[found.state], found.state != "UNKNOWN"
    age = None if found.at is None or history.at is None else history.at - found.at
    if age is not None and age >= _AGED_SECONDS:
        read = f"its account was read {humanize.duration(age)} ago"
        why = "; ".join(filter(None, (why, read))) if is_known else f"{read}, which is too long"
    return base.RootOnChain(found.state == "OK" if is_known else None, why)


def _untold(history: History, orders: StandingOrders, now: float) -> tuple[str, ...]:
    reading = base.asked(chain_facts.NAME, history, orders)
    return (chain_facts.NAME,) if reading is not None and reading.number(chain_facts.SLOT) is None else ()


def _funded(history: History, orders: StandingOrders) -> Prepared:
    reading = history.reading(chain_facts.NAME) or Reading(chain_facts.NAME)
    found = [
        (address, reading.number(chain_facts.BALANCE, wallet=address), least)
        for address, least in _wallets(orders).items()
    ]
    return Prepared(
        all_done(None if sol is None else sol >= least for _, sol, least in found),
        tuple(
            f"{address}: {humanize.worded(lambda sol: f'{sol:g} SOL', sol)}, at least {least:g}."
            for address, sol, least in found
        ),
    )


def _deployed(history: History, orders: StandingOrders) -> Prepared:
    reading = history.reading(chain_facts.NAME) or Reading(chain_facts.NAME)
    state, known, present = (
        reading.word(chain_facts.PROGRAM_STATE),
        history.kept(chain_facts.NAME).get("program"),
        _program(reading),
    )
    address = chain_facts.chain_settings(orders).program
    if state is None:
        return Prepared(None, (f"{address} was not read.",))
    if present is None and state == chain_facts.EXECUTABLE:
        return Prepared(None, (f"{address} is {state}; {_NOT_DEPLOYED}.",))
    if present is None:
        return Prepared(False, (f"{address} is {state}.",))
    slot = humanize.count(present["deployed"])
    if known not in (None, present):
        return Prepared(
            False, (f"{address} is executable; its deployment in slot {slot} is not the one that is known.",)
        )
    return Prepared(True, (f"{address} is executable, deployed in slot {slot}.",))


CHAIN = base.Subject(
    chain_facts.NAME,
    "the chain",
    server=chain_facts.NAME,
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
    settings=chain_facts.ChainSettings,
    needs="rpc_urls",
)
