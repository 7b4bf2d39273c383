"""Every watched subject, in the order in which they are shown, and what packages add to them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from monitord.core.history.model import History
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Subject
from monitord.core.subjects.chain import CHAIN
from monitord.core.subjects.checks import CHECKS
from monitord.core.subjects.epochs import EPOCHS
from monitord.core.subjects.guard import broken, guarded
from monitord.core.subjects.host import HOST
from monitord.core.subjects.monitord import MONITORD
from monitord.core.subjects.pipeline import PIPELINE
from monitord.core.subjects.pm2 import PM2
from monitord.core.subjects.postgres import POSTGRES
from monitord.core.subjects.redis import REDIS

# Those that monitord itself declares.
SUBJECTS: tuple[Subject, ...] = (PM2, POSTGRES, EPOCHS, PIPELINE, CHAIN, REDIS, HOST, CHECKS, MONITORD)
# Packages add theirs as entry points of this group, by the subject's name; its probe is one of `monitord.probes`.
ENTRY_POINTS = "monitord.subjects"
_registered: tuple[Subject, ...] = SUBJECTS
_by_name: dict[str, Subject] = {subject.name: subject for subject in SUBJECTS}
# Those that monitord reads by itself: no package adds one.
ALWAYS: Final = frozenset(subject.name for subject in SUBJECTS if subject.always)


def registered() -> tuple[Subject, ...]:
    """Every subject there is: monitord's own, then those that were added."""
    return _registered


def register(subject: Subject, package: str = "") -> None:
    """Add a package's subject before the first cycle. ValueError: a name is taken. TypeError, KeyError: it is none."""
    subject = guarded(subject, package or subject.name)
    for kind, names in _DECLARED.items():
        if taken := set(names(subject)) & {name for other in _registered for name in names(other)}:
            raise ValueError(f"the {kind} {', '.join(sorted(taken))} is declared already")
    _replace((*_registered, subject))


def set_aside(name: str, package: str, error: BaseException, part: str = "") -> None:
    """Put in the place of a subject that cannot be used one that says so, and is unknown."""
    unregister(name)
    _replace((*_registered, broken(name, package, error, part)))


def unregister(name: str) -> None:
    _replace(tuple(subject for subject in _registered if subject.name != name or subject in SUBJECTS))


def _replace(subjects: tuple[Subject, ...]) -> None:
    global _registered, _by_name
    _registered, _by_name = subjects, {subject.name: subject for subject in subjects}


# What each subject names, and no other may.
_DECLARED: Final[Mapping[str, Callable[[Subject], Iterable[str]]]] = {
    "subject": lambda subject: (subject.name,),
    "section": lambda subject: (section.name for section in subject.status),
    # That something cannot be measured is one rule of every subject.
    "rule": lambda subject: (rule.name for rule in subject.rules if "unmeasured" not in rule.roles),
    "metric": lambda subject: (metric.name for group in subject.metrics for metric in group.metrics),
    "part of the report": lambda subject: (part.name for part in subject.report_parts),
}


def added() -> tuple[Subject, ...]:
    return _registered[len(SUBJECTS) :]


def measured() -> tuple[Subject, ...]:
    """Those of which a probe must be configured."""
    return tuple(subject for subject in _registered if not subject.always)


def subject_named(name: str) -> Subject | None:
    return _by_name.get(name)


def lacking_of(name: str, history: History) -> frozenset[str]:
    """What of the past the probe of this name is still to read."""
    subject = _by_name.get(name)
    return frozenset() if subject is None else subject.lacking(history)


def server_of(name: str) -> str:
    """The server that a subject is measured through; "" where there is none, or the subject is not known any more."""
    subject = _by_name.get(name)  # asked of each rule in each cycle
    return subject.server if subject is not None else ""


def needs_of(name: str, member: str, orders: StandingOrders) -> tuple[str, ...]:
    subject = subject_named(name)
    return subject.depends_on(member, orders) if subject is not None else ()


def readings_of(name: str) -> str:
    subject = subject_named(name)
    return subject.readings if subject is not None else name


def title_of(name: str) -> str:
    subject = subject_named(name)
    return subject.title if subject is not None else name
