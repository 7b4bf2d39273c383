"""The probes: a file here and an entry of `FACTORIES` each. A driver is imported only when it is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from monitord.config.sections import DeclaredSection
from monitord.config.settings import Settings, SettingsError, with_alias
from monitord.core.history.defaults import defaults
from monitord.core.history.epochs import window_seconds
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import added
from monitord.failures import FailureError
from monitord.probes.base import ListeningProbe, PingedProbe, Probe

if TYPE_CHECKING:
    from monitord.core.model import Sample
    from monitord.core.orders import StandingOrders
    from monitord.postgres.session import Session
    from monitord.postgres.shared import SharedSessions
    from monitord.probes.checks.checkin import Reports

# An exact count stops at so many times the growth limit: far past it, and still no burden.
COUNT_AT_MOST_LIMITS = 10
# Postgres may show inserts in its counters only ten seconds after their commit: an exact count that began no earlier
# than the counters' window would miss what they have only now received, and refute a real flood.
FLUSH_SECONDS = 15.0
UNVERIFIED = (
    "The connection to Postgres is encrypted, but nobody checks with whom: set MONITORD_POSTGRES__CA_FILE, or "
    "sslmode=verify-full in the DSN."
)
# Packages add theirs as entry points of this group, by their subject's name.
ENTRY_POINTS = "monitord.probes"
Factory = Callable[["ProbeContext"], Probe]


@dataclass
class ProbeContext:
    settings: Settings
    orders: StandingOrders
    own_pids: Callable[[], frozenset[int]]
    error_lines: Callable[[], tuple[Sample, ...]] = tuple

    @cached_property
    def session(self) -> Session:
        """The one session to Postgres. SettingsError for an address that its driver cannot take apart."""
        return self._new_session()

    @cached_property
    def shared(self) -> SharedSessions:
        """The connections to Postgres that all statements of the operator's own share. SettingsError as above."""
        from monitord.postgres.shared import SharedSessions

        return SharedSessions(self._new_session)

    @cached_property
    def reports(self) -> Reports:
        from monitord.probes.checks.checkin import Reports

        return Reports(self.settings.state_dir)

    def _new_session(self) -> Session:
        from monitord.postgres.dsn import DsnError
        from monitord.postgres.session import Session

        postgres = self.settings.postgres
        assert postgres.dsn is not None  # noqa: S101 - its probes are configured
        try:
            return Session(postgres.dsn.get_secret_value(), postgres.ca_file)
        except DsnError as error:
            raise SettingsError((f"{with_alias('MONITORD_POSTGRES__DSN')}: {error}",)) from None

    @property
    def opened(self) -> Session | None:
        return self.session if "session" in self.__dict__ else None

    async def close(self) -> None:
        for name in self.__dict__.keys() & {"session", "shared", "reports"}:
            with suppress(Exception):
                await self.__dict__[name].close()


def _pm2(context: ProbeContext) -> Probe:
    from monitord.probes.pm2 import Pm2Probe

    assert context.settings.pm2.home is not None  # noqa: S101 - it is configured
    return Pm2Probe(context.settings.pm2.home, context.own_pids, context.error_lines, context.orders.limits_of_numbers)


def _postgres(context: ProbeContext) -> Probe:
    from monitord.probes.postgres import CountBounds, PostgresProbe

    orders = context.orders
    return PostgresProbe(
        context.session,
        orders.tables,
        int(orders.epoch_length.total_seconds()),
        bounds={
            name: CountBounds(orders.growth_window_of(name) + FLUSH_SECONDS, count_cap(name, orders))
            for name in orders.tables
        },
        defaults=defaults(orders),
    )


def _epochs(context: ProbeContext) -> Probe:
    from monitord.probes.epochs import EpochsProbe

    orders = context.orders
    return EpochsProbe(
        context.session,
        orders.groups,
        int(orders.epoch_length.total_seconds()),
        window_seconds(orders),
        orders.epoch_grace.total_seconds(),
        orders.cemented,
        by_default="groups" in orders.unnamed,
    )


def _pipeline(context: ProbeContext) -> Probe:
    from monitord.probes.pipeline import PipelineProbe

    section = context.settings.pipeline  # type: ignore[attr-defined] # its subject declares it
    return PipelineProbe(context.session, section.given, context.orders, window_seconds(context.orders))


def _chain(context: ProbeContext) -> Probe:
    from monitord.core.subjects.pipeline_settings import prepared
    from monitord.probes.chain import ChainProbe

    settings, orders = context.settings, context.orders
    own = settings.chain.given  # type: ignore[attr-defined] # its subject declares it
    session = context.session if "postgres" in orders.probes else None
    cases = [case.channel for case in prepared(orders)]
    return ChainProbe(own, orders, session, settings.probe_timeout.total_seconds(), cases)


