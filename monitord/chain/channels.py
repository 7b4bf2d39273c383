"""Where a channel's account is, and whether what a node gives for it is that account."""

from __future__ import annotations

from dataclasses import dataclass

from monitord.chain.nodes import Nodes, Told
from monitord.chain.rpc import Account, NodeError, RpcNode
from monitord.core.channel_account import ChannelAccount, channel_address, read, streamer_key
from monitord.core.merkle import Hash
from monitord.core.solana import SYSTEM, decode, encode
from monitord.core.subjects.chain_facts import ChainSettings


class OtherAccountError(ValueError):
    """An account is there, and it is not the one of this channel."""


@dataclass(frozen=True, slots=True)
class ChannelPlace:
    """Where a channel's account is; `other` where the gateway's claims look for it, `streamer` its key on chain.

    Of one whose address is set, and not derived, the last two are not known.
    """

    program: str
    mint: str
    address: str
    other: str = ""
    streamer: bytes | None = None

    def account(self, account: Account | None) -> ChannelAccount | None:
        """What stands in the account; None where there is none. OtherAccountError: it is another's."""
        # Whoever sends SOL to an address makes an account of it that is the system's, and empty.
        if account is None or (account.owner == SYSTEM and not account.data):
            return None
        try:
            seen = read(account.data) if account.owner == self.program else None
        except ValueError:
            seen = None
        if seen is None or seen.mint != decode(self.mint) or self.streamer not in (None, seen.streamer):
            raise OtherAccountError(self.address)
        return seen


def placed(settings: ChainSettings, group: str, channel: str, keccak256: Hash) -> ChannelPlace:
    """Where the account of a channel is, for the token of one of the groups that a mint is set for."""
    mint = settings.tokens[group]
    given = settings.accounts.get(f"{group}/{channel}", settings.accounts.get(channel))
    if given is not None:
        return ChannelPlace(settings.program, mint, given)
    streamer = streamer_key(channel, keccak256)
    address, _ = channel_address(settings.program, mint, streamer)
    other, _ = channel_address(settings.program, mint, streamer_key(channel, keccak256, "twitch:"))
    return ChannelPlace(settings.program, mint, encode(address), encode(other), streamer)


async def account_of(nodes: Nodes, place: ChannelPlace) -> ChannelAccount | None:
    """The account as the first node that may be believed gives it; None where there is none. NodeError: none does."""

    async def question(node: RpcNode) -> Told[ChannelAccount | None]:
        slot, found = await node.accounts([place.address])
        try:
            return Told(place.account(found[place.address]), slot)
        except OtherAccountError:
            raise NodeError("protocol", f"{node.place} gives another account than the channel's") from None

    return (await nodes.ask(question))[0]
