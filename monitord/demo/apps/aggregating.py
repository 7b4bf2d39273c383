"""Deriving channel_participation from user_signals, for one group: the half of sealing that runs all the time."""

import time

from monitord.demo.apps.audience import GROUPS, category
from monitord.demo.apps.sealing import PARTICIPATION
from monitord.demo.apps.service import DemoService

CATCH_UP_EPOCHS = 24


class Aggregator:
    """Keeps one group's participation up with its signals, and catches up with what it missed."""

    def __init__(self, service: DemoService, token_group: str) -> None:
        """Args: service: Whose connections to use. token_group: MILO or CLS."""
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