def _redis(context: ProbeContext) -> Probe:
    from monitord.probes.redis import RedisProbe

    url, orders = context.settings.redis.url, context.orders
    assert url is not None  # noqa: S101 - it is configured
    try:
        prefixes = {queue: orders.prefix_of(queue) for queue in orders.queues}
        return RedisProbe(
            url.get_secret_value(), orders.queues, prefixes=prefixes, window=orders.queue_window.total_seconds()
        )
    except ValueError as error:
        raise SettingsError((f"{with_alias('MONITORD_REDIS__URL')}: {error}",)) from None


def _host(context: ProbeContext) -> Probe:
    from monitord.probes.host import HostProbe

    return HostProbe(context.orders.disks)


def _checks(context: ProbeContext) -> Probe:
    from monitord.probes.checks import ChecksProbe, made

    return ChecksProbe(made(context))


def declared(name: str, place: str | Callable[[], Callable[[Any, StandingOrders], Probe]]) -> Factory:
    """What makes the probe at `place` (`module:Class`, or what imports it) of its own settings and the orders."""

    def make(context: ProbeContext) -> Probe:
        section = getattr(context.settings, name, None)
        made: Probe = (resolve_name(place) if isinstance(place, str) else place())(
            section.given if isinstance(section, DeclaredSection) else None, context.orders
        )
        return made

    return make


# By subject, in the order in which they are made. One of a subject that declares its own settings is
# `"NAME": declared("NAME", "monitord.probes.NAME:Probe")`.
FACTORIES: Mapping[str, Factory] = {
    "pm2": _pm2,
    "postgres": _postgres,
    "epochs": _epochs,
    "pipeline": _pipeline,
    "chain": _chain,
    "redis": _redis,
    "host": _host,
    "checks": _checks,
}


def _added() -> dict[str, Factory]:
    """What makes the probes of subjects that packages have added: an entry point of the same name."""
    subjects = added()
    if not subjects:
        return {}
    from importlib.metadata import entry_points

    from monitord.probes.packaged import AddedProbe

    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}

    def of(subject: Subject) -> Factory:
        def load() -> Callable[[Any, StandingOrders], Probe]:
            if subject.name not in found:
                raise FailureError("missing", f"the package {subject.package}: it brings no probe of {subject.title}")
            made: Callable[[Any, StandingOrders], Probe] = found[subject.name].load()
            return made

        make = declared(subject.name, load)
        return lambda context: AddedProbe(subject, lambda: make(context))

    return {subject.name: of(subject) for subject in subjects}


class Probes:
    """The configured probes, and what they share. SettingsError: addresses that drivers cannot read.

    `own_pids` are monitord's, so that the fleet is not judged for it; `error_lines` what was counted on PM2's bus.
    """

    def __init__(
        self,
        settings: Settings,
        orders: StandingOrders,
        own_pids: Callable[[], frozenset[int]],
        error_lines: Callable[[], tuple[Sample, ...]] = tuple,
    ) -> None:
        self._context = context = ProbeContext(settings, orders, own_pids, error_lines)
        self.all: list[Probe] = []
        wrong: dict[str, None] = {}
        for name, make in {**FACTORIES, **_added()}.items():
            if name in orders.probes:
                try:
                    self.all.append(make(context))
                except SettingsError as error:
                    wrong |= dict.fromkeys(error.mistakes)
        if wrong:
            raise SettingsError(tuple(wrong))

    @property
    def tls_unverified(self) -> tuple[tuple[str, str], ...]:
        """The servers with whom a connection is encrypted though nobody checks who answers, each with a sentence."""
        if self._context.opened is None or not self._context.opened.unverified:
            return ()
        return (("postgres", UNVERIFIED),)

    @property
    def pinged(self) -> tuple[PingedProbe, ...]:
        return tuple(probe for probe in self.all if isinstance(probe, PingedProbe))

    def listen(self, heard: Callable[[str, str], None]) -> None:
        """From now on call `heard` with a probe's name and what is heard of its server between readings."""
        for probe in self.all:
            if isinstance(probe, ListeningProbe):
                probe.listen(partial(heard, probe.name))

    async def close(self) -> None:
        for close in (*(probe.close for probe in self.all), self._context.close):
            with suppress(Exception):
                await close()


def count_cap(table: str, orders: StandingOrders) -> int:
    """Where an exact count stops: many times the limit of rows, as it spans up to an epoch more than the window."""
    window = orders.growth_window_of(table)
    spans = (window + orders.epoch_length.total_seconds()) / window / 1.5
    return round(orders.growth_limit_of(table) * COUNT_AT_MOST_LIMITS * max(1.0, spans))
