"""What an app reports of itself, as the status document has it, and as metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitord.core import app_numbers
from monitord.core.app_numbers import AppNumber
from monitord.core.history.process_model import Process
from monitord.core.subjects.base import MetricFamily, seconds, whole

# How long an app takes to load is its first tick, and one in twenty is past the 95th percentile.
WARM_UP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class AppStatus:
    """What an app reports to PM2, the largest of its instances; `numbers` are its own, in the units it reports."""

    event_loop_ms: float | None
    event_loop_p95_ms: float | None
    heap_used_bytes: int | None
    heap_size_bytes: int | None
    heap_limit_bytes: int | None
    http_p95_ms: float | None
    numbers: Mapping[str, AppNumber]


_KNOWN: Final = frozenset(app_numbers.KNOWN)
_NONE: Final[Mapping[str, AppNumber]] = {}


def app_status(processes: Sequence[Process]) -> AppStatus | None:
    reported = [app_numbers.numbers(one.app_form, one.app_values) for one in processes if one.app_values]
    if not reported:
        return None
    known: dict[str, AppNumber] = {}
    own: dict[str, AppNumber] = {}
    for name, number in app_numbers.largest(reported).items():
        (known if name in _KNOWN else own)[name] = number
    limits = [process.heap_limit for process in processes if process.heap_limit is not None]
    return AppStatus(
        event_loop_ms=app_numbers.milliseconds(known.get(app_numbers.LOOP)),
        event_loop_p95_ms=app_numbers.milliseconds(known.get(app_numbers.LOOP_P95)),
        heap_used_bytes=whole(app_numbers.size(known.get(app_numbers.HEAP_USED))),
        heap_size_bytes=whole(app_numbers.size(known.get(app_numbers.HEAP_SIZE))),
        heap_limit_bytes=whole(min(limits)) if limits else None,
        http_p95_ms=app_numbers.milliseconds(known.get(app_numbers.HTTP_P95)),
        numbers=own or _NONE,
    )


APP_METRICS: Final[tuple[MetricFamily[AppStatus], ...]] = (
    MetricFamily(
        "service_event_loop_p95_seconds",
        "How late the event loop of a service is, at the 95th percentile.",
        lambda app: seconds(app.event_loop_p95_ms),
    ),
    MetricFamily("service_heap_used_bytes", "Heap that a service uses.", lambda app: app.heap_used_bytes),
    MetricFamily("service_heap_limit_bytes", "Heap that Node may use at most.", lambda app: app.heap_limit_bytes),
    MetricFamily(
        "service_http_p95_seconds",
        "How long a service takes to answer over HTTP, at the 95th percentile.",
        lambda app: seconds(app.http_p95_ms),
    ),
    MetricFamily(
        "service_number",
        "A number that a service reports of itself, in its own unit.",
        lambda app: {name: number.value for name, number in app.numbers.items()},
        by="number",
    ),
)
