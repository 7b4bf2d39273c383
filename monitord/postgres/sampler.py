"""Recomputes sealed roots in the background, a page of participants at a time, and checks the prepared test cases.

One at a time, and never on the event loop: pages come in transactions of their own, between those of the probes, and
are hashed in a thread. While one is under way no other begins.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from monitord.core import merkle
from monitord.core.merkle import Hash, RootBuilder
from monitord.core.roots import Recomputed, Seal, Verification, plain
from monitord.core.subjects.pipeline_cases import PreparedCase
from monitord.failures import FailureError
from monitord.keccak import load_keccak256
from monitord.postgres import queries, seals
from monitord.postgres.errors import PostgresError
from monitord.postgres.participation import upper
from monitord.postgres.seals import SealSelection
from monitord.postgres.session import Session
from monitord.threads import WorkerBusy, WorkerThread

Mode = Literal["off", "sampled", "all"]
_TRANSACTION_SECONDS: Final = 5.0
_HASHING_SECONDS: Final = 30.0
# One is chosen among so many seals of the newest whole label of a group; of `all` no more of a label are recomputed.
_MOST_SEALS: Final = 2000
# What did not match is recomputed again and again; no more of it are remembered.
_MOST_MISMATCHES: Final = 50
_MOST_PARTICIPANTS: Final = 1 << 17  # of which a proof is made in memory


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What is true of a test case; None where that is not known.

    `root`: the stored root is the expected one, `tree`: the tree cache's is. `participants` are those that are kept,
    `proof`: the participant's proof leads to the expected root. `published`: the flag says so. `at`: when that was
    found (Unix seconds).
    """

    root: bool | None = None
    participants: int | None = None
    proof: bool | None = None
    published: bool | None = None
    tree: bool | None = None
    trouble: str = ""
    at: float = 0.0


@dataclass(slots=True)
class Found:
    """What the recomputation has come to so far. `verified` is the last of each group and when (Unix seconds)."""

    verified: dict[str, tuple[Verification, float]] = field(default_factory=dict)
    mismatches: dict[Seal, Verification] = field(default_factory=dict)
    mended: set[Seal] = field(default_factory=set)
    cases: dict[PreparedCase, CaseResult] = field(default_factory=dict)
    trouble: str = ""


