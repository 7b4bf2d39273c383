"""Which probes a night needs where only one rule is asked about."""

from __future__ import annotations

import functools

from monitord.core.subjects.registry import SUBJECTS, server_of


@functools.cache
def judging(rule: str) -> frozenset[str]:
    """What a rule is judged by, and all that is measured through the same server. The library's nights are whole."""
    names = {subject.name for subject in SUBJECTS if any(one.name == rule for one in subject.rules)}
    through = {server_of(name) for name in names} | names
    return frozenset(subject.name for subject in SUBJECTS if {subject.name, server_of(subject.name)} & through)
