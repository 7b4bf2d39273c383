"""Who is told what of a night: planned purely, from what each cycle decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitord.config.routes import quiet_hours
from monitord.core.alerting.silences import silence_id
from monitord.core.engine import Decision
from monitord.core.model import Silence, Transition, Unmeasured
from monitord.core.status import verdict
from monitord.notify.channels.base import DeliveryPolicy
from monitord.notify.message import Links, Message, Origin
from monitord.notify.routing import PlannedMessage, edge_message, plan, still_firing
from monitord.reporting.nagios import nagios
from tests.core.nights import BASELINE, LONG, Night, watching

HOURLY = replace(LONG, remind_every=timedelta(hours=1))
BOX = Origin("box-1", "shop")
ASLEEP = Origin("box-1", "", quiet_hours("03:00-07:00"))


@dataclass
class Named:
    """A channel that is only asked for its name and its policy."""

    name: str = "webhook"
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)

    async def send(self, messages: Sequence[Message], now: datetime) -> None: ...

    async def close(self) -> None: ...


WEBHOOK = Named()
CRITICAL = Named("ntfy", DeliveryPolicy(least="critical"))
LEVEL = Named("alertmanager", DeliveryPolicy(coalesces=False, quiet=False, resend_every=60.0))


class RoutingPlans:
    """Plans every decision of a night in turn."""

    def __init__(self, *channels: Named, sender: Origin = BOX) -> None:
        self.channels: tuple[Named, ...] = channels
        self.sender = sender
        self.told: dict[str, tuple[str, ...]] = {}
        self.planned: list[PlannedMessage] = []
        self._seen = 0

    def hears(self, night: Night) -> None:
        for look in night.looks[self._seen :]:
            self.decides(look.decision)
        self._seen = len(night.looks)

    def decides(self, decision: Decision) -> None:
        planned, self.told = plan(decision, self.told, self.channels, self.sender)
        self.planned += planned

    def kinds(self, channel: Named) -> list[str]:
        return [f"{p.message.kind} {p.message.rule}" for p in self.planned if p.channel == channel.name]


def test_an_alert_is_told_once_when_it_fires_and_once_when_it_is_over() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=10)
    night["gateway"].starts()
    night.passes(minutes=10)
    plans.hears(night)
    assert plans.kinds(WEBHOOK) == ["firing service_down", "resolved service_down"]
    assert plans.told == {}


def test_a_message_says_where_what_since_when_and_what_to_do() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    (told,) = plans.planned
    alert = night.fired_once("service_down", "gateway")
    assert told.message.title.startswith("CRITICAL shop/box-1: gateway is ")
    assert alert.finding.recommendation in told.message.text
    assert "Check: " in told.message.text
    assert f"alert {alert.id}" in told.message.text
    assert (told.message.fields["instance"], told.message.fields["fleet"]) == ("box-1", "shop")
    assert (told.message.alert_id, told.message.severity) == (alert.id, "critical")


def test_what_is_explained_by_its_cause_is_not_told() -> None:
    night, plans = watching("pm2", "postgres"), RoutingPlans(WEBHOOK)
    night["stream-listener"].stops()
    night["milo-worker-v2"].stops()
    night.table.per_second = 0.0
    night.passes(minutes=40)
    plans.hears(night)
    assert any(edge.edge == "suppressed" for edge in night.transitions)
    assert not any(p.message.rule == "table_flow_stalled" for p in plans.planned)


def test_planned_again_it_is_the_same_message_under_the_same_id() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=1)
    first, second = RoutingPlans(WEBHOOK), RoutingPlans(WEBHOOK)
    first.hears(night)
    second.hears(night)
    assert first.planned == second.planned


def test_every_way_out_is_told_under_the_same_id() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK, CRITICAL)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    assert {p.channel for p in plans.planned} == {"webhook", "ntfy"}
    assert len({p.message.id for p in plans.planned}) == 1


def test_a_way_out_for_critical_alerts_hears_nothing_of_warnings_until_they_grow() -> None:
    night, plans = watching("pm2", "host"), RoutingPlans(WEBHOOK, CRITICAL)
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    plans.hears(night)
    assert (plans.kinds(WEBHOOK), plans.kinds(CRITICAL)) == (["firing disk_high"], [])
    night.host.disk_used = 85.0
    night.passes(minutes=5)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == ["firing disk_high"]
    night.host.disk_used = 20.0
    night.passes(minutes=5)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == ["firing disk_high", "resolved disk_high"]
    assert plans.kinds(WEBHOOK) == ["firing disk_high", "firing disk_high", "resolved disk_high"]


def test_the_end_is_told_only_where_the_beginning_was() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    plans.channels = (WEBHOOK, CRITICAL)
    night["gateway"].starts()
    night.passes(minutes=1)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == []


def test_a_way_out_that_fails_is_told_of_through_the_others_alone() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK, CRITICAL, replace(LEVEL))
    night.own_gaps = (Unmeasured("notify webhook", "refused", "delivery to webhook fails: refused"),)
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.kinds(WEBHOOK) == []
    assert plans.kinds(LEVEL) == ["firing monitor_degraded"]
    night.own_gaps = ()
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.kinds(WEBHOOK) == []


def test_what_fires_on_is_said_again_and_where_reminders_are_the_receivers_own_it_is_not() -> None:
    night, plans = watching("pm2", orders=HOURLY, every=120), RoutingPlans(WEBHOOK, LEVEL)
    night["gateway"].stops()
    night.passes(hours=2, minutes=30)
    plans.hears(night)
    assert plans.kinds(WEBHOOK) == ["firing service_down", "reminder service_down", "reminder service_down"]
    assert plans.kinds(LEVEL) == ["firing service_down"]
    assert "It has been firing for 1 h" in plans.planned[2].message.text


def test_what_is_acknowledged_is_not_said_again() -> None:
    night, plans = watching("pm2", orders=HOURLY, every=120), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=1)
    (place, alert), *_ = night.state.alerts.items()
    night.state = replace(night.state, alerts={place: replace(alert, acked_at=night.looks[-1].observation.now)})
    night.passes(hours=3)
    plans.hears(night)
    assert plans.kinds(WEBHOOK) == ["firing service_down"]


def test_a_clock_set_back_neither_floods_nor_silences_reminders() -> None:
    night, plans = watching("pm2", orders=HOURLY, every=120), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=10)
    night.clock_error -= 86400
    night.passes(hours=1, minutes=30)
    plans.hears(night)
    assert plans.kinds(WEBHOOK).count("reminder service_down") == 1


def test_in_quiet_hours_warnings_wait_for_their_end_and_critical_alerts_do_not() -> None:
    night, plans = watching("pm2", "host"), RoutingPlans(WEBHOOK, LEVEL, sender=ASLEEP)
    night.host.disk_used = 75.0
    night["gateway"].stops()
    night.passes(minutes=5)
    plans.hears(night)
    seven = night.looks[0].observation.now.replace(hour=7, minute=0).timestamp()
    dues = {(p.channel, p.message.rule): p.due for p in plans.planned}
    assert dues == {
        ("webhook", "disk_high"): seven,
        ("webhook", "service_down"): 0.0,
        ("alertmanager", "disk_high"): 0.0,
        ("alertmanager", "service_down"): 0.0,
    }


def test_a_silence_over_what_was_told_ends_it_where_it_would_page_on_and_is_not_news_elsewhere() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK, LEVEL)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    decision = night.looks[-1].decision
    (place, alert), *_ = decision.state.alerts.items()
    quiet = replace(alert, state="suppressed")
    edge = Transition("suppressed", quiet, decision.at, suppressed_by="silence-1")
    state = replace(decision.state, alerts={place: quiet})
    plans.decides(replace(decision, state=state, transitions=(edge,), actions=()))
    assert plans.kinds(LEVEL) == ["firing service_down", "resolved service_down"]
    assert plans.kinds(WEBHOOK) == ["firing service_down"]
    plans.decides(replace(decision, state=state, transitions=(Transition("resolved", quiet, decision.at),), actions=()))
    assert plans.kinds(WEBHOOK) == ["firing service_down", "resolved service_down"]
    assert plans.kinds(LEVEL) == ["firing service_down", "resolved service_down"]


def test_what_fires_now_is_what_is_told_again_and_again() -> None:
    night = watching("pm2", "host")
    night["gateway"].stops()
    night.host.disk_used = 75.0
    night.passes(minutes=2)
    firing = still_firing(night.looks[-1].decision, LEVEL, BOX, {})
    assert {message.rule for message in firing} == {"service_down", "disk_high"}
    only = replace(LEVEL.policy, least="critical")
    firing = still_firing(night.looks[-1].decision, Named("alertmanager", only), BOX, {})
    assert {message.rule for message in firing} == {"service_down"}


# Channels that come while something fires


def _two_down(night: Night) -> None:
    night["gateway"].stops()
    night["tree-builder"].stops()
    night.passes(minutes=2)


def test_a_channel_that_comes_while_something_fires_is_told_so_once_and_of_the_end() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=2)
    plans.hears(night)
    plans.channels = (WEBHOOK, CRITICAL)
    night.passes(hours=1)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == ["firing service_down"]
    assert plans.kinds(WEBHOOK) == ["firing service_down"]
    first, late = [planned.message for planned in plans.planned]
    assert (late.id, late.at) == (first.id, first.at)  # the same news, and as old as it is
    night["gateway"].starts()
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == ["firing service_down", "resolved service_down"]


def test_several_alerts_that_fire_already_are_one_digest_and_a_restart_does_not_tell_them_again() -> None:
    night, plans = watching("pm2"), RoutingPlans()
    _two_down(night)
    plans.hears(night)
    assert plans.told == {}
    plans.channels = (WEBHOOK,)
    night.passes(minutes=2)
    plans.hears(night)
    (planned,) = plans.planned
    assert (planned.message.kind, {part.subject for part in planned.message.parts}) == (
        *("digest", {"gateway", "tree-builder"}),
    )
    again = RoutingPlans(WEBHOOK)
    again.told = dict(plans.told)  # what the snapshot kept
    night.passes(hours=1)
    again._seen = len(night.looks) - 10
    again.hears(night)
    assert again.planned == []


def test_a_channel_that_was_away_or_is_another_receiver_by_now_is_brought_up_to_date() -> None:
    night, plans = watching("pm2"), RoutingPlans(Named("ntfy", DeliveryPolicy(receiver="one")))
    night["gateway"].stops()
    night.passes(minutes=2)
    plans.hears(night)
    comes: tuple[tuple[Named, ...], ...] = (
        (),
        (Named("ntfy", DeliveryPolicy(receiver="one")),),
        (Named("ntfy", DeliveryPolicy(receiver="two")),),
    )
    for channels in comes:
        plans.channels = channels
        night.passes(minutes=2)
        plans.hears(night)
    assert [planned.message.kind for planned in plans.planned] == ["firing", "firing", "firing"]


def test_a_snapshot_of_an_older_monitord_knows_channels_by_name_and_nobody_is_told_twice() -> None:
    night, plans = watching("pm2"), RoutingPlans(Named("ntfy", DeliveryPolicy(receiver="one")))
    night["gateway"].stops()
    night.passes(minutes=2)
    alert = night.fired_once("service_down", "gateway")
    plans.told = {alert.id: ("ntfy",)}
    plans.decides(night.looks[-1].decision)
    assert plans.planned == []


def test_what_is_over_by_the_last_reading_is_no_news_for_a_newcomer() -> None:
    night, plans = watching("pm2"), RoutingPlans()
    night["gateway"].stops()
    night.passes(minutes=2)
    plans.hears(night)
    plans.channels = (WEBHOOK,)
    night["gateway"].starts()
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.planned == []


def test_a_newcomer_hears_of_a_warning_only_where_it_is_wanted_and_after_the_quiet_hours() -> None:
    night, plans = watching("pm2", "host"), RoutingPlans(sender=ASLEEP)
    night.host.disk_used = 75.0
    night.passes(minutes=2)
    plans.hears(night)
    plans.channels = (WEBHOOK, CRITICAL)
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.kinds(CRITICAL) == []
    (planned,) = plans.planned
    assert planned.due > night.now


# What a message says


def test_what_the_title_says_is_not_the_first_line_too_and_the_end_says_what_is_true_now() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=10)
    night["gateway"].starts()
    night.passes(minutes=10)
    plans.hears(night)
    firing, resolved = [planned.message for planned in plans.planned]
    alert = night.fired_once("service_down", "gateway")
    assert alert.finding.summary in firing.title
    assert alert.finding.summary not in firing.text
    assert "Evidence: instance 3 (PM2 id): stopped" in firing.text
    assert resolved.title == "RESOLVED shop/box-1: gateway is online again since 04:07 UTC."
    first, *_ = resolved.text.splitlines()
    assert first.startswith(
        "It fired for 10 min 30 s, from 03:57:05 UTC to 04:07:35 UTC. What it was: gateway is stopped"
    )
    assert resolved.text.lower().count("resolved") == 0
    assert resolved.fields["now"] == "gateway is online again since 04:07 UTC."


def test_a_title_that_has_to_be_cut_is_said_whole_in_the_text() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=10)
    plans.hears(night)
    edge = next(t for look in night.looks for t in look.decision.transitions if t.edge == "firing")
    long = replace(edge.alert.finding, summary="gateway is stopped " + "and stopped " * 30 + "for good.")
    told = edge_message(replace(edge, alert=replace(edge.alert, finding=long)), (), BOX)
    assert told.title.endswith("…")
    assert told.text.splitlines()[0] == long.summary


def test_of_several_the_worst_is_named_wherever_they_are_summed_up() -> None:
    night, plans = watching("pm2", "host"), RoutingPlans()
    night.host.disk_used = 75.0
    night.passes(minutes=1)
    night["gateway"].stops()
    night.passes(minutes=2)
    plans.hears(night)
    plans.channels = (WEBHOOK,)
    night.passes(minutes=1)
    plans.hears(night)
    (digest,) = [planned.message for planned in plans.planned]
    assert "the worst: gateway is stopped" in digest.title
    assert digest.text.startswith("The worst: gateway is stopped")
    report = night.looks[-1].decision.report
    assert verdict(report).startswith("2 alerts fire, the worst: gateway is stopped")
    assert "gateway is stopped" in nagios(report, night.orders, 1.0).splitlines()[0]


def test_what_no_reading_ended_is_not_called_resolved() -> None:
    night, plans = watching("pm2"), RoutingPlans(LEVEL)
    night["gateway"].stops()
    night.passes(minutes=2)
    name = silence_id("gateway", "", "", BASELINE)
    night.asks("silence", silence=Silence(name, "gateway", BASELINE, BASELINE + timedelta(days=1)))
    night.passes(minutes=2)
    plans.hears(night)
    assert plans.planned[-1].message.title == "ENDED shop/box-1: service_down of gateway is silenced."


LINKED = Origin("box-1", links=Links("https://m.example.com", b"k" * 32))


def test_a_message_carries_the_page_of_its_alert_and_while_it_fires_where_to_acknowledge_it() -> None:
    night, plans = watching("pm2", orders=LONG, every=240), RoutingPlans(WEBHOOK, sender=LINKED)
    night["gateway"].stops()
    night.passes(hours=5)
    night["gateway"].starts()
    night.passes(minutes=5)
    plans.hears(night)
    fired, again, over = (each.message for each in plans.planned)
    identity = night.fired_once("service_down", "gateway").id
    assert {m.link for m in (fired, again, over)} == {f"https://m.example.com/alerts/{identity}"}
    assert all(m.ack.startswith(f"https://m.example.com/a/{identity}.") for m in (fired, again))
    assert (fired.ack == again.ack, over.ack) == (False, "")
    assert fired.ack not in repr(fired)
    assert fired.ack not in fired.text + fired.short + str(fired.fields)


def test_without_a_public_address_no_message_has_one() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    assert {(p.message.link, p.message.ack) for p in plans.planned} == {("", "")}


def test_the_short_text_is_what_to_do_and_the_id() -> None:
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK)
    night["gateway"].stops()
    night.passes(minutes=1)
    plans.hears(night)
    (told,) = plans.planned
    alert = night.fired_once("service_down", "gateway")
    assert told.message.short == f"{alert.finding.recommendation}\nalert {alert.id}"
