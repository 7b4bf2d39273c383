"""`monitord proof`: one participant's merkle proof from the participants that are kept, and whether it holds."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from monitord.cli import Subparsers, command, note
from monitord.cli.base import MISTAKE, answer, is_label, over_seals, run_once, seals_read
from monitord.config.loader import Settings
from monitord.core import humanize, merkle
from monitord.core.blocks import Style
from monitord.core.channel_account import compared
from monitord.core.merkle import Hash
from monitord.core.roots import plain
from monitord.core.subjects.chain_facts import NAME as CHAIN
from monitord.core.subjects.chain_facts import ChainSettings, Known
from monitord.failures import FailureError
from monitord.postgres import queries, seals
from monitord.postgres.participation import upper
from monitord.postgres.session import Session
from monitord.reporting.terminal import Terminal, clean

_DEADLINE_SECONDS: Final = 60.0
# Of more participants no tree is made in memory: 128 MB of nodes.
MOST_PARTICIPANTS: Final = 1 << 20
_ON_CHAIN: Final[Mapping[Known | None, str]] = {
    None: "not asked",
    "UNKNOWN": "unknown: it was not reached",
    "OK": "has the same root",
    "DIFFERENT": "has another root for this label",
    "BEHIND": "has not come to this label",
    "MISSING": "has no account of this channel",
    "SUPERSEDED": "has a newer label in its place: what is older can no longer be claimed",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """A participant's place in a seal and what leads from there to the root; hashes as bytes.

    `sealed` and `tree` say whether the stored root, and the one in the tree cache, is this root (None: there is none).
    `chain` says whether it is on chain (None: it was not asked, or has gone past this label), `state` in which word.
    """

    epoch: int
    channel: str
    index: int
    participants: int
    leaf: bytes
    siblings: tuple[bytes, ...]
    root: bytes
    sealed: bool
    tree: bool | None
    sealed_for: tuple[str, ...]
    chain: bool | None = None
    state: Known | None = None
    account: str | None = None

    @property
    def agrees(self) -> bool:
        return self.sealed and self.tree is not False and self.chain is not False


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "proof",
        run,
        "Prints the merkle proof of one participant of one seal, and whether its root is the stored one, "
        "the tree cache's and, where MONITORD_CHAIN__RPC_URLS is set, the one on chain. Exits 0 when all that is known "
        "agrees, 2 when not, 3 when there is no such participant or seal.",
        formats=("text", "json"),
    )
    parser.add_argument("--channel", required=True, metavar="C", help="the channel")
    parser.add_argument("--epoch", required=True, type=int, metavar="E", help="the label, in Unix seconds")
    parser.add_argument("--user-hash", required=True, metavar="H", help="the participant's hash, 64 hex digits")
    parser.add_argument("--group", metavar="G", help="which seal, where a channel is sealed for several groups")


def run(arguments: argparse.Namespace) -> int:
    user = plain(arguments.user_hash)
    if not re.fullmatch("[0-9a-f]{64}", user):
        note("--user-hash: it must be 64 hex digits")
        return MISTAKE
    if not is_label(arguments.epoch):
        return MISTAKE
    return run_once(over_seals("proof", partial(_prove, arguments, user)))


async def _prove(
    arguments: argparse.Namespace, user: str, settings: Settings, session: Session, keccak256: Hash
) -> int:
    made = await _proof(session, arguments, user, keccak256)
    own: ChainSettings = getattr(settings, CHAIN).given
    if own.rpc_urls:
        made = await _beside_chain(made, own, session, keccak256)
    answer(arguments.format, lambda: _fields(made), lambda screen: _text(made, user, screen))
    return 0 if made.agrees else 2


async def _proof(session: Session, arguments: argparse.Namespace, user: str, keccak256: Hash) -> Proof:
    epoch, channel = arguments.epoch, arguments.channel
    async with seals_read(session) as connection:
        several = await seals.sealed_for(connection, epoch, channel)
        group = arguments.group
        of_group = [one for one in several if group is None or upper(one.group) == upper(group)]
        if not of_group:
            raise FailureError("missing", f"there is no seal of {channel} for the label {epoch}")
        index = await connection.fetchval(queries.PARTICIPANT, epoch, channel, user)
        if index is None:
            raise FailureError("missing", f"no such participant of {channel} is kept for the label {epoch}")
        leaves: list[bytes] = []
        async for digits in seals.hashes(connection, epoch, channel):
            leaves += seals.leaves(digits, channel, epoch, keccak256)
            if len(leaves) > MOST_PARTICIPANTS:
                raise FailureError("internal", f"it has more than {MOST_PARTICIPANTS} participants")
        tree = await seals.tree_of(connection, epoch, channel)
    siblings = tuple(merkle.proof(leaves, index, keccak256))
    root = merkle.root(leaves, keccak256)
    if not merkle.proves(leaves[index], siblings, root, keccak256):
        raise FailureError("internal", "the proof does not lead to its own root")
    return Proof(
        epoch=epoch,
        channel=channel,
        index=index,
        participants=len(leaves),
        leaf=leaves[index],
        siblings=siblings,
        root=root,
        sealed=any(plain(one.root) == root.hex() for one in of_group),
        tree=None if tree is None else plain(tree.root) == root.hex(),
        sealed_for=seals.names(of_group),
    )


async def _beside_chain(made: Proof, own: ChainSettings, session: Session, keccak256: Hash) -> Proof:
    """The proof, and how its root stands on chain, in the first of its groups that has it there."""
    from monitord.chain.channels import account_of, placed
    from monitord.chain.nodes import Nodes

    async with seals_read(session) as connection:
        rows = await connection.fetch(queries.PUBLISHED_FOR, made.epoch, made.channel)
    is_marked = any(row["published"] for row in rows)
    nodes, best = Nodes(own.rpc_urls), made
    for group in own.tokens:
        if upper(group) not in {upper(name.partition(" (")[0]) for name in made.sealed_for}:
            continue
        place = placed(own, group, made.channel, keccak256)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                account = await account_of(nodes, place)
        except (FailureError, TimeoutError) as error:
            note(f"monitord proof: the chain was not asked: {clean(str(error) or 'it did not answer in time')}")
            return replace(made, state="UNKNOWN")
        latest, ring = (None, {}) if account is None else (account.latest, account.ring)
        state = compared(made.epoch, made.root.hex(), latest, ring)
        # What nobody says is published is not missed on chain; of what has left the ring nobody can tell.
        is_missed = state == "DIFFERENT" or (state in ("BEHIND", "MISSING") and is_marked)
        is_there = True if state == "OK" else False if is_missed else None
        best = replace(made, chain=is_there, state=state, account=place.address)
        if state == "OK":
            break
    return best


def _fields(made: Proof) -> dict[str, object]:
    return {
        **{name: getattr(made, name) for name in ("channel", "epoch", "index", "participants")},
        "leaf": made.leaf.hex(),
        "proof": [sibling.hex() for sibling in made.siblings],
        "root": made.root.hex(),
        "sealed": made.sealed,
        "tree": made.tree,
        "chain": made.chain,
        "chain_state": made.state,
        "chain_account": made.account,
    }


def _text(made: Proof, user: str, screen: Terminal) -> str:
    began = humanize.timestamp(datetime.fromtimestamp(made.epoch, UTC)) if made.epoch < 2**36 else "-"
    cached = {None: "has nothing of it", True: "has the same root", False: "has another root"}[made.tree]
    facts = [
        ("Participant", user),
        ("Index", f"{made.index} of {humanize.count(made.participants)}"),
        ("Leaf", made.leaf.hex()),
        *(("Proof" if not at else "", sibling.hex()) for at, sibling in enumerate(made.siblings)),
        ("Root", made.root.hex()),
        ("Stored root", "the same" if made.sealed else f"another ({humanize.listed(list(made.sealed_for))})"),
        ("Tree cache", cached),
        ("Chain", _ON_CHAIN[made.state]),
    ]
    if not made.siblings:
        facts.insert(3, ("Proof", "empty: the one leaf is the root"))
    width = max(len(name) for name, _ in facts)
    heading = clean(f"monitord proof, {made.channel}, epoch {made.epoch} (began {began})")
    lines = [screen.paint(heading, "bold"), *(f"  {name.ljust(width)}  {value}" for name, value in facts)]
    style: Style = "ok" if made.agrees else "critical"
    verdict = "OK: all that is known has this root." if made.agrees else "CRITICAL: not all of it has this root."
    return "\n".join([*lines, screen.paint(verdict, style)]) + "\n"
