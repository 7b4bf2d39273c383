"""What is set of the chain, and what a reading of it says: of its nodes, the program, and what is published there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from monitord.core.channel_account import State, compared
from monitord.core.history.model import History
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.solana import decode
from monitord.core.subjects.base import own_settings, setting

NAME: Final = "chain"
# Names of samples.
SLOT, BY, LATENCY, NODE, TROUBLE = "chain_slot", "chain_by", "chain_latency", "chain_node", "chain_trouble"
DEPLOYED, AUTHORITY, PROGRAM_STATE = "chain_deployed", "chain_authority", "chain_program"
SUPPLY, BALANCE = "chain_supply", "chain_balance"
PUBLISHED, ROOT, ACCOUNT, LATEST = "chain_published", "chain_root", "chain_account", "chain_latest"
RING, ELSEWHERE, UNCOMPARED, KEPT = "chain_ring", "chain_elsewhere", "chain_uncompared", "chain_kept"
EXECUTABLE: Final = "executable"

_URL: Final = re.compile(
    r"https?://(?:[^@/?#\s]*@)?(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.IGNORECASE
)
_MOST_CHANNELS: Final = 100
# Of the roots in an account that is kept, so many hex digits.
_KEPT_DIGITS: Final = 16
# The mints of the orders' own groups.
_MINTS: Final[Mapping[str, str]] = {
    "MILO": "AAHd7u22jCMgmbF7ATkiY3BhkifD4MN3Vbsy4eYQGWN5",
    "CLS": "FZnUPK6eRWSQFEini3Go11JmVEqRNAQZgDP7q1DhyaKo",
}

Known = State | Literal["UNKNOWN"]
# Of the accounts of several groups, the state that says most of a seal that is one group's.
_TELLING: Final[tuple[State, ...]] = ("OK", "DIFFERENT", "SUPERSEDED", "BEHIND", "MISSING")


def _urls(urls: tuple[str, ...]) -> None:
    if not all(_URL.fullmatch(url) for url in urls):
        raise ValueError("it holds something that is no address of HTTP; write https://host")


def _addresses(of: Mapping[str, str]) -> None:
    for address in of.values():
        decode(address)


def _wallets(least: Mapping[str, float]) -> None:
    for address in least:
        decode(address)


def _channels(number: int) -> None:
    if not 0 <= number <= _MOST_CHANNELS:
        raise ValueError(f"it must be from 0 to {_MOST_CHANNELS}")


def _every(every: timedelta) -> None:
    if every <= timedelta(0):
        raise ValueError("it must be longer than nothing")


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The chain on which roots are published, and what is compared there."""

    rpc_urls: tuple[str, ...] = setting(
        (),
        "Addresses of Solana's JSON-RPC, in order of preference; nothing else is asked over the network for this. "
        "Not set: the chain is not watched, and nothing leaves the machine.",
        example='["https://api.mainnet-beta.solana.com"]',
        secret=True,
        check=_urls,
    )
    every: timedelta = setting(timedelta(minutes=5), "How often the chain is asked.", check=_every)
    program: str = setting(
        "GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop", "The program that roots are published to.", check=decode
    )
    mints: Mapping[str, str] | None = setting(
        None,
        "The mint of each group's token. Not set: the orders' own mints.",
        example='{"MILO": "AAHd7u22jCMgmbF7ATkiY3BhkifD4MN3Vbsy4eYQGWN5"}',
        check=_addresses,
    )
    channels: int = setting(
        3, "How many channels of each group are held against the chain each time, in turn.", check=_channels
    )
    accounts: Mapping[str, str] = setting(
        {},
        "Accounts of channels that are not where they are derived to be, by channel or GROUP/channel.",
        example='{"MILO/marlon": "GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop"}',
        check=_addresses,
    )
    wallets: Mapping[str, float] = setting(
        {},
        "Wallets, and how many SOL each must hold at least.",
        example='{"GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop": 0.5}',
        judged=True,
        check=_wallets,
    )

    @property
    def tokens(self) -> Mapping[str, str]:
        """The mint of each group's token, those of the orders' own groups where none are set."""
        return _MINTS if self.mints is None else self.mints


