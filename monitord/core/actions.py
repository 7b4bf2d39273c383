"""What to recommend to a person, by the standing orders' "When to Take Action". Nothing is ever done here.

Restarting is recommended only when several readings confirm the issue and PM2's own restart has failed, or sealing is
stuck; disks are to be freed; everything else is to be investigated.
"""

from __future__ import annotations

from typing import Literal

from monitord.core.model import Action, Transition
from monitord.core.orders import StandingOrders


def recommended(transition: Transition, orders: StandingOrders) -> Action | None:
    """The recommendation that goes with an alert as it fires; None for anything that is no critical or disk alert.

    One incident is recommended about once: a disk that steps from warning to critical was spoken of already, and so
    was whatever has been critical before.
    """
    alert = transition.alert
    is_disk = alert.rule == "disk_high"
    if transition.edge != "firing" or not (alert.severity == "critical" or is_disk):
        return None
    if transition.reason == "severity" and (is_disk or alert.was_critical):
        return None
    given_up = alert.rule == "service_down" and alert.finding.value == "errored"
    action: Literal["restart_service", "free_disk", "investigate"] = "investigate"
    blocking = ""
    if is_disk:
        action, blocking = "free_disk", "everything that writes to this disk"
    elif given_up or alert.rule == "sealing_stuck":
        action = "restart_service"
    if alert.rule.startswith("sealing") or alert.rule == "postgres_unreachable":
        blocking = "epoch sealing"
    elif alert.rule.startswith("service") and alert.subject in orders.user_facing:
        blocking = "users"
    return Action(
        action=action,
        target=alert.subject,
        reason=f"{alert.finding.summary} {alert.finding.recommendation}".strip(),
        confirmations=max(alert.count, orders.confirmations),
        blocking=blocking,
        alert_id=alert.id,
    )
