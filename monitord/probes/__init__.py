"""The probes, and the registry that makes those the settings ask for.

A probe is one file beside this one, one settings field, and one entry here. Its driver is imported only when it is
configured: what is not watched costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from monitord.core.history.defaults import defaults
from monitord.core.history.epochs import window_seconds
from monitord.core.subjects.registry import added
from monitord.probes.base import Probe

if TYPE_CHECKING:
    from monitord.config.loader import Settings
    from monitord.core.orders import StandingOrders
    from monitord.postgres.session import Session

# An exact count stops at so many times the growth limit: far past it, and still no burden.
COUNT_AT_MOST_LIMITS = 10
# Postgres may show inserts in its counters only ten seconds after their commit: an exact count that began no earlier
# than the counters' window would miss what they have only now been told of, and refute a real flood.
FLUSH_SECONDS = 15.0


ENTRY_POINTS = "monitord.probes"


def probe_factories() -> dict[str, Callable[[StandingOrders], Probe]]:
    """By the subjects that packages have added, what makes the probe of each: an entry point of the same name."""
    wanted = {subject.name for subject in added()}
    if not wanted:
        return {}
    from importlib.metadata import entry_points

    return {entry.name: entry.load() for entry in entry_points(group=ENTRY_POINTS) if entry.name in wanted}


class Probes:
    """The configured probes, and what they share.

    `own_pids` tells which processes are monitord itself, so that the fleet it watches is not judged for it.
    SettingsError is raised for an address that its driver cannot take apart.
    """

    def __init__(self, settings: Settings, orders: StandingOrders, own_pids: Callable[[], frozenset[int]]) -> None:
        self._session: Session | None = None
        self.all: list[Probe] = []
        if settings.pm2.home is not None:
            from monitord.probes.pm2 import Pm2Probe

            self.all.append(Pm2Probe(settings.pm2.home, own_pids))
        if settings.postgres.dsn is not None:
            self.all += self._over_postgres(settings, orders)
        if settings.redis.url is not None:
            from monitord.probes.redis import RedisProbe

            try:
                prefixes = {queue: orders.prefix_of(queue) for queue in orders.queues}
                self.all.append(RedisProbe(settings.redis.url.get_secret_value(), orders.queues, prefixes=prefixes))
            except ValueError as error:
                from monitord.config.loader import SettingsError

                raise SettingsError((f"MONITORD_REDIS__URL: {error}",)) from None
        from monitord.probes.host import HostProbe

        self.all.append(HostProbe(settings.host.disks))
        self.all += [make(orders) for name, make in probe_factories().items() if name in orders.probes]

    def _over_postgres(self, settings: Settings, orders: StandingOrders) -> list[Probe]:
        from monitord.config.loader import SettingsError
        from monitord.postgres.dsn import DsnError
        from monitord.postgres.session import Session
        from monitord.probes.epochs import EpochsProbe
        from monitord.probes.postgres import PostgresProbe

        assert settings.postgres.dsn is not None  # noqa: S101 - asked by the caller
        try:
            self._session = Session(settings.postgres.dsn.get_secret_value(), settings.postgres.ca_file)
        except DsnError as error:
            raise SettingsError((f"MONITORD_POSTGRES__DSN: {error}",)) from None
        length = int(orders.epoch_length.total_seconds())
        probes: list[Probe] = [
            PostgresProbe(
                self._session,
                orders.tables,
                length,
                window=orders.growth_window.total_seconds() + FLUSH_SECONDS,
                cap=count_cap(orders),
                defaults=defaults(orders),
            )
        ]
        if "epochs" in orders.probes:
            epochs = EpochsProbe(
                self._session,
                orders.groups,
                length,
                window_seconds(orders),
                orders.epoch_grace.total_seconds(),
                orders.cemented,
                by_default="groups" in orders.unnamed,
            )
            probes.append(epochs)
        return probes

    @property
    def tls_unverified(self) -> bool:
        """Whether a connection is to be encrypted without anyone checking who is at the other end."""
        return self._session is not None and self._session.unverified

    async def close(self) -> None:
        """Let go of every connection; what fails at that is let go of all the same."""
        for probe in self.all:
            with suppress(Exception):
                await probe.close()
        if self._session is not None:
            with suppress(Exception):
                await self._session.close()


def count_cap(orders: StandingOrders) -> int:
    """Where an exact count stops: many times the rows that the limit allows for the labels it spans.

    They span up to an epoch more than the window, which is half as much again by the default orders.
    """
    window = orders.growth_window.total_seconds()
    spans = (window + orders.epoch_length.total_seconds()) / window / 1.5
    return round(orders.growth_limit * COUNT_AT_MOST_LIMITS * max(1.0, spans))
