"""What comes and goes under a real PM2: what it calls a process between two runs, and what monitord makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitord.core.history import process_states
from monitord.core.history.process_model import Process
from monitord.core.history.processes import by_service
from monitord.core.model import Reading
from monitord.probes.base import Request
from monitord.probes.pm2 import Pm2Probe
from tests.faults.watched import Watched

from .conftest import DEADLINE, RealPm2
from .test_watched import settings

NOW = 0.0
AT_ONCE = "import sys; sys.exit({code})"
SLEEPER = "import signal; signal.pause()"


async def life(real_pm2: RealPm2, name: str) -> Process:
    """A process as the probe tells of it."""
    probe = Pm2Probe(real_pm2.home, frozenset)
    measured = await probe.measure(Request(NOW, DEADLINE))
    await probe.close()
    (found,) = by_service(Reading("pm2", measured.samples))[name].values()
    return found


async def ended(real_pm2: RealPm2, name: str) -> Process:
    await real_pm2.until(lambda process: process.status not in ("online", "launching", "stopping"), name)
    return await life(real_pm2, name)


@pytest.mark.servers
@pytest.mark.parametrize(("code", "is_right"), [(0, True), (3, False)])
async def test_between_two_runs_pm2_calls_it_waiting_and_keeps_the_code_of_the_last(
    real_pm2: RealPm2, code: int, *, is_right: bool
) -> None:
    real_pm2.run("start", real_pm2.app("scout", AT_ONCE.format(code=code), restart_delay=3_600_000))
    scout = await ended(real_pm2, "scout")
    assert (scout.state, scout.exit_code, scout.restart_delay) == ("waiting restart", code, 3600.0)
    assert scout.last_started_at is not None
    assert scout.started_at is None
    assert process_states.fits(scout, "periodic", NOW) is is_right
    assert process_states.fits(scout, "online", NOW) is False
    assert process_states.expectation([scout]) == ("periodic" if is_right else "online")


@pytest.mark.servers
async def test_what_is_told_to_end_ends_well_and_what_an_operator_stops_is_only_stopped(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("once", AT_ONCE.format(code=0), autorestart=False))
    real_pm2.run("start", real_pm2.app("codes", AT_ONCE.format(code=5), stop_exit_codes=[0, 5]))
    real_pm2.run("start", real_pm2.app("failed", AT_ONCE.format(code=1), autorestart=False))
    real_pm2.run("start", real_pm2.app("server", SLEEPER, restart_delay=3_600_000))
    real_pm2.run("stop", "server")
    lives = {name: await ended(real_pm2, name) for name in ("once", "codes", "failed", "server")}
    assert {name: found.state for name, found in lives.items()} == dict.fromkeys(lives, "stopped")
    assert process_states.expectation([lives["once"]]) == "periodic"
    assert process_states.expectation([lives["codes"]]) == "periodic"
    assert process_states.expectation([lives["failed"]]) == "stopped"
    assert process_states.ended_well(lives["failed"]) is False


@pytest.mark.servers
async def test_what_pm2_has_given_up_on_is_not_waiting_whatever_it_is_called(real_pm2: RealPm2) -> None:
    real_pm2.run("start", real_pm2.app("hasty", AT_ONCE.format(code=0), restart_delay=20, min_uptime=60_000))
    await real_pm2.until(lambda process: process.created_at is None, "hasty")
    hasty = await life(real_pm2, "hasty")
    assert (hasty.state, hasty.created_at, hasty.exit_code) == ("waiting restart", None, 0)


@pytest.mark.servers
async def test_a_periodic_app_that_waits_is_well_and_one_that_is_to_be_online_is_not(
    real_pm2: RealPm2, tmp_path: Path
) -> None:
    for name in ("nightly-export", "shop-api"):
        real_pm2.run("start", real_pm2.app(name, AT_ONCE.format(code=0), restart_delay=3_600_000))
        await ended(real_pm2, name)
    orders = {"MONITORD_ORDERS__SERVICES": '{"nightly-export": "periodic", "shop-api": "online"}'}
    async with Watched(settings(real_pm2, tmp_path, **orders), tmp_path / "cwd") as watched:
        await watched.until("alert_firing", rule="service_down", subject="shop-api")
        services = (await watched.check())["services"]
        assert (services["nightly-export"]["state"], services["nightly-export"]["ok"]) == ("waiting restart", True)
        assert not watched.said("alert_firing", 0, subject="nightly-export")
