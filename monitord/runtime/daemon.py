"""The daemon: builds what the settings ask for, starts it, keeps it going, and stops it in reverse.

The only room that knows APScheduler, signals and reloading. APScheduler says when a cycle is due, by the wall clock;
the scheduler runs one thing at a time, and says when APScheduler has lost its clock.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from monitord import __version__
from monitord.config.apart import READ_SECONDS
from monitord.config.judging import standing_orders
from monitord.config.settings import Settings, SettingsError, sections, variable_of
from monitord.core.history.process_model import ServiceHistory
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Report
from monitord.core.subjects.registry import registered, subject_named, title_of
from monitord.logging.logger import JsonLog
from monitord.notify.channels import channels
from monitord.notify.dispatcher import Dispatcher
from monitord.pm2.ipc import IpcChannel
from monitord.probes import Probes
from monitord.runtime.bus_listener import BusListener
from monitord.runtime.cycle import Monitor
from monitord.runtime.pm2_agent import Pm2Agent
from monitord.runtime.scheduler import Scheduler
from monitord.runtime.signals import SignalHandlers
from monitord.runtime.signs import Keepalives, Sign
from monitord.runtime.web_service import WebService
from monitord.storage.inbox import ask
from monitord.storage.lock import DirectoryLock
from monitord.storage.store import Store
from monitord.threads import WorkerBusy, WorkerThread, run_once

if TYPE_CHECKING:
    from monitord.pm2.bus import Bus
    from monitord.reporting.metric_families import Facts
    from monitord.web.backend import DaemonBackend

# A thousand services, of which the last cycles are judged again, take a second; a busy machine several.
LOAD_TIMEOUT_SECONDS: Final = 15.0
RECORD_TIMEOUT_SECONDS: Final = 3.0
STOP_TIMEOUT_SECONDS: Final = 1.0
RELOAD_STEP_SECONDS: Final = 3.0
# Longer than reading gives itself.
RELOAD_READ_SECONDS: Final = READ_SECONDS + 1.0
TIDY_TIMEOUT_SECONDS: Final = 30.0
CYCLE_JOB: Final = "cycle"
VERDICT_JOB: Final = "verdict"
# The window of a scheduled verdict: overnight.
VERDICT_SPAN: Final = timedelta(hours=12)

Loader = Callable[[], Settings]
# Leaves the settings' origin in the state directory, for commands that are run from elsewhere.
Recorder = Callable[[], None]


class Daemon:
    """The daemon, from the lock on its state directory to the last saved cycle.

    On a thread, `load` reads the settings at a reload (or raises SettingsError), and `record` is called when they have
    taken effect. `jobs` says when cycles are due; one that falls silent is made up for.
    """

    def __init__(
        self,
        settings: Settings,
        load: Loader,
        log: JsonLog,
        ipc: IpcChannel,
        jobs: AsyncIOScheduler | None = None,
        record: Recorder | None = None,
    ) -> None:
        self._settings = settings
        self._load = load
        self._record = record
        self._log = log
        self._ipc = ipc
        self._lock = DirectoryLock(settings.state_dir)
        self._store = Store(settings.state_dir)
        self._pm2_agent = Pm2Agent(
            ipc, lambda answer: self._scheduler.ask_check("pm2", answer), self._night, lambda: self._listening.word, log
        )
        self._scheduler = Scheduler(log, self._reload, self._schedule_anew, self._pm2_agent.decided)
        self._pings = Keepalives(self._heard_of)
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._tidying = WorkerThread("log files")
        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it has two lines to say of every job it runs
        self._jobs = jobs or AsyncIOScheduler(timezone=UTC)
        self._web = WebService(log, settings, self._backend)
        self._dispatcher = Dispatcher(settings, self._store, log, self._web.publish)
        self._listening = BusListener(log, self._known, self._dispatcher.events.service_event, self._heard_on_bus)

    @property
    def bus(self) -> Bus | None:
        return self._listening.bus

    async def run(self) -> None:
        """Monitor until stopped. Where nothing could be started: SettingsError (an address), or DirectoryInUse."""
        orders = standing_orders(self._settings)
        self._probes = self._build(self._settings, orders)
        configured = channels(self._settings)
        self._take_lock()
        signal_handlers = SignalHandlers(self._heard)
        self._ipc.attach(
            on_shutdown=lambda: self._ask_stop("PM2 asked for it"),
            on_orphaned=self._orphaned,
            on_action=self._pm2_agent.asked,
        )
        self._pm2_agent.register()
        self._log.emit("monitord_started", "info", f"monitord {__version__} has started.", **self._who())
        self._say_what_is_off(self._settings)
        await self._record_settings()
        snapshot, aside = await self._store.load(LOAD_TIMEOUT_SECONDS)
        for server, message in self._probes.tls_unverified:
            self._log.emit("tls_unverified", "warning", message, probe=server)
        self._monitor = Monitor(
            self._probes.all,
            orders,
            snapshot.state,
            self._store,
            self._dispatcher,
            self._settings.probe_timeout.total_seconds(),
            self._listening.drain,
            snapshot.hour,
        )
        if aside is not None:
            self._monitor.aside(aside)
        await self._dispatcher.open(configured, self._settings)
        self._listening.start(self._settings.pm2.home)
        scheduler = asyncio.create_task(self._conduct(), name="scheduler")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({scheduler, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if scheduler.done():
                scheduler.result()  # raises what ended it: it never ends by itself
        finally:
            signal_handlers.close()
            await self._shut_down(scheduler, stopped)

    # Starting and stopping

    def _take_lock(self) -> None:
        try:
            self._settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            why = str(error.strerror)
            message = f"The state directory cannot be locked ({why}): a second monitord would not be noticed."
            self._log.emit("state_unlocked", "warning", message, error=why)

    def _heard(self, number: signal.Signals) -> None:
        if number is signal.SIGUSR1:
            self._scheduler.ask_check("signal")
        elif number is signal.SIGHUP:
            self._scheduler.ask_reload()
        else:
            self._ask_stop(number.name)

    def _heard_of(self, probe: str, what: str, member: str = "") -> None:
        self._scheduler.hear(Sign(probe, what, member))

    def _heard_on_bus(self, what: str) -> None:
        for subject in registered():
            if subject.has_bus:
                self._heard_of(subject.name, what)

    def _build(self, settings: Settings, orders: StandingOrders) -> Probes:
        own = frozenset({os.getpid()})
        probes = Probes(settings, orders, lambda: own, self._listening.error_lines)
        probes.listen(self._heard_of)
        return probes

    def _schedule(self) -> None:
        """Set both jobs to the settings as they are. A late run still runs, once (APScheduler would skip it)."""
        every = self._settings.check_interval.total_seconds()
        tidy_every = min(600.0, max(1.0, self._settings.log_retention.total_seconds() / 4))
        report = CronTrigger.from_crontab(self._settings.report_schedule, timezone=UTC)
        if self._jobs.get_job(VERDICT_JOB) is not None:
            self._jobs.remove_job(VERDICT_JOB)
        add = partial(self._jobs.add_job, replace_existing=True, misfire_grace_time=None, coalesce=True)
        add(self._ask_cycle, IntervalTrigger(seconds=every, timezone=UTC), id=CYCLE_JOB)
        add(self._ask_scheduled_check, report, id="report")
        add(self._tidy, IntervalTrigger(seconds=tidy_every, timezone=UTC), id="tidy")
        if self._settings.report_verdict_schedule:
            verdict = CronTrigger.from_crontab(self._settings.report_verdict_schedule, timezone=UTC)
            add(self._send_verdict, verdict, id=VERDICT_JOB)
        self._scheduler.paced(every)
        self._pings.start(self._probes.pinged, every)

    async def _shut_down(self, scheduler: asyncio.Task[None], stopped: asyncio.Task[bool]) -> None:
        """Everything in reverse, each step within its deadline: PM2 kills what does not stop in time."""
        self._log.emit("monitord_stopping", "info", "monitord is stopping.", **self._who(), reason=self._stop_reason)
        stopped.cancel()
        if self._jobs.running:
            self._jobs.shutdown(wait=False)
        scheduler.cancel()
        with suppress(asyncio.CancelledError):
            await _in_time(scheduler)
        endings = (self._web.close(), self._dispatcher.close(STOP_TIMEOUT_SECONDS), self._look_no_more())
        await asyncio.gather(*map(_in_time, endings), return_exceptions=True)
        await self._store.close(STOP_TIMEOUT_SECONDS)
        self._lock.release()
        self._log.emit("monitord_stopped", "info", "monitord has stopped.", **self._who())
        self._ipc.close()

    async def _look_no_more(self) -> None:
        await self._pings.close()
        await self._pm2_agent.close()
        await self._probes.close()
        await self._listening.close()

    # What may be requested, at any time, from signals, jobs and PM2

    # Jobs are coroutines: APScheduler would run plain functions on threads of the pool that name look-ups may hang in.

    async def _ask_cycle(self) -> None:
        self._scheduler.ask_cycle()

    async def _ask_scheduled_check(self) -> None:
        self._scheduler.ask_check("schedule")

    async def _send_verdict(self) -> None:
        """The morning's report, while monitoring goes on. What goes wrong with it costs the report."""
        try:
            night = await self._night()
        except Exception as error:  # noqa: BLE001 - see above
            self._log.internal("the report could not be made", error)
            return
        await self._dispatcher.verdict(night)

    async def _night(self) -> Report:
        # With all that judges a night: only for who asks for it.
        from monitord.reporting.report_builder import report_from_recording

        until = datetime.now(UTC)
        return await report_from_recording(self._settings, self._monitor.orders, until - VERDICT_SPAN, until)

    async def _tidy(self) -> None:
        with suppress(OSError, WorkerBusy):  # a disk that hangs has its own alert
            await self._tidying.run(self._log.tidy, timeout=TIDY_TIMEOUT_SECONDS)

    async def _record_settings(self) -> None:
        if self._record is not None:
            with suppress(OSError, WorkerBusy, SettingsError):  # whether the directory can be written, saving shows
                await self._tidying.run(self._record, timeout=RECORD_TIMEOUT_SECONDS)

    def _ask_stop(self, reason: str) -> None:
        self._stop_reason = reason
        self._stop.set()

    def _orphaned(self) -> None:
        self._log.emit("pm2_channel_closed", "warning", "PM2 itself has gone: nobody restarts this process any more.")
        self._log.orphaned()
        self._scheduler.ask_check("pm2")

    def _known(self, name: str) -> ServiceHistory | None:
        return self._monitor.state.history.services.get(name)

    def _backend(self, settings: Settings) -> DaemonBackend:
        from monitord.web.backend import DaemonBackend  # with all that it reads: only where there is a page

        def facts(settings: Settings) -> Facts:
            return self._dispatcher.facts(settings, self._listening.bus)

        asked = self._scheduler
        return DaemonBackend(
            self._log, settings, asked.ask_check, ask, facts, self._monitor.hour_so_far, self._heard_of
        )

    async def _conduct(self) -> None:
        await self._scheduler.first(self._monitor)
        self._schedule()
        self._jobs.start()
        self._log.emit("monitord_ready", "info", "monitord is watching.", **self._who())
        self._ipc.ready()
        self._web.start()
        await self._scheduler.conduct()

    def _schedule_anew(self) -> None:
        """The wall clock was set back, and the scheduler waits for a time that is far away."""
        every = timedelta(seconds=self._settings.check_interval.total_seconds())
        with suppress(Exception):  # the scheduler's own trouble is what this makes up for
            self._jobs.modify_job(CYCLE_JOB, next_run_time=datetime.now(UTC) + every)

    # Settings read again

    async def _reload(self) -> None:
        try:
            settings = await run_once("settings", self._load, timeout=RELOAD_READ_SECONDS)
            if settings.state_dir != self._settings.state_dir:
                raise SettingsError(("MONITORD_STATE_DIR: cannot change while monitord runs; restart it instead",))
            orders = standing_orders(settings)
            probes = self._build(settings, orders)
            configured = channels(settings)
        except Exception as error:  # noqa: BLE001 - monitoring goes on with the settings it has
            if not isinstance(error, SettingsError):
                self._log.internal("the settings could not be read again; the old ones stay", error)
                return
            message = f"The new settings are wrong; the old ones stay: {'; '.join(error.mistakes)}."
            self._log.emit("settings_rejected", "warning", message, mistakes=list(error.mistakes))
            return
        changed = settings.differences(self._settings)
        old, before = self._probes, self._settings
        if settings.pm2.home != before.pm2.home:
            await _in_time(self._listening.close())
            self._listening.start(settings.pm2.home)
        self._settings, self._probes = settings, probes
        self._monitor.probes, self._monitor.orders = self._probes.all, orders
        self._monitor.timeout = settings.probe_timeout.total_seconds()
        self._log.reconfigure(settings.log_level, settings.log_retention)
        # The old ones too: what is being sent was opened with them.
        self._log.hide(settings.secrets() | before.secrets())
        self._schedule()
        self._scheduler.due_now()
        await self._record_settings()
        message = f"Settings read again; changed: {', '.join(changed) or 'nothing'}."
        self._log.emit("settings_reloaded", "info", message, changed=list(changed))
        # What goes wrong with one of these costs it, and neither the others nor monitord.
        await self._do(self._dispatcher.reopen(configured, settings, before, STOP_TIMEOUT_SECONDS))
        await self._do(self._web.apply(settings))
        await self._do(old.close())

    async def _do(self, step: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(RELOAD_STEP_SECONDS):
                await step
        except Exception as error:  # noqa: BLE001 - see above
            self._log.internal("a part of the new settings has not taken effect", error)

    def _say_what_is_off(self, settings: Settings) -> None:
        """Once, at the start; nothing is said of a server that nobody has unless they name it, as a chain."""
        for name, section in sections(settings):
            subject = subject_named(name)
            if section.needs and not section.is_watched() and (subject is None or not subject.needs):
                variable = variable_of(name, section.needs)
                message = f"{title_of(name)} is not watched: {variable} is not set."
                self._log.emit("probe_off", "info", message, what=name, variable=variable)

    def _who(self) -> dict[str, object]:
        return {"version": __version__, "pid": os.getpid()}


async def _in_time(ending: Awaitable[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await ending
