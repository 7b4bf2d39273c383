"""Several nodes, in order of preference: which of them may be believed, and what the first of those says."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node was asked, by which it was answered, how all of them stand, and how long it took to find out."""

    nodes: tuple[NodeReport, ...]
    by: str
    slot: int
    health_ms: float


class Nodes:
    """The nodes. Each is asked for its health and slot; of those that may be believed the first answers the rest."""

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

    async def ask(self, question: Callable[[RpcNode, int], Awaitable[T]]) -> tuple[T, Answer]:
        """What the first node says that may be believed.

        `question` is asked of a node, with its slot; of the next one, where it raises NodeError: the node gave no
        answer, or one that cannot be true.

        Raises:
            NodeError: None of them gave one.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = await asyncio.gather(*(self._standing(node) for node in self._nodes))
        took = (loop.time() - began) * 1000.0
        troubles = dict(zip(self._nodes, first, strict=True))
        self._judge(troubles)
        for node in self._nodes:
            if troubles[node] is not None:
                continue
            slot = self._tips[node].slot
            try:
                answer = await question(node, slot)
            except NodeError as error:
                troubles[node] = error
                continue
            return answer, Answer(self._reports(troubles), node.place, slot, round(took, 3))
        raise _none(list(troubles.values()))

    async def _standing(self, node: RpcNode) -> NodeError | None:
        """Ask a node for its health and slot; what is wrong with it, as far as it says itself."""
        loop = asyncio.get_running_loop()
        try:
            try:
                await node.health()
            except NodeError as error:
                if error.code != NO_SUCH_METHOD:  # some providers do not serve it: its slot tells
                    raise
            slot = await node.slot()
        except NodeError as error:
            return error
        last, now = self._tips.get(node), loop.time()
        self._tips[node] = _Tip(slot, now, last.since if last is not None and slot == last.slot else now)
        return None

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
                said = f"{node.place} stands still: its slot has been {tip.slot} for {humanize.duration(still)}"
                troubles[node] = NodeError("protocol", said)
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
    said = "; ".join(error.error for error in found)
    return NodeError(found[0].kind, f"none of {len(found)} addresses gives an answer that can be used: {said}")
