"""Shared by the rules about services: which are judged, the impact of a dead one, and its state once it is back."""

from collections.abc import Container, Mapping
from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.dependencies import builds_trees, fed, sealed, worked_off
from monitord.core.history.model import History
from monitord.core.history.periodic import expected
from monitord.core.history.process_model import Process, ServiceHistory
from monitord.core.history.process_states import FROZEN, fits
from monitord.core.latest import latest
from monitord.core.model import Alert
from monitord.core.orders import Expected, StandingOrders
from monitord.core.subjects.base import NONE, UNKNOWN, EpochImpact, Impact, RecoveryContext, Role, Rule

Member = tuple[str, Expected | None, Mapping[str, Process]]


def fleet(history: History, orders: StandingOrders) -> list[Member]:
    """Every subject: the roster, and whatever else PM2 runs (nothing expected of it), by name.

    The very same list for as long as the services are the same: what a rule makes of it can be kept as long.
    """
    return _fleet(history.services, expected(history, orders))


@latest
def _fleet(services: Mapping[str, ServiceHistory], roster: Mapping[str, Expected]) -> list[Member]:
    found: list[Member] = []
    for name in sorted(services if services.keys() == roster.keys() else roster.keys() | services.keys()):
        service = services.get(name)
        found.append((name, roster.get(name), service.lives if service else {}))
    return found


def unsettled(history: History, orders: StandingOrders) -> list[Member]:
    """Those of which a rule about states and restarts may find anything, however late it is: nearly none."""
    return _unsettled(fleet(history, orders), history.services)


@latest
def _unsettled(members: list[Member], services: Mapping[str, ServiceHistory]) -> list[Member]:
    return [
        member
        for member in members
        if member[1] != "online" or (service := services.get(member[0])) is None or not _is_settled(service)
    ]


def _is_settled(service: ServiceHistory) -> bool:
    if service.batches or service.tallies or not service.lives:
        return False
    for process in service.lives.values():
        if process.state != "online" or process.process is None or process.process in FROZEN:
            return False
    return True


def all_of_them(history: History, orders: StandingOrders) -> Container[str]:
    return expected(history, orders).keys() | history.services.keys()


def itself(alert: Alert) -> tuple[str, ...]:
    return (alert.subject,)


def faces_users(service: str, orders: StandingOrders) -> bool:
    return service in orders.user_facing


def blocks_users(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    return ("users",) if faces_users(alert.subject, orders) else ()


def blocks_work(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    """What a service that does no work holds up: the orders' reasons to restart it."""
    seals = ("epoch sealing",) if sealed(alert.subject, orders) else ()
    trees = ("trees and publishing",) if builds_trees(alert.subject, orders) else ()
    return (*seals, *trees, *blocks_users(alert, orders))


def impact_of_dead(alert: Alert, orders: StandingOrders, lacks: str = "is missing") -> str:
    """What a dead service means in a fleet of which nothing is known but what the orders declare."""
    service = alert.subject
    tables, queues = list(fed(service, orders)), list(worked_off(service, orders))
    brings = [f"what {service} brings into {humanize.listed(tables)} {lacks}"] if tables else []
    waits = [f"jobs of {humanize.listed(queues)} wait"] if queues else []
    faces = ["people cannot reach it"] if faces_users(service, orders) else []
    return "; ".join([*brings, *waits, *faces]) or UNKNOWN


def epoch_impact_of_dead(alert: Alert, orders: StandingOrders) -> EpochImpact:
    service = alert.subject
    seals, builds = bool(sealed(service, orders)), builds_trees(service, orders)
    claims = {
        "people cannot reach it": faces_users(service, orders),
        "what is not sealed cannot be claimed": seals,
        "trees are not built and nothing new is published: what is sealed meanwhile cannot be claimed yet": builds,
    }
    return (
        f"what {service} collects is missing" if fed(service, orders) else NONE,
        "epochs are not sealed without it" if seals else NONE,
        next((impact for impact, so in claims.items() if so), NONE),
    )


def state_now(alert: Alert, at: RecoveryContext, again: str = " again") -> str | None:
    name = alert.subject
    known = at.history.services.get(name)
    processes = list(known.lives.values()) if known is not None else []
    if not processes:
        return f"{name} is no longer in PM2's list."
    wanted = expected(at.history, at.orders).get(name) or "online"
    states = sorted({process.state for process in processes})
    well = sum(1 for process in processes if fits(process, wanted, at.now))
    online = [process.started_at for process in processes if process.state == "online"]
    many = f", {well} of {len(processes)} instances" if len(processes) > 1 else ""
    if not online:
        return f"{name} is {humanize.listed(states)}, as expected{many}."
    began = [moment for moment in online if moment is not None]
    since = f" since {humanize.moment(max(began), at.now)}" if began else ""
    return f"{name} is {humanize.listed(states)}{again}{since}{many}."


PM2_LOG: Final = "tail -n 50 {home}/pm2.log"
RUNBOOK: Final = ("{pm2} logs {name} --err --lines 50 --nostream", "{pm2} describe {name}", PM2_LOG)
DEAD: Final = Impact(impact_of_dead, epoch_impact_of_dead)
SERVICE: Final[frozenset[Role]] = frozenset({"service"})
of_service = partial(Rule, probe="pm2", roles=SERVICE, runbook=RUNBOOK, blocking=blocks_users)
