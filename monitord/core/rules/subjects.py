"""Every watched thing, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.rules.base import Subject
from monitord.core.rules.epochs import EPOCHS
from monitord.core.rules.host import HOST
from monitord.core.rules.monitor import MONITORD
from monitord.core.rules.pm2 import PM2
from monitord.core.rules.postgres import POSTGRES
from monitord.core.rules.redis import REDIS

SUBJECTS: tuple[Subject, ...] = (PM2, POSTGRES, EPOCHS, REDIS, HOST, MONITORD)
BY_NAME: Mapping[str, Subject] = {subject.name: subject for subject in SUBJECTS}
