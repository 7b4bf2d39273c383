"""What is declared of systemd's units: their settings, and the words in which they are spoken of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitord.core.orders import Expected, ServiceOrders, StandingOrders
from monitord.core.subjects.base import own_settings, setting
from monitord.core.subjects.managers import ProcessManager, subject

NAME = "systemd"


@dataclass(frozen=True, slots=True)
class SystemdSettings:
    """The units that are to be watched, and what is expected of them."""

    units: Mapping[str, ServiceOrders] | None = setting(
        None,
        "The units to watch, in full: a list, or a map with limits of their own. Not set: systemd is not watched.",
        example='{"nginx.service": {"memory": "300MB"}, "backup.service": {}}',
    )
    periodic: tuple[str, ...] = setting(
        (),
        "Those of them that come and go, as a timer begins them: stopped is as expected of them as running.",
        example='["backup.service"]',
        judged=True,
    )
    systemctl: str = setting("systemctl", "The program that is asked, once in each cycle.")
    user: bool = setting(False, "The units of monitord's own user, in place of the system's.")


def _roster(orders: StandingOrders) -> Mapping[str, tuple[Expected, ServiceOrders]]:
    settings = own_settings(SystemdSettings, NAME, orders)
    return {
        unit: ("periodic" if unit in settings.periodic else "online", limits)
        for unit, limits in (settings.units or {}).items()
    }


SYSTEMD = subject(
    ProcessManager(
        name=NAME,
        title="systemd",
        member="unit",
        roster=_roster,
        runbook=(
            "systemctl status --no-pager --lines=0 {name}",
            "journalctl --no-pager --lines=50 --unit={name}",
            "systemctl list-dependencies {name}",
        ),
        # What is said of PM2 and is another thing of systemd.
        words={
            "PM2's list": "systemd",
            "pm2 describe": "systemctl status",
            "PM2's own log": "the journal",
            "error log": "journal",
            "restart delay": "RestartSec",
            "pm2 resurrect, or its ecosystem file": "systemctl start",
            "change the standing orders": "take it from MONITORD_SYSTEMD__UNITS",
            "kill_timeout": "TimeoutStopSec",
            "listen_timeout": "TimeoutStartSec",
            "max_memory_restart": "MemoryMax",
        },
    ),
    settings=SystemdSettings,
    needs="units",
    hint="Not watched. MONITORD_SYSTEMD__UNITS would add it.",
)
