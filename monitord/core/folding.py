"""The cycles since the state was last written whole, judged again: what comes out is the state after the last of them.

A cycle that tells anybody anything is written with its whole state. So none of those between has told anything, and
one that would (another version of monitord judges it) ends the fold: what was not told is for the next cycle to tell.
"""

from monitord.core.engine import Decision, State, decide
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.core.rollups import RunningHour
from monitord.core.series import RollupContext
from monitord.core.subjects.registry import ALWAYS


def announces(decision: Decision) -> bool:
    """Whether a cycle tells anybody anything. An alert that only waits to be confirmed is told to nobody."""
    return bool(
        decision.actions
        or decision.reminders
        or decision.outcomes
        or any(edge.edge != "pending" for edge in decision.transitions)
    )


def context_of(decision: Decision, before: State) -> RollupContext:
    return RollupContext(decision.report, before.history, decision.state.history, decision.events, decision.orders)


def is_whole(observation: Observation) -> bool:
    """Whether every probe was to be taken, and not only those that were looked at again."""
    return observation.readings.keys() >= ALWAYS


class Fold:
    """A state and its orders, moved on by recorded cycles; `decision` is the last of them (None: none yet)."""

    def __init__(self, state: State, orders: StandingOrders, hour: RunningHour | None = None) -> None:
        self.state = state
        self.decision: Decision | None = None
        self._orders = orders
        self._hour = hour

    def add(self, observation: Observation) -> bool:
        """One more cycle; False where it would tell something or cannot be judged: then nothing is added."""
        try:
            decision = decide(self.state, observation, self._orders)
        except Exception:  # noqa: BLE001 - another version recorded it: the fold ends here, and monitoring goes on
            return False
        if announces(decision):
            return False
        if self._hour is not None:
            self._hour.saw(context_of(decision, self.state), observation.now.timestamp(), whole=is_whole(observation))
        self.state, self.decision = decision.state, decision
        return True