class Sampler:
    """Recomputes one recent seal a group and hour (`sampled`), or every new seal (`all`), and what did not match."""

    def __init__(
        self, session: Session, mode: Mode, groups: Sequence[str], length: int, cases: Sequence[PreparedCase] = ()
    ) -> None:
        """Args: groups: Token groups in upper case. length: Seconds per epoch."""
        self._session, self._mode, self._groups, self._length = session, mode, tuple(groups), length
        self._cases = tuple(cases)
        self._worker = WorkerThread("recompute roots")
        self._task: asyncio.Task[None] | None = None
        self._sampled_at: dict[str, float] = {}
        self._again_at: float | None = None
        self._done: dict[str, int] = {}
        self.found = Found()

    def start(self, now: float, newest: int, oldest: int, suspects: Iterable[tuple[int, str]] = ()) -> None:
        """Begin with what is due, if anything is and nothing is under way.

        `newest` is the newest whole label, those before `oldest` are left; `suspects` (labels and channels of seals
        that are unlike their trees) come first.
        """
        if self._task is not None and not self._task.done():
            return
        is_time = self._again_at is None or not 0 <= now - self._again_at < self._length / 12
        due = [group for group in self._groups if self._is_due(group, now, newest)]
        again = is_time and (self.found.mismatches or self._cases)
        if not due and not again:
            return
        for seal in [seal for seal in (*self.found.mismatches, *self.found.mended) if seal.epoch < oldest]:
            self.found.mismatches.pop(seal, None)
            self.found.mended.discard(seal)
        if again:
            self._again_at = now
        self._task = asyncio.create_task(self._run(due, newest, now, tuple(suspects), again=bool(again)))

    async def check_cases(self, now: float, seconds: float) -> None:
        """Check the test cases at once, as far as that goes in so many seconds: for whoever reads once."""
        try:
            async with asyncio.timeout(seconds):
                await self._check_cases(now, load_keccak256())
        except (FailureError, PostgresError, TimeoutError, WorkerBusy) as error:
            self.found.trouble = _in_words(error)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._worker.close()

    def _is_due(self, group: str, now: float, newest: int) -> bool:
        if self._mode == "all":
            return self._done.get(group) != newest
        last = self._sampled_at.get(group)
        return self._mode == "sampled" and (last is None or not 0 <= now - last < min(3600, self._length))

    async def _run(
        self, due: Sequence[str], newest: int, now: float, suspects: Sequence[tuple[int, str]], *, again: bool
    ) -> None:
        try:
            keccak256 = load_keccak256()
            if again:
                for seal in list(self.found.mismatches):
                    await self._verify(seal, now, keccak256)
                await self._check_cases(now, keccak256)
            for group in due:
                for seal in await self._chosen(group, newest, suspects):
                    await self._verify(seal, now, keccak256)
                self._sampled_at[group], self._done[group] = now, newest
        except (FailureError, PostgresError, TimeoutError, WorkerBusy) as error:
            self.found.trouble = _in_words(error)
        else:
            self.found.trouble = ""

    async def _chosen(self, group: str, newest: int, suspects: Sequence[tuple[int, str]]) -> list[Seal]:
        """The seals to recompute: every one of the newest label, or one, and a suspect where there is any."""
        async with self._session.read_only(_TRANSACTION_SECONDS) as connection:
            found = await seals.seals(connection, SealSelection(newest, newest, group), limit=_MOST_SEALS)
            if self._mode != "all" and found:
                found = [random.choice(found)]  # noqa: S311 - no secret
            for label, channel in suspects[:1]:
                several = await seals.sealed_for(connection, label, channel)
                found += [seal for seal in several if upper(seal.group) == group and seal not in found]
        return found

    async def _verify(self, seal: Seal, now: float, keccak256: Hash) -> None:
        """Recompute one seal; one that does not match is read and recomputed a second time before that is said."""
        result = await self._verified(seal, keccak256)
        if result.result == "MISMATCH" and seal not in self.found.mismatches:
            result = await self._verified(seal, keccak256)
        group = upper(seal.group)
        self.found.verified[group] = result, now
        known = next((one for one in self.found.mismatches if _place(one) == _place(seal)), None)
        if result.result == "MISMATCH":
            if known is None and len(self.found.mismatches) < _MOST_MISMATCHES:
                self.found.mismatches[seal] = result
        elif known is not None and result.result == "MATCH":
            del self.found.mismatches[known]
            self.found.mended.add(known)

    async def _verified(self, seal: Seal, keccak256: Hash) -> Verification:
        async with self._session.read_only(_TRANSACTION_SECONDS) as connection:
            several = await seals.sealed_for(connection, seal.epoch, seal.channel)
        # As it is stored now: it may have been put right since.
        seal = next((one for one in several if _place(one) == _place(seal)), seal)
        found = await self._recomputed(seal.epoch, seal.channel, keccak256)
        async with self._session.read_only(_TRANSACTION_SECONDS) as connection:
            return await seals.judged(connection, seal, found)

    async def _recomputed(self, epoch: int, channel: str, keccak256: Hash) -> Recomputed:
        builder = RootBuilder(keccak256)

        def extend(digits: bytes) -> None:
            builder.extend(seals.leaves(digits, channel, epoch, keccak256))

        try:
            while digits := await self._page(epoch, channel, builder.count):
                await self._worker.run(extend, digits, timeout=_HASHING_SECONDS)
            root = await self._worker.run(builder.root, timeout=_HASHING_SECONDS)
        except FailureError as error:
            if isinstance(error, PostgresError):
                raise
            return Recomputed(builder.count, None, error.error)
        except ValueError:
            return Recomputed(0, None, "none of its participants is kept")
        return Recomputed(builder.count, root.hex())

    async def _page(self, epoch: int, channel: str, count: int) -> bytes:
        async with self._session.read_only(_TRANSACTION_SECONDS) as connection:
            return await seals.page(connection, epoch, channel, count)

    async def _check_cases(self, now: float, keccak256: Hash) -> None:
        for case in self._cases:
            self.found.cases[case] = replace(await self._case(case, keccak256), at=now)

    async def _case(self, case: PreparedCase, keccak256: Hash) -> CaseResult:
        try:
            async with self._session.read_only(_TRANSACTION_SECONDS) as connection:
                stored = await connection.fetch(queries.PUBLISHED_FOR, case.epoch, case.channel)
                index = await connection.fetchval(queries.PARTICIPANT, case.epoch, case.channel, case.user_hash)
                tree = await seals.tree_of(connection, case.epoch, case.channel)
        except PostgresError as error:
            return CaseResult(trouble=seals.explained(error).error)
        its = [row for row in stored if plain(row["root"]) == case.root]
        result = CaseResult(
            root=bool(its) if stored else None,
            published=any(row["published"] for row in its) if its else None,
            tree=None if tree is None else plain(tree.root) == case.root,
            trouble="" if stored else "there is no such seal",
        )
        leaves: list[bytes] = []
        try:
            while len(leaves) <= _MOST_PARTICIPANTS and (
                digits := await self._page(case.epoch, case.channel, len(leaves))
            ):
                leaves += await self._worker.run(
                    seals.leaves, digits, case.channel, case.epoch, keccak256, timeout=_HASHING_SECONDS
                )
        except FailureError as error:
            return replace(result, trouble=error.error)
        if not leaves or len(leaves) > _MOST_PARTICIPANTS:
            return replace(result, trouble="none of its participants is kept" if not leaves else "it is too large")
        if index is None:
            return replace(result, participants=len(leaves), proof=False, trouble="there is no such participant")
        proves = await self._worker.run(_proves, leaves, index, case.root, keccak256, timeout=_HASHING_SECONDS)
        return replace(result, participants=len(leaves), proof=proves)


def _proves(leaves: Sequence[bytes], index: int, root: str, keccak256: Hash) -> bool:
    siblings = merkle.proof(leaves, index, keccak256)
    return merkle.proves(leaves[index], siblings, bytes.fromhex(root), keccak256)


def _in_words(error: Exception) -> str:
    return error.error if isinstance(error, FailureError) else "it took too long"


def _place(seal: Seal) -> tuple[int, str, str, str]:
    return seal.epoch, seal.channel, upper(seal.group), seal.category
