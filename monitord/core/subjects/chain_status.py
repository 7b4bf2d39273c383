"""How the chain stands: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitord.core import humanize
from monitord.core.blocks import Block, FactTable, Grid, Style
from monitord.core.channel_account import State
from monitord.core.history.model import History
from monitord.core.humanize import NOTHING, worded
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import base, chain_facts

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus

_STYLES: Final[Mapping[State, Style]] = {
    "OK": "ok",
    "SUPERSEDED": "ok",
    "BEHIND": "warning",
    "MISSING": "warning",
    "DIFFERENT": "critical",
}


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One address that the chain is asked at; `trouble`: why it is not believed."""

    slot: int | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """The program, and the slot of its last deployment, now and as it was known."""

    address: str
    executable: bool | None
    deployed_slot: int | None
    known_slot: int | None
    authority: str | None


@dataclass(frozen=True, slots=True)
class WalletStatus:
    """A wallet's balance, and how much it must hold at least."""

    sol: float | None
    least: float


@dataclass(frozen=True, slots=True)
class PublishedStatus:
    """The newest label of a channel that is marked as published, and how it stands on chain."""

    group: str
    channel: str
    state: State
    published: int
    latest: int | None
    account: str


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """The chain, as the node that is believed tells it. `uncompared`: why nothing is held against it."""

    slot: int | None
    node: str | None
    latency_ms: float | None
    age_seconds: float | None
    nodes: Mapping[str, NodeStatus]
    program: ProgramStatus
    supply: Mapping[str, float | None]
    wallets: Mapping[str, WalletStatus]
    channels: Mapping[str, PublishedStatus]
    uncompared: str | None


def _status(history: History, orders: StandingOrders, now: float) -> ChainStatus | None:
    if chain_facts.NAME not in orders.probes:
        return None
    reading = base.asked(chain_facts.NAME, history, orders) or Reading(chain_facts.NAME)
    own = chain_facts.chain_settings(orders)
    state, kept = reading.word(chain_facts.PROGRAM_STATE), reading.number(chain_facts.KEPT)
    at = kept if kept is not None else history.taken_at.get(chain_facts.NAME)
    known = history.kept(chain_facts.NAME).get("program")
    return ChainStatus(
        slot=base.whole(reading.number(chain_facts.SLOT)),
        node=reading.word(chain_facts.BY),
        latency_ms=reading.number(chain_facts.LATENCY),
        age_seconds=None if at is None or reading.number(chain_facts.SLOT) is None else round(max(0.0, now - at), 3),
        nodes={
            one.label("node"): NodeStatus(
                base.whole(one.value if isinstance(one.value, int | float) else None),
                reading.word(chain_facts.TROUBLE, node=one.label("node")),
            )
            for one in reading.named(chain_facts.NODE)
        },
        program=ProgramStatus(
            own.program,
            None if state is None else state == chain_facts.EXECUTABLE,
            base.whole(reading.number(chain_facts.DEPLOYED)),
            None if known is None else known["deployed"],
            reading.word(chain_facts.AUTHORITY),
        ),
        supply={group: reading.number(chain_facts.SUPPLY, group=group) for group in own.tokens},
        wallets={
            address: WalletStatus(reading.number(chain_facts.BALANCE, wallet=address), least)
            for address, least in own.wallets.items()
        },
        channels={
            one.name: PublishedStatus(one.group, one.channel, one.state, one.published, one.latest, one.account)
            for one in chain_facts.published(reading)
        },
        uncompared=chain_facts.uncompared(reading),
    )


STATUS: Final[base.StatusSection[ChainStatus | None]] = base.StatusSection(
    chain_facts.NAME, ChainStatus | None, _status
)