def chain_settings(orders: StandingOrders) -> ChainSettings:
    """The settings as judgement needs them: without the addresses, which are secret."""
    return own_settings(ChainSettings, NAME, orders)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is published of a channel, and what its account has (`latest` None: there is none); by Unix labels."""

    group: str
    channel: str
    published: int
    root: str
    account: str
    latest: int | None
    ring: Mapping[int, str]
    is_elsewhere: bool

    @property
    def name(self) -> str:
        return f"{self.group}/{self.channel}"

    @property
    def state(self) -> State:
        """How the newest label that is marked as published stands on chain."""
        return compared(self.published, self.root, self.latest, self.ring)


def published(reading: Reading) -> Iterator[ChannelFacts]:
    """The channels of which this reading holds what is published against the chain; one half told of is left out."""
    rings = _rings(reading)
    for one in reading.named(PUBLISHED):
        group, channel = one.label("group"), one.label("channel")
        of = {"group": group, "channel": channel}
        root, ring = reading.word(ROOT, **of), rings.get((group, channel), {})
        if not isinstance(one.value, int | float) or root is None or ring is None:
            continue
        yield ChannelFacts(
            group=group,
            channel=channel,
            published=int(one.value),
            root=root,
            account=reading.word(ACCOUNT, **of) or "",
            latest=_latest(reading, group, channel),
            ring=ring,
            is_elsewhere=reading.number(ELSEWHERE, **of) is not None,
        )


def _rings(reading: Reading) -> Mapping[tuple[str, str], Mapping[int, str] | None]:
    """The roots that are in each account, by group and channel; None where one of them is not told."""
    rings: dict[tuple[str, str], dict[int, str] | None] = {}
    for slot in reading.named(RING):
        place = slot.label("group"), slot.label("channel")
        ring = rings.setdefault(place, {})
        if not isinstance(slot.value, str):
            rings[place] = None
        elif ring is not None:
            ring[int(slot.label("epoch"))] = slot.value
    return rings


def _latest(reading: Reading, group: str, channel: str) -> int | None:
    latest = reading.number(LATEST, group=group, channel=channel)
    return None if latest is None else int(latest)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the account of a channel has (`latest` None: there is none), and when that was read (Unix seconds)."""

    group: str
    channel: str
    latest: int | None
    ring: Mapping[int, str]
    at: float | None

    def fields(self) -> dict[str, Any]:
        """It as JSON has it, without its names, and with so much of each root as tells it from others."""
        ring = {str(label): root[:_KEPT_DIGITS] for label, root in self.ring.items()}
        return {"latest": self.latest, "ring": ring, "at": self.at}

    def state(self, epoch: int, root: str) -> State:
        ring = {label: kept[:_KEPT_DIGITS] for label, kept in self.ring.items()}
        return compared(epoch, root[:_KEPT_DIGITS], self.latest, ring)


def accounts(reading: Reading, at: float | None) -> Iterator[AccountFacts]:
    rings = _rings(reading)
    for one in reading.named(ACCOUNT):
        group, channel = one.label("group"), one.label("channel")
        if (ring := rings.get((group, channel), {})) is not None:
            yield AccountFacts(group, channel, _latest(reading, group, channel), ring, at)


def kept_accounts(history: History) -> Iterator[AccountFacts]:
    """The accounts as they were last read, in whichever round that was."""
    for name, found in history.kept(NAME).get("accounts", {}).items():
        group, _, channel = name.partition("/")
        ring = {int(label): root for label, root in found["ring"].items()}
        yield AccountFacts(group, channel, found["latest"], ring, found["at"])


def is_kept(reading: Reading) -> bool:
    """Whether a reading tells what an earlier one found, and the chain was not asked again."""
    return reading.number(KEPT) is not None


def uncompared(reading: Reading) -> str | None:
    """Why nothing is held against the chain (None: it is)."""
    return reading.word(UNCOMPARED)


def remembered(history: History) -> Mapping[str, Mapping[str, Any]]:
    """The channels that were found not to be on chain as published, by GROUP/channel, until they are found well."""
    found: Mapping[str, Mapping[str, object]] = history.kept(NAME).get("channels", {})
    return found


@dataclass(frozen=True, slots=True)
class SealOnChain:
    """How a seal stands on chain, and when its account was read (Unix, None: not known); UNKNOWN: too long ago."""

    state: Known
    at: float | None = None


def standing(history: History, orders: StandingOrders, channel: str, epoch: int, root: str) -> SealOnChain:
    """How one seal stands on chain as far as is known: for whoever judges a seal by more than its being published.

    UNKNOWN: the account of its channel was not read for an epoch, in which a newer label may have been published; or
    the chain is not watched or was not reached. A label that was superseded stays so. `root` is 64 hex digits. Of an
    account of each group, one that has it is enough.
    """
    reading = history.readings.get(NAME)
    if reading is None or reading.failure is not None:
        return SealOnChain("UNKNOWN")
    round_at = reading.number(KEPT)
    found = {(one.group, one.channel): one for one in kept_accounts(history)}
    found |= {(o.group, o.channel): o for o in accounts(reading, round_at or history.taken_at.get(NAME))}
    of_channel = [one for one in found.values() if one.channel == channel]
    oldest = None if history.at is None else history.at - orders.epoch_length.total_seconds()
    answers: list[tuple[State, float | None]] = []
    for one in of_channel:
        state = one.state(epoch, root)
        is_recent = one.at is not None and oldest is not None and one.at >= oldest
        if is_recent or state == "SUPERSEDED":
            answers.append((state, one.at))
    best = min(answers, key=lambda one: _TELLING.index(one[0]), default=None)
    if best is not None and (best[0] == "OK" or len(answers) == len(of_channel)):
        return SealOnChain(*best)
    return SealOnChain("UNKNOWN", min((one.at for one in of_channel if one.at is not None), default=None))
