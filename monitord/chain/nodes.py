"""Several nodes, in order of preference: which of them may be believed, and what the first of those says."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from monitord.chain.rpc import NO_SUCH_METHOD, PACE_SECONDS, REQUEST_SECONDS, NodeError, RpcNode
from monitord.core import humanize

T = TypeVar("T")

# A node so many slots behind is not believed: about a minute. By default a node holds itself unhealthy at 128.
MOST_BEHIND: Final = 150
# A slot takes 0.4 s. One that has not moved for so long stands still.
STILL_SECONDS: Final = 20.0
# For so long the slot of a node that gives no answer any more says how far the others must have come.
REMEMBERED_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class _Tip:
    """A slot, when it was last seen, and since when it has been the same (loop time)."""

    slot: int
    at: float
    since: float


@dataclass(frozen=True, slots=True)
class NodeReport:
    """How one node stands: its slot (None: it gave none), and why it is not believed ("": it is)."""

    place: str
    slot: int | None
    trouble: str = ""


@dataclass(frozen=True)  # with slots it could not be generic
class Told(Generic[T]):
    """What a node says, the slot that it is of, and what another node may know better ("": nothing)."""

    value: T
    slot: int
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """By which node a question was answered, of which slot, how all of them stand, and how long their health took."""

    nodes: tuple[NodeReport, ...]
    by: str
    slot: int
    health_ms: float


class Nodes:
    """The nodes. Each is asked for its health and slot; the first that may be believed answers the question.

    Of each at most two requests are needed: the answer says of which slot it is, and so the first that is well is asked
    at once; only the others are asked for their slots.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        pace: float = PACE_SECONDS,
        timeout: float = REQUEST_SECONDS,
        still: float = STILL_SECONDS,
    ) -> None:
        """Args: urls: In order of preference. pace, timeout: Of each. still: How long a slot may stand still."""
        self._nodes = [RpcNode(url, pace, timeout) for url in urls]
        self._still = still
        self._tips: dict[RpcNode, _Tip] = {}

    async def ask(self, question: Callable[[RpcNode], Awaitable[Told[T]]]) -> tuple[T, Answer]:
        """What the first node says that may be believed; what each of them doubts, as the first says it.

        The next one is asked where `question` raises NodeError: no answer, or one that cannot be true. NodeError: no
        node has any.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        healthy = await asyncio.gather(*(self._health(node) for node in self._nodes))
        took = round((loop.time() - began) * 1000.0, 3)
        troubles = dict(zip(self._nodes, healthy, strict=True))
        answers: dict[RpcNode, Told[T]] = {}
        well = [node for node in self._nodes if troubles[node] is None]

        async def come_to(node: RpcNode) -> None:
            try:
                if node is well[0]:
                    answers[node] = await question(node)
                self._saw(node, answers[node].slot if node in answers else await node.slot())
            except NodeError as error:
                troubles[node] = error

        await asyncio.gather(*map(come_to, well))
        self._judge(troubles)
        doubted: list[RpcNode] = []
        for node in well:
            if troubles[node] is not None:
                continue
            if node not in answers:
                try:
                    answers[node] = await question(node)
                    self._saw(node, answers[node].slot)
                except NodeError as error:
                    troubles[node] = error
                    continue
            if answers[node].doubt:
                doubted.append(node)
                troubles[node] = NodeError("protocol", f"{node.place}: {answers[node].doubt}")
                continue
            return answers[node].value, Answer(self._reports(troubles), node.place, answers[node].slot, took)
        if not doubted:
            raise _none(list(troubles.values()))
        for node in doubted:  # no other knows better: it is so
            troubles[node] = None
        node = doubted[0]
        return answers[node].value, Answer(self._reports(troubles), node.place, answers[node].slot, took)

    async def _health(self, node: RpcNode) -> NodeError | None:
        try:
            await node.health()
        except NodeError as error:
            # Some providers do not serve it: the slot tells.
            return None if error.code == NO_SUCH_METHOD else error
        return None

    def _saw(self, node: RpcNode, slot: int) -> None:
        """Note how far a node has come. NodeError: what it says is of long ago."""
        last, now = self._tips.get(node), asyncio.get_running_loop().time()
        if last is not None and now - last.at <= REMEMBERED_SECONDS and last.slot - slot > MOST_BEHIND:
            old = humanize.count(last.slot - slot)
            raise NodeError("protocol", f"{node.place} gives what is {old} slots older than what it gave before")
        self._tips[node] = _Tip(slot, now, last.since if last is not None and slot == last.slot else now)

    def _judge(self, troubles: dict[RpcNode, NodeError | None]) -> None:
        """Find those that stand still, or are far behind most of them. Of three, one that is ahead changes nothing."""
        now = asyncio.get_running_loop().time()
        self._tips = {node: tip for node, tip in self._tips.items() if now - tip.at <= REMEMBERED_SECONDS}
        reference = statistics.median_high([tip.slot for tip in self._tips.values()]) if self._tips else 0
        for node, trouble in troubles.items():
            if trouble is not None:
                continue
            tip = self._tips[node]
            still = tip.at - tip.since
            if still > self._still:
                why = f"{node.place} stands still: its slot has been {tip.slot} for {humanize.duration(still)}"
                troubles[node] = NodeError("protocol", why)
            elif reference - tip.slot > MOST_BEHIND:
                behind = humanize.count(reference - tip.slot)
                troubles[node] = NodeError("protocol", f"{node.place} is {behind} slots behind the others")

    def _reports(self, troubles: dict[RpcNode, NodeError | None]) -> tuple[NodeReport, ...]:
        return tuple(
            NodeReport(
                node.place,
                self._tips[node].slot if node in self._tips else None,
                "" if trouble is None else trouble.error,
            )
            for node, trouble in troubles.items()
        )


def _none(errors: Sequence[NodeError | None]) -> NodeError:
    found = [error for error in errors if error is not None]
    if len(found) == 1:
        return found[0]
    why = "; ".join(error.error for error in found)
    return NodeError(found[0].kind, f"none of {len(found)} addresses gives an answer that can be used: {why}")