METRICS: Final[tuple[base.MetricGroup[Any], ...]] = (
    base.metric_group(
        ChainStatus,
        base.where_watched(STATUS, lambda chain: {"": chain}),
        ("chain_slot", "The slot that the chain has come to.", "slot"),
        ("chain_latency_seconds", "How long the nodes took to tell their health.", "latency_ms", base.seconds),
        base.MetricFamily(
            "chain_program_deployed_slot",
            "The slot of the program's last deployment.",
            lambda chain: chain.program.deployed_slot,
        ),
    ),
    base.MetricGroup[float | None](
        base.where_watched(STATUS, lambda chain: chain.supply),
        (base.MetricFamily("chain_token_supply", "How much there is of a group's token.", lambda supply: supply),),
        label="group",
    ),
    base.metric_group(
        NodeStatus,
        base.where_watched(STATUS, lambda chain: chain.nodes),
        base.MetricFamily(
            "chain_node_ok", "Whether a node of the chain is believed.", lambda node: float(node.trouble is None)
        ),
        label="node",
    ),
    base.metric_group(
        WalletStatus,
        base.where_watched(STATUS, lambda chain: chain.wallets),
        base.MetricFamily("chain_wallet_sol", "How many SOL a wallet holds.", lambda wallet: wallet.sol),
        label="wallet",
    ),
    base.metric_group(
        PublishedStatus,
        base.where_watched(STATUS, lambda chain: chain.channels),
        base.MetricFamily(
            "chain_published_ok",
            "Whether the newest label of a channel that is marked as published is on chain, or a newer one.",
            lambda one: float(_STYLES[one.state] == "ok"),
        ),
        label="channel",
    ),
)


def response(report: FleetStatus) -> float | None:
    """How long the nodes took, in ms; None where it is not known."""
    found = report.of(STATUS)
    return None if found is None else found.latency_ms


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    if (chain := report.of(STATUS)) is None:
        return
    yield base.PerfDatum("chain_slot", chain.slot, minimum="0")
    for address, wallet in chain.wallets.items():
        yield base.PerfDatum(f"{address} sol", wallet.sol, limits=f"{wallet.least:g}:;", minimum="0")
    wrong = sum(_STYLES[one.state] != "ok" for one in chain.channels.values())
    yield base.PerfDatum(
        "chain_not_as_published", None if chain.uncompared or chain.slot is None else wrong, minimum="0"
    )


def section(context: base.SectionContext) -> Iterator[Block]:
    if (chain := context.report.of(STATUS)) is None:
        return
    rows = tuple(
        (
            _STYLES[one.state],
            (name, one.state, _label(one.published), NOTHING if one.latest is None else _label(one.latest)),
        )
        for name, one in chain.channels.items()
    )
    if rows:
        header = ("Channel", "State", "Published", "On chain")
        yield Grid("The newest label of a channel that is marked as published, and its account", header, rows)
    nodes: tuple[tuple[Style, tuple[str, str, str]], ...] = tuple(
        ("ok" if node.trouble is None else "warning", (name, worded(humanize.count, node.slot), node.trouble or ""))
        for name, node in chain.nodes.items()
    )
    if len(nodes) > 1 or any(node.trouble for node in chain.nodes.values()):
        yield Grid("The addresses it is asked at", ("Node", "Slot", "Not believed as"), nodes, frozenset({1}), (2,))
    facts = [
        ("Slot", worded(humanize.count, chain.slot) + (f", by {chain.node}" if chain.node else "")),
        ("Asked", worded(lambda age: f"{humanize.duration(age)} ago", chain.age_seconds)),
        ("Program", _program(chain.program)),
        *((f"{group} supply", worded(humanize.count, supply)) for group, supply in chain.supply.items()),
        *(
            (f"Wallet {address}", f"{worded('{:g} SOL'.format, wallet.sol)}, at least {wallet.least:g}")
            for address, wallet in chain.wallets.items()
        ),
    ]
    if chain.uncompared:
        facts.append(("Not compared", chain.uncompared))
    yield FactTable(tuple(facts))


def _program(program: ProgramStatus) -> str:
    if program.executable is None:
        return "unknown"
    state = "executable" if program.executable else "not executable"
    return f"{state}, deployed in slot {worded(humanize.count, program.deployed_slot)}"


def _label(epoch: int) -> str:
    return humanize.label(epoch) if epoch else NOTHING
