"""A mistake in a night's file is one clear line with the file's name and the step; and the checks can fail."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from monitord.core.engine import State
from monitord.core.orders import CheckOrder
from tests.core.habits import has_habits
from tests.core.nights import ORDERS, Night

from .files import NightError, Story, load
from .playing import complaints, judged, play, through_frames
from .vocabulary import FAILURES, PHRASES, happens, matching

NIGHT = """
title = "A night"
story = "The gateway stops."
every = "1m"
end = "+20m"
status = "critical"
covers = ["service_down:fires"]
[[then]]
at = "+10m"
what = "gateway stops"
[[said]]
firing = "service_down/gateway"
between = ["+10m", "+12m"]
advised = "investigate"
blocking = "users"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "07-a-night.toml"


def read(path: Path, old: str = "", new: str = "") -> Story:
    assert old in NIGHT
    path.write_text(NIGHT.replace(old, new), encoding="utf-8")
    return load(path)


def test_the_night_without_a_mistake_has_no_complaints(written: Path) -> None:
    assert complaints(play(read(written))) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "A night"', "", "title is missing"),
        ('title = "A night"', "title =", "Invalid value"),
        ('every = "1m"', 'evry = "1m"', "the night has no evry"),
        ('every = "1m"', 'every = "1m"\ncalm = "1m"', "calm = '1m' is no slower than every"),
        ('every = "1m"', 'every = "60"', "'60' has no unit; write 60s, 60m or 60h"),
        ("gateway stops", "gateway halts", "step 1 (at +10m): 'gateway halts' is no phrase of the vocabulary"),
        ('at = "+10m"', 'at = "10 past"', "step 1 (at 10 past): '10 past' is no time"),
        ('at = "+10m"', 'at = "+30m"', "step 1 (at +30m) comes after the end of the night"),
        ('what = "gateway stops"', "", "step 1 (at +10m): nothing happens"),
        ("what =", "waht =", "step 1 (at +10m): a step has no waht"),
        ("firing = ", "fires = ", "saying 1 (at +10m): a saying has no fires"),
        ("service_down/gateway", "service_dwon/gateway", "saying 1 (at +10m): 'service_dwon' is no rule"),
        ("service_down/gateway", "service_down", "saying 1 (at +10m): 'service_down' names no subject"),
        ('"+12m"]', '"+9m"]', "saying 1 (at +10m): the span +10m to +9m ends before it begins"),
        ('between = ["+10m", "+12m"]', "", "saying 1 (at ?): between is missing"),
        ('advised = "investigate"', 'advised = "panic"', "advised is 'panic'; it is one of restart_service, free_disk"),
        ('at = "+10m"', 'at = "-10m"', "step 1 (at -10m) comes before monitord has watched"),
        ('status = "critical"', 'status = "bad"', "status is 'bad'; it is one of ok, warning, unknown, critical"),
        ("service_down:fires", "service_down:burns", "covers: 'service_down:burns' is no claim"),
        ("[[then]]", '[orders]\nseal_waning = "1h"\n[[then]]', "[orders]: there is no order called seal_waning"),
        ("[[then]]", '[orders]\nseal_warning = "soon"\n[[then]]', "[orders]: seal_warning: 'soon' is no duration"),
        ("[[then]]", "silent = true\n[[then]]", "a night says something ([[said]]), or silent = true"),
        (
            "[[then]]",
            '[report]\nverdict = "NOGO"\n[[then]]',
            "report 1 (at the end): verdict is 'NOGO'; it is one of GO",
        ),
        ("[[then]]", "[report]\ncriteria = {}\n[[then]]", "report 1 (at the end): verdict is missing"),
        (
            "[[then]]",
            '[[report]]\nat = "+9m"\nverdict = "GO"\ncriteria = { no_restarts = 1 }\n[[then]]',
            "report 1 (at +9m): no_restarts is 1; it is true, false or 'unknown'",
        ),
        ("what =", 'readings = { "disk_used /" = 1 }\nwhat =', "step 1 (at +10m): 'disk_used /' names no sample"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_place(written: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(NightError) as told:
        read(written, old, new)
    assert str(told.value).startswith("07-a-night.toml: ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_step_about_somebody_who_is_not_there_is_told_when_it_is_played(written: Path) -> None:
    with pytest.raises(
        NightError, match=r"07-a-night.toml: step 1 \(at \+10m\): there is no service in PM2 called 'bob'"
    ):
        play(read(written, "gateway stops", "bob stops"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gateway stops", "cls-worker stops", "was never said"),
        ("gateway stops", "cls-worker stops", "not in the file: +0h11m05s firing service_down/cls-worker"),
        ('"+12m"]', '"+11m"]', "was said at +0h11m05s, not between +0h10m00s and +0h11m00s"),
        ("firing =", 'severity = "warning"\nfiring =', "is critical, not warning"),
        ("firing =", 'value = "errored"\nfiring =', "has the value 'stopped', not 'errored'"),
        ("firing =", "value = [1, 2]\nfiring =", "has the value 'stopped', not [1, 2]"),
        ("firing =", 'limit = "periodic"\nfiring =', "has the limit 'online', not 'periodic'"),
        ("firing =", 'text = "is errored"\nfiring =', "does not say 'is errored'"),
        ("firing =", 'reason = "severity"\nfiring =', "has the reason '', not 'severity'"),
        ("firing =", 'since = ["+0s", "+1m"]\nfiring =', "is since +0h11m00s"),
        ("firing =", 'suppressed_by = "disk_high//"\nfiring =', "is suppressed by '', not 'disk_high//'"),
        ('status = "critical"', 'status = "ok"', "the night ends critical, not ok"),
        ("what =", 'status = "warning"\nwhat =', "step 1 (at +10m): the status is ok, not warning"),
        ("[[then]]", 'never = ["service_down"]\n[[then]]', "service_down/gateway was suspected, and never should be"),
        ("[[then]]", 'suspected = ["disk_high"]\n[[then]]', "disk_high was never suspected"),
        ("[[then]]", 'suspected = ["service_down"]\n[[then]]', "service_down/gateway fired, and should only be"),
        ("[[then]]", "events = []\n[[then]]", "events were ['gateway stopped by operator'], not []"),
        ('advised = "investigate"', "", "comes with the advice 'investigate', not ''"),
        ('"investigate"', '"restart_service"', "comes with the advice 'investigate', not 'restart_service'"),
        ('"users"', '"epoch sealing"', "is said to block 'users', not 'epoch sealing'"),
        ("firing =", "resolved =", "not in the file: +0h11m05s investigate gateway"),
        (
            "[[then]]",
            '[report]\nverdict = "GO"\n[[then]]',
            "report 1 (at the end): the verdict is NO-GO, not GO: ",
        ),
        (
            "[[then]]",
            '[report]\nverdict = "NO-GO"\ncriteria = { memory_stable = false }\n[[then]]',
            "report 1 (at the end): memory_stable is met, not not met",
        ),
        (
            "[[then]]",
            '[report]\nverdict = "NO-GO"\nwithout = ["no_restarts"]\n[[then]]',
            "report 1 (at the end): no_restarts is judged",
        ),
        (
            "[[then]]",
            '[report]\nverdict = "NO-GO"\ntext = ["it rained"]\n[[then]]',
            "report 1 (at the end): does not say 'it rained'",
        ),
        (
            "[[then]]",
            '[report]\nverdict = "NO-GO"\nblind = [1, 2]\n[[then]]',
            "report 1 (at the end): was blind for 0.0 minutes, not 1 to 2",
        ),
        ("[[then]]", 'noted = ["fell"]\n[[then]]', "notes were [], not ['fell']"),
    ],
)
def test_a_night_that_goes_otherwise_than_its_file_says_is_complained_of(
    written: Path, old: str, new: str, said: str
) -> None:
    assert any(said in line for line in complaints(play(read(written, old, new))))


def test_a_reading_may_be_given_null_or_absent_and_be_measured_again(written: Path) -> None:
    key = "disk_used path=/"
    night = play(
        read(
            written,
            '[[said]]\nfiring = "service_down/gateway"\nbetween = ["+10m", "+12m"]',
            f'readings = {{ "{key}" = "null" }}\n'
            f'[[then]]\nat = "+12m"\nreadings = {{ "{key}" = "absent" }}\n'
            f'[[then]]\nat = "+14m"\nreadings = {{ "{key}" = "measured" }}\n'
            '[[said]]\nfiring = "service_down/gateway"\nbetween = ["+10m", "+12m"]',
        )
    )
    told = [
        [s.value for s in seen.readings["host"].named("disk_used")]
        for seen in night.observations
        if "host" in seen.readings
    ]
    assert [told[10], told[11], told[13], told[15]] == [[24.0], [None], [], [24.0]]


def test_a_calm_night_is_looked_at_seldom_but_around_what_is_written() -> None:
    story = load(Path(__file__).with_name("301-redis-is-away-for-most-of-the-night.toml"))
    assert story.calm is not None
    calm, whole = play(story), play(replace(story, calm=None))
    said = [[(at, t.edge, t.alert.rule, t.alert.subject) for at, t in night.edges] for night in (calm, whole)]
    assert said[0] == said[1]
    assert len(calm.night.looks) < len(whole.night.looks) / 2
    begin = story.start.timestamp()
    looked = [look.at - begin for look in calm.night.looks]
    for step in story.steps:
        around = [at for at in looked if abs(at - step.at) <= 9 * story.every]
        assert len(around) >= 9
    assert max(after - before for before, after in itertools.pairwise(looked)) <= story.calm


def test_a_night_judged_under_other_orders_is_another_night(written: Path) -> None:
    night = play(read(written))
    patient = [night.night.orders.__class__(confirmations=99)] * len(night.observations)
    assert judged(night.observations, patient)[1] != night.transitions
    assert judged([], []) == (State(), [])
    assert list(through_frames([])) == []


def _example(template: str) -> str:
    """A phrase of this template, for a night of the standing orders."""
    examples = {
        "service": "gateway",
        "name": "cls-worker-s0",
        "other": "cls-worker-s1",
        "signal": "SIGKILL",
        "server": "PM2",
        "how": "talks nonsense",
        "kind": "timeout",
        "group": "MILO",
        "table": "user_signals",
        "queue": "tree-builder",
        "check": "shop",
        "subject": "user_signals",
        "duration": "10m",
        "every": "30m",
        "step": "-1h",
        "clock": "05:00",
        "past": "01:00",
        "rate": "3/s",
        "size": "90MB",
        "low": "90MB",
        "high": "190MB",
        "slow": "1/s",
        "busy": "4/s",
        "percent": "40%",
        "count": "1",
        "code": "0",
        "channel": "milo03",
        "state": "warning",
        "words": "it is late",
    }
    example = re.sub(r"\{(\w+)(?::\w+)?\}", lambda place: examples[place[1]], template)
    return example.replace("resurrected without cls-worker-s0", "resurrected without gateway")


@pytest.mark.parametrize("template", PHRASES)
def test_a_phrase_is_understood_in_one_way_and_can_happen(template: str) -> None:
    phrase = _example(template)
    assert matching(phrase) == [template]
    night = Night(replace(ORDERS, probes=ORDERS.probes | {"checks"}, checks={"shop": CheckOrder("http")}), every=60)
    has_habits(night)
    night.look()
    happens(night, phrase)
    night.passes(minutes=1)


def test_the_readme_lists_the_vocabulary_and_the_failures() -> None:
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    listed = [line.removeprefix("- ") for line in readme.splitlines() if line.startswith("- ")]
    assert listed == [re.sub(r"\{(\w+):\w+\}", r"{\1}", template) for template in PHRASES]
    assert all(how in re.sub(r"\s+", " ", readme) for how in FAILURES)
