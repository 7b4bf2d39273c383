"""Asks systemd for its units: one `systemctl show` in each cycle, with a deadline and a bound on what it may say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from monitord.clocks import BOOT
from monitord.core.model import Answered, Sample, Unmeasured, Value
from monitord.core.orders import StandingOrders
from monitord.failures import FailureError
from monitord.kernel import process_state
from monitord.probes.base import Measured, Request
from monitord.programs import run_program

from .subject import NAME, SystemdSettings

PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,NRestarts,MainPID,ExecMainStartTimestamp,ExecMainCode,ExecMainStatus,"
    "MemoryCurrent,CPUUsageNSec"
)
MOST_BYTES = 1_000_000
SHARE = 0.9  # of the reading's deadline, so that the sentence is this probe's
_UNSET = ("", "[not set]", "infinity", str(2**64 - 1))
_EXITED = 1  # ExecMainCode is that of waitid(2): 2 and 3 are signals, whose number is no exit code
_STATES = {
    "active": "online",
    "reloading": "online",
    "refreshing": "online",
    "activating": "launching",
    "deactivating": "stopping",
    "inactive": "stopped",
    "maintenance": "stopped",
    "failed": "errored",
}
# In C and UTC, and where systemd of a user answers.
_SPEAKS = {"LC_ALL": "C", "TZ": "UTC", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
_OF_USER = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class SystemdProbe:
    """Every unit that is named: its state, restarts, memory and CPU time, in the words of PM2's list."""

    name = NAME

    def __init__(self, settings: SystemdSettings, orders: StandingOrders) -> None:  # noqa: ARG002 - as monitord calls it
        self._units = tuple(settings.units or ())
        scope = ("--user",) if settings.user else ()
        self._more = _SPEAKS | {name: os.environ[name] for name in _OF_USER if settings.user and name in os.environ}
        self._command = (settings.systemctl, *scope, "show", f"--property={PROPERTIES}", "--", *self._units)

    async def measure(self, request: Request) -> Measured:
        shown = {
            unit: of
            for of in blocks(await self._asked(request.timeout))
            for unit in (of.get("Names") or of["Id"]).split()
        }
        samples: list[Sample] = []
        gaps = []
        for unit in self._units:
            of = shown.get(unit)
            if of is None:
                gaps.append(Unmeasured(unit, "protocol", f"systemctl said nothing of {unit}"))
            elif of.get("LoadState") not in ("not-found", "bad-setting", "error"):
                samples += _samples(unit, of)
        return Measured(tuple(samples), tuple(gaps), Answered(BOOT))

    async def close(self) -> None:
        return

    async def _asked(self, timeout: float) -> str:
        """What systemctl says, in C and UTC."""
        ended = await run_program(
            "systemctl", self._command, timeout, more=self._more, errors=True, most_bytes=MOST_BYTES, whole=True
        )
        text = ended.output.decode(errors="replace")
        if ended.code:
            why = next(iter(text.strip().splitlines()), "it says nothing")[:200]
            raise FailureError("refused", f"systemctl ended with {ended.code}: {why}")
        return text


def blocks(text: str) -> Iterator[Mapping[str, str]]:
    """The properties of each unit: lines of NAME=value, an empty one between two units."""
    for block in text.strip().split("\n\n"):
        found = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if "Id" in found:
            yield found


def _samples(unit: str, of: Mapping[str, str]) -> Iterator[Sample]:
    state, pid = _STATES.get(of["ActiveState"], "unknown"), number(of.get("MainPID")) or 0
    if of.get("SubState") == "auto-restart":
        state = "waiting restart"
    used = number(of.get("CPUUsageNSec"))
    is_over = state in ("stopped", "errored", "waiting restart")
    told: dict[str, tuple[Value, str]] = {
        "state": (state, ""),
        "restarts": (number(of.get("NRestarts")), "1"),
        "started_at": (moment(of.get("ExecMainStartTimestamp")), "timestamp"),
        "exit_code": (
            number(of.get("ExecMainStatus")) if is_over and of.get("ExecMainCode") == str(_EXITED) else None,
            "1",
        ),
        "memory": (number(of.get("MemoryCurrent")), "bytes"),
        "cpu_seconds": (None if used is None else used / 1e9, "seconds"),
        "process": (process_state(pid) if pid else "running", ""),
    }
    for name, (value, unit_of) in told.items():
        yield Sample(f"service_{name}", (("instance", "main"), ("service", unit)), value, unit_of)


def number(text: str | None) -> int | None:
    """A count; None where systemd has none, which is `[not set]` or, in older ones, the largest number there is."""
    return None if text is None or text in _UNSET or not text.isdigit() else int(text)


def moment(text: str | None) -> float | None:
    """Unix seconds of a timestamp in UTC; None where there is none."""
    with suppress(ValueError):
        return datetime.strptime(text or "", "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
    return None
