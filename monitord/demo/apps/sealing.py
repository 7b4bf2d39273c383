"""What the fleet makes of an epoch: who took part in which channel, the root over them, and that root on chain."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from monitord.chain.rpc import RpcNode
from monitord.core import merkle
from monitord.core.channel_account import streamer_key
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.demo.apps.audience import GROUPS, category, keccak256, viewers
from monitord.demo.apps.service import DemoService

CATCH_UP_EPOCHS = 24
# The queue of the trees to build: a job has the `epoch`, `channel` and `group` of a seal.
TREES = "bull:tree-builder:"


class Participant(NamedTuple):
    epoch: int
    channel: str
    idx: int
    user_hash: str
    username: str | None
    token_group: str
    category: str


class NewSeal(NamedTuple):
    """The seal of one channel for one epoch: the root in hex, and the participants in sealed order."""

    channel: str
    root: str
    participants: list[Participant]


PARTICIPATION = """
    INSERT INTO channel_participation (epoch, channel, user_hash, first_seen, token_group, category)
    SELECT s.epoch, s.channel, s.user_hash, min(s."timestamp"), $3, c.category
    FROM user_signals s JOIN unnest($2::text[], $4::text[]) AS c(channel, category) USING (channel)
    WHERE s.epoch = ANY($1::bigint[]) AND s.channel = ANY($2::text[])
    GROUP BY s.epoch, s.channel, s.user_hash, c.category
    ON CONFLICT DO NOTHING
"""
"""Derives who took part from the signals: $1 epochs, $2 channels, $3 their group, $4 their categories."""


def leaves(participants: Iterable[tuple[str, str, int]]) -> list[bytes]:
    """The leaves over (user hash in hex, channel, epoch), in the order given."""
    return [merkle.leaf(bytes.fromhex(user), channel, epoch, keccak256) for user, channel, epoch in participants]


def seal(epoch: int, channel: str, token_group: str, user_hashes: Iterable[str]) -> NewSeal:
    """The seal of one channel; the hashes in the order of their indices. ValueError where nobody took part."""
    names = viewers(channel)
    kind = category(channel)
    participants = [
        Participant(epoch, channel, idx, user, names.get(user), token_group, kind)
        for idx, user in enumerate(user_hashes)
    ]
    root = merkle.root(leaves((row.user_hash, channel, epoch) for row in participants), keccak256)
    return NewSeal(channel, root.hex(), participants)


def labels_due(now: float, epoch_seconds: int, settle_seconds: float, count: int = 24) -> list[int]:
    """The newest labels whose epoch was over `settle_seconds` ago, oldest first."""
    newest = int((now - settle_seconds) // epoch_seconds - 1) * epoch_seconds
    return [newest - age * epoch_seconds for age in reversed(range(count))]


class Aggregator:
    def __init__(self, service: DemoService, token_group: str) -> None:
        self._service = service
        self._group = token_group
        self._channels = list(GROUPS[token_group])
        self._categories = [category(channel) for channel in self._channels]

    async def turn(self) -> None:
        """Derive the epochs since the newest one derived, that one and its forerunner included."""
        postgres = await self._service.postgres()
        length = self._service.epoch_seconds
        current = int(time.time()) // length * length
        newest = await postgres.fetchval(
            "SELECT max(epoch) FROM channel_participation WHERE token_group = $1 AND epoch >= $2",
            self._group,
            current - CATCH_UP_EPOCHS * length,
        )
        first = current - length if newest is None else newest - length
        epochs = list(range(first, current + 1, length))
        await postgres.execute(PARTICIPATION, epochs, self._channels, self._group, self._categories)


async def publish(url: str, token_group: str, channel: str, epoch: int, root: str) -> None:
    """Put a root into a channel's account. NodeError: the chain did not take it."""
    own = ChainSettings()
    key = streamer_key(channel, keccak256).hex()
    node = RpcNode(url, pace=0.0)
    await node.ask("publishRoot", [own.program, own.tokens[token_group], key, epoch, root])
