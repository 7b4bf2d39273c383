"""Everything that receives a cycle as one: the log, the outbox behind it, and the heartbeat that says that it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from monitord.core.engine import Decision
from monitord.core.model import Unmeasured
from monitord.core.report.model import Report
from monitord.core.status import verdict
from monitord.notify.event_log import EventLog
from monitord.notify.outbox import Outbox
from monitord.storage.file import SetAside
from monitord.storage.outbox import NotifiedChannels, OutboxEntry

if TYPE_CHECKING:
    from monitord.notify.channels.heartbeat import Heartbeat

# Receives a decision, who asked for it ("": nobody), and how many milliseconds it took. Never raises.
Publish = Callable[[Decision, str, float], None]


class Dispatcher:
    """What monitord reports, to every receiver. `publish` is called with every cycle, last: whoever shows it."""

    def __init__(
        self, log: EventLog, outbox: Outbox, heartbeat: Heartbeat | None = None, publish: Publish | None = None
    ) -> None:
        self.log = log
        self.outbox = outbox
        self.heartbeat = heartbeat
        self._publish = publish

    def begin(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.begin()

    def plan(self, decision: Decision) -> tuple[Sequence[OutboxEntry], NotifiedChannels]:
        """What is to be saved with this cycle because it is still to be sent."""
        return self.outbox.plan(decision)

    def tell(self, decision: Decision, trigger: str, duration_ms: float) -> None:
        """Say what a cycle decided, and send what was planned of it."""
        self.log.tell(decision, trigger, duration_ms)
        self.outbox.deliver(decision)
        if self._publish is not None:
            self._publish(decision, trigger, duration_ms)

    def end(self, decision: Decision | None, problem: str) -> None:
        """A whole cycle has ended; `problem` is "" where all of it went well, `decision` None where it was not judged.

        The heartbeat says that monitord works, not that the fleet does: that is what alerts are for.
        """
        if self.heartbeat is None:
            return
        if not problem and not self.outbox.works:
            problem = "no channel delivers: " + "; ".join(gap.error for gap in self.outbox.troubles())
        seen = "" if decision is None else f"{decision.report.status.upper()}: {verdict(decision.report)}"
        self.heartbeat.end(not problem, problem or seen)

    async def verdict(self, report: Report) -> None:
        self.log.verdict(report)
        await self.outbox.verdict(report)

    def aside(self, aside: SetAside) -> None:
        self.log.aside(aside)

    def troubles(self) -> list[Unmeasured]:
        heartbeat = None if self.heartbeat is None else self.heartbeat.trouble
        return [*self.log.troubles(), *self.outbox.troubles(), *filter(None, (heartbeat,))]

    async def close(self, timeout: float) -> None:
        """Stop all deliveries but the log."""
        await self.outbox.close(timeout)
        if self.heartbeat is not None:
            await self.heartbeat.close()
