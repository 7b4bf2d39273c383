"""What the fleet writes when an epoch is over: who took part in which channel, and the root over them."""

from collections.abc import Iterable
from typing import NamedTuple

from monitord.core import merkle
from monitord.demo.apps.audience import category, keccak256, viewers


class Participant(NamedTuple):
    """One row of sealed_participants, in the order of its columns."""

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
    """Seal one channel.

    Args:
        epoch: The label, in seconds since 1970.
        channel: The channel.
        token_group: Its group.
        user_hashes: The participants' hashes, in the order of their indices.

    Raises:
        ValueError: Nobody took part.
    """
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
