"""Every watched subject, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.subjects.base import Subject
from monitord.core.subjects.epochs import EPOCHS
from monitord.core.subjects.host import HOST
from monitord.core.subjects.monitord import MONITORD
from monitord.core.subjects.pm2 import PM2
from monitord.core.subjects.postgres import POSTGRES
from monitord.core.subjects.redis import REDIS

SUBJECTS: tuple[Subject, ...] = (PM2, POSTGRES, EPOCHS, REDIS, HOST, MONITORD)
# Of these a probe must be configured; monitord looks at itself in every cycle.
MEASURED: tuple[str, ...] = tuple(subject.name for subject in SUBJECTS if subject is not MONITORD)
BY_NAME: Mapping[str, Subject] = {subject.name: subject for subject in SUBJECTS}


def server_of(name: str) -> str:
    """The server that a subject is measured through; "" where there is none, or the subject is not known any more."""
    subject = BY_NAME.get(name)
    return subject.server if subject is not None else ""


def readings_of(name: str) -> str:
    """What a subject's probe tells of."""
    subject = BY_NAME.get(name)
    return subject.readings if subject is not None else name


def title_of(name: str) -> str:
    """What a subject, or one of its members, is called."""
    subject = BY_NAME.get(name)
    return subject.title if subject is not None else name
