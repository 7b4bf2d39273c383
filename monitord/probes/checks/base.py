"""What a check of one's own is to the probe that takes it: it neither times nor catches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from monitord.core.model import Sample, Value, sample
from monitord.core.subjects.check_rules import UNIT, VALUE
from monitord.core.subjects.endpoints import ERROR, PROBLEM

if TYPE_CHECKING:
    from monitord.connections import EndpointProblemError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check has measured: samples that are labelled with its name, its number among them."""

    samples: tuple[Sample, ...]


def result(name: str, value: Value, unit: str, *more: Sample) -> CheckResult:
    """A result of a number (None: there is none), what that is in, and what else was measured."""
    return CheckResult((sample(VALUE, value, check=name), sample(UNIT, unit, "", check=name), *more))


def answered(
    name: str, took: float | None, place: str, problem: EndpointProblemError | None, *more: Sample
) -> CheckResult:
    """A result of an endpoint: how long it took (seconds, None: it did not answer), and what is wrong, if anything."""
    wrong = sample(PROBLEM, problem.kind if problem else None, "", check=name)
    error = sample(ERROR, f"{place} {problem.what}" if problem else None, "", check=name)
    return result(name, None if took is None else round(took * 1000.0, 1), "ms", wrong, error, *more)


class CheckClient(Protocol):
    """One check. What is wrong with what it asks is a result; that it could not run is a FailureError."""

    @property
    def name(self) -> str: ...

    async def run(self) -> CheckResult:
        """Ask once, within the check's deadline. FailureError: it could not be taken, and nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class ScheduledCheck:
    """A check, how often (None: each cycle) and how long it runs (seconds). `is_process`: few may run at once."""

    client: CheckClient
    every: timedelta | None
    timeout: float
    is_process: bool = False
