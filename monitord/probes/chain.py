"""Asks Solana's chain what is published there, and holds it beside what the database says is published."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitord.chain.channels import ChannelPlace, OtherAccountError, placed
from monitord.chain.nodes import Answer, Nodes, Told
from monitord.chain.rpc import REQUEST_SECONDS, Account, NodeError, RpcNode
from monitord.core.channel_account import LONGEST, ChannelAccount
from monitord.core.model import Reading, Sample, Unmeasured, sample
from monitord.core.orders import StandingOrders
from monitord.core.solana import LOADER, TOKENS, decode, derived, encode
from monitord.core.subjects import chain_facts as facts
from monitord.core.subjects.chain_facts import NAME, ChainSettings
from monitord.failures import FailureError
from monitord.keccak import load_keccak256
from monitord.probes.base import Measured, Request

if TYPE_CHECKING:
    from monitord.postgres.participation import Published
    from monitord.postgres.session import Session

# All that is asked at one time: at a request a second it takes a few seconds, and longer where nodes fail.
ROUND_SECONDS: Final = 90.0
_SHARE: Final = 0.9  # of the reading's deadline: what takes longer is told with a later one
_DATABASE_SHARE: Final = 0.5
_CLOSE_SECONDS: Final = 2.0
# What is due this much later is asked now, since a cycle does not begin at the very moment.
_EARLY_SECONDS, _EARLY_SHARE = 1.0, 0.1
# What was marked as published less than this share of an epoch ago may still be on its way to the node; at most.
_SETTLE_SHARE, _SETTLE_SECONDS = 1 / 30, 120.0
_LABELS: Final = 25
# Of a group, so many channels that were wrong the last time are asked about again: they come in the same answer.
_MOST_AGAIN: Final = 20
_PROGRAM_DATA: Final = 45  # bytes: what it is, the slot of the last deployment, and who may deploy
# Of each account so many bytes are asked for: the deployment's own holds the whole program. One more than any channel's
# account has, so that a longer one is seen to be none.
_MOST_BYTES: Final = LONGEST + 1
_SOL: Final = 1_000_000_000
_WRONG: Final = ("BEHIND", "DIFFERENT", "MISSING")


@dataclass(frozen=True, slots=True)
class _Channel:
    """A channel whose account is to be read, and where that is; `published` None: only what it has is of interest."""

    group: str
    channel: str
    place: ChannelPlace
    published: Published | None = None

    @property
    def name(self) -> str:
        return f"{self.group}/{self.channel}"

    @property
    def labels(self) -> dict[str, str]:
        return {"group": self.group, "channel": self.channel}


@dataclass(slots=True)
class _Found:
    accounts: dict[str, Account | None]
    deployed: Account | None = None
    channels: dict[str, ChannelAccount | None] = field(default_factory=dict)
    doubts: list[tuple[str, str]] = field(default_factory=list)


class ChainProbe:
    """Asks in a task of its own, every so often: a reading in between tells what was found last."""

    name = NAME

    def __init__(
        self,
        settings: ChainSettings,
        orders: StandingOrders,
        session: Session | None,
        timeout: float = REQUEST_SECONDS,
        also: Sequence[str] = (),
        pace: float = 1.0,
    ) -> None:
        """A probe that has not asked yet.

        `session` is where it is asked what is published (None: nowhere); somebody else closes it. `timeout` bounds one
        request, `pace` is the least seconds between two to one address. `also` are channels whose accounts are always
        read.
        """
        self._settings = settings
        self._session = session
        self._nodes = Nodes(settings.rpc_urls, pace=pace, timeout=min(timeout, REQUEST_SECONDS))
        self._length = orders.epoch_length.total_seconds()
        self._also = tuple(dict.fromkeys(also))
        where, _ = derived((decode(settings.program),), decode(LOADER))
        self._program_data = encode(where)
        self._task: asyncio.Task[Measured] | None = None
        self._began: float | None = None
        self._last: tuple[Measured, float] | None = None
        self._wrong: set[str] = set()
        self._turn = 0

    async def measure(self, request: Request) -> Measured:
        """Begin what is due, and wait as long as this reading may take. FailureError: no node's answer is of use."""
        loop = asyncio.get_running_loop()
        if self._task is None and self._is_due(request, loop.time()):
            self._began = loop.time()
            self._task = loop.create_task(self._round(request), name="chain")
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=request.timeout * _SHARE)
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            self._last = None
            measured = task.result()
            self._last = measured, request.now
            self._wrong = {one.name for one in facts.published(Reading(NAME, measured.samples)) if one.state in _WRONG}
            return measured
        if self._last is None:
            # No alert yet, and unknown until it has: that it does not answer at all the round itself says.
            gap = Unmeasured(NAME, "timeout", "the chain has not answered yet")
            return Measured((sample(facts.KEPT, request.now, "timestamp"),), (gap,))
        last, at = self._last
        return Measured((*last.samples, sample(facts.KEPT, at, "timestamp")), last.gaps)

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(Exception):
                await asyncio.wait((task,), timeout=_CLOSE_SECONDS)

    def _is_due(self, request: Request, now: float) -> bool:
        if self._last is None or self._began is None or request.awaited & self._members():
            return True
        every = self._settings.every.total_seconds()
        return request.whole and now - self._began >= every - min(_EARLY_SECONDS, every * _EARLY_SHARE)

    def _members(self) -> frozenset[str]:
        return frozenset((NAME, *self._settings.tokens, *self._settings.wallets))

    async def _round(self, request: Request) -> Measured:
        """All that is due, in two requests a node: while the nodes say how they are, so does the database."""
        comparing = asyncio.ensure_future(self._to_compare(request))
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                return await self._asked(comparing)
        except TimeoutError:
            raise FailureError("timeout", f"the chain did not answer within {ROUND_SECONDS:g} s") from None
        finally:
            comparing.cancel()
            await asyncio.wait((comparing,), timeout=_CLOSE_SECONDS)

    async def _asked(self, comparing: asyncio.Future[tuple[list[_Channel], str | None]]) -> Measured:
        async def question(node: RpcNode) -> Told[_Found]:
            channels, _ = await asyncio.shield(comparing)
            return await self._ask(node, channels)

        found, answer = await self._nodes.ask(question)
        channels, why = await comparing
        gaps = tuple(Unmeasured(subject, "missing", error, alone=True) for subject, error in found.doubts if subject)
        return Measured((*self._of_nodes(answer), *self._of(found), *self._compared(channels, found, why)), gaps)

    async def _to_compare(self, request: Request) -> tuple[list[_Channel], str | None]:
        """The channels whose accounts are to be read, and why none of them is compared, where none is."""
        try:
            keccak256 = load_keccak256()
        except FailureError as error:
            return [], error.error
        found, why = await self._published(request)
        chosen = {
            (one.group, one.channel): one for group in self._settings.tokens for one in self._chosen(group, found)
        }
        self._turn += bool(found)
        wanted = dict.fromkeys((*chosen, *((group, name) for group in self._settings.tokens for name in self._also)))
        return [_Channel(*place, placed(self._settings, *place, keccak256), chosen.get(place)) for place in wanted], why

    async def _published(self, request: Request) -> tuple[Sequence[Published], str | None]:
        if self._session is None:
            return [], "Postgres is not watched, and so nothing is known of what is published"
        from monitord.postgres.errors import PostgresError
        from monitord.postgres.participation import published

        now = request.now + request.database_ahead
        settle = min(_SETTLE_SECONDS, self._length * _SETTLE_SHARE)
        try:
            async with self._session.read_only(request.timeout * _DATABASE_SHARE) as connection:
                first = int(now - _LABELS * self._length)
                found = await published(connection, tuple(self._settings.tokens), first, int(now), now - settle)
        except PostgresError as error:
            return [], f"the database does not say what is published: {error.error}"
        except FailureError as error:
            return [], error.error
        return found, None if found else f"nothing was marked as published in the last {_LABELS} labels"

    def _chosen(self, group: str, found: Sequence[Published]) -> list[Published]:
        """Those of a group that were wrong the last time, those that are always compared, and the next in turn."""
        of_group = sorted((one for one in found if one.group == group), key=lambda one: one.channel)
        most = self._settings.channels
        wrong = [one for one in of_group if f"{group}/{one.channel}" in self._wrong][:_MOST_AGAIN]
        named = {*self._also, *self._settings.accounts}
        always = [one for one in of_group if not {one.channel, f"{group}/{one.channel}"}.isdisjoint(named)]
        at = self._turn * most % len(of_group) if of_group else 0
        in_turn = (of_group[at:] + of_group[:at])[:most]
        return list(dict.fromkeys((*wrong, *always, *in_turn)))

    async def _ask(self, node: RpcNode, channels: Sequence[_Channel]) -> Told[_Found]:
        """All that is asked of one node, what matters most first. NodeError: what it says cannot be true."""
        own = self._settings
        wanted = [own.program, self._program_data, *own.tokens.values(), *own.wallets]
        places = [channel.place for channel in channels]
        wanted += [*(place.address for place in places), *(place.other for place in places if place.other)]
        slot, accounts = await node.accounts(wanted, _MOST_BYTES)
        found = _Found(accounts)
        self._see_program(node, found)
        if (program := accounts[own.program]) is not None and program.owner == LOADER:
            found.deployed = self._see_program_data(node, accounts[self._program_data], found)
        for group, mint in own.tokens.items():
            self._see_mint(node, group, accounts[mint], found)
        for channel in channels:
            found.channels[channel.name] = self._see_channel(node, channel, accounts[channel.place.address], found)
        return Told(found, slot, found.doubts[0][1] if found.doubts else "")

    def _see_program(self, node: RpcNode, found: _Found) -> None:
        program = found.accounts[self._settings.program]
        if program is None:
            found.doubts.append(("", "there is no such program"))
        elif program.owner != LOADER:
            found.doubts.append(("", "the program is not one that can be deployed again"))
        elif program.data != (2).to_bytes(4, "little") + decode(self._program_data):
            raise NodeError("protocol", f"{node.place} gives another account than the program's")
        elif not program.executable:
            found.doubts.append(("", "the program is not executable"))

    def _see_program_data(self, node: RpcNode, data: Account | None, found: _Found) -> Account | None:
        if data is None:
            found.doubts.append(("", "the program was closed"))
        elif data.owner != LOADER or len(data.data) < _PROGRAM_DATA or data.data[:4] != (3).to_bytes(4, "little"):
            raise NodeError("protocol", f"{node.place} gives another account than the one of the program's deployment")
        return data

    def _see_mint(self, node: RpcNode, group: str, mint: Account | None, found: _Found) -> None:
        if mint is None:
            found.doubts.append((group, f"there is no such mint as that of {group}"))
        elif mint.owner not in TOKENS or len(mint.data) < 82:
            raise NodeError("protocol", f"{node.place} gives another account than the mint of {group}")

    def _see_channel(
        self, node: RpcNode, channel: _Channel, account: Account | None, found: _Found
    ) -> ChannelAccount | None:
        try:
            return channel.place.account(account)
        except OtherAccountError:
            if channel.place.streamer is not None:
                raise NodeError("protocol", f"{node.place} gives another account than that of {channel.name}") from None
        found.doubts.append((channel.name, f"the account that is set for {channel.name} is no channel's of this mint"))
        return None

    def _of_nodes(self, answer: Answer) -> Iterator[Sample]:
        yield sample(facts.SLOT, answer.slot)
        yield sample(facts.BY, answer.by, "")
        yield sample(facts.LATENCY, answer.health_ms, "ms")
        for node in answer.nodes:
            yield sample(facts.NODE, node.slot, node=node.place)
            if node.trouble:
                yield sample(facts.TROUBLE, node.trouble, "", node=node.place)

    def _of(self, found: _Found) -> Iterator[Sample]:
        own = self._settings
        program = found.accounts[own.program]
        state = "missing" if program is None else facts.EXECUTABLE if program.executable else "not executable"
        if program is not None and found.deployed is None:
            state = "closed" if program.owner == LOADER else "not one that can be deployed again"
        yield sample(facts.PROGRAM_STATE, state, "")
        if found.deployed is not None:
            data = found.deployed.data
            yield sample(facts.DEPLOYED, int.from_bytes(data[4:12], "little"))
            yield sample(facts.AUTHORITY, encode(data[13:45]) if data[12] else "", "")
        for group, mint in own.tokens.items():
            account = found.accounts[mint]
            supply = None
            if account is not None:
                supply = int.from_bytes(account.data[36:44], "little") / 10 ** account.data[44]
            yield sample(facts.SUPPLY, supply, group=group)
        for address in own.wallets:
            wallet = found.accounts[address]
            yield sample(facts.BALANCE, 0.0 if wallet is None else wallet.lamports / _SOL, "SOL", wallet=address)

    def _compared(self, channels: Sequence[_Channel], found: _Found, why: str | None) -> Iterator[Sample]:
        if why is not None:
            yield sample(facts.UNCOMPARED, why, "")
        doubted = {name for name, _ in found.doubts}
        for channel in channels:
            if channel.name in doubted:
                continue
            labels, account = channel.labels, found.channels[channel.name]
            yield sample(facts.ACCOUNT, channel.place.address, "", **labels)
            if account is not None:
                yield sample(facts.LATEST, account.latest, "timestamp", **labels)
                for epoch, root in account.ring.items():
                    yield sample(facts.RING, root, "", epoch=str(epoch), **labels)
            if channel.published is None:
                continue
            yield sample(facts.PUBLISHED, channel.published.epoch, "timestamp", **labels)
            yield sample(facts.ROOT, channel.published.root, "", **labels)
            if account is None and channel.place.other and found.accounts[channel.place.other] is not None:
                yield sample(facts.ELSEWHERE, 1, **labels)
