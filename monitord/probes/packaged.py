"""The probe of a subject that a package adds: whatever breaks in it is a reading that failed, and says whose it is."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import get_args

from monitord.core.codec import encode
from monitord.core.model import Kind, Sample, Unmeasured
from monitord.core.subjects.base import Subject
from monitord.core.subjects.guard import why
from monitord.failures import FailureError

from .base import ListeningProbe, Measured, PingedProbe, Probe, Request


class AddedProbe:
    """Makes the package's probe at the first reading, and again after a failure to: what it needs may come."""

    def __init__(self, subject: Subject, make: Callable[[], Probe]) -> None:
        self.name = subject.name
        self._subject = subject
        self._make = make
        self.inner: Probe | None = None
        self._heard: Callable[[str], None] | None = None

    def listen(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._pass_on()

    async def ping(self) -> None:
        inner: object = self.inner
        if isinstance(inner, PingedProbe):
            await inner.ping()

    def _pass_on(self) -> None:
        inner: object = self.inner
        if self._heard is not None and isinstance(inner, ListeningProbe):
            with suppress(Exception, SystemExit):  # then it is only measured
                inner.listen(self._heard)

    async def measure(self, request: Request) -> Measured:
        if self._subject.broken:
            raise FailureError("internal", self._subject.broken)
        if self.inner is None:
            try:
                self.inner = self._make()
            except (KeyboardInterrupt, FailureError):
                raise
            except BaseException as error:  # noqa: BLE001 - sys.exit() in a package ends no monitor
                raise self._failed("could not be made", error) from None
            self._pass_on()
        measured = await self.inner.measure(request)
        try:
            return _readable(measured)
        except (TypeError, ValueError) as error:
            raise self._failed(f"returned what is no reading: {error}") from None

    async def close(self) -> None:
        if self.inner is not None:
            with suppress(Exception, SystemExit):
                await self.inner.close()

    def _failed(self, how: str, error: BaseException | None = None) -> FailureError:
        because = f" ({why(error)})" if error is not None else ""
        return FailureError("internal", f"the package {self._subject.package}: its probe {how}{because}")


def _readable(measured: object) -> Measured:
    """What a probe has returned. TypeError or ValueError for what could be neither judged nor kept."""
    if not isinstance(measured, Measured):
        raise TypeError(f"a {type(measured).__name__}")
    if not all(map(_is_sample, measured.samples)):
        raise TypeError("a sample that is none")
    if not all(map(_is_gap, measured.gaps)):
        raise TypeError("a gap that is none")
    json.dumps(encode((measured.samples, measured.gaps, measured.by)), allow_nan=False)
    return measured


def _is_sample(one: object) -> bool:
    if not isinstance(one, Sample) or not isinstance(one.value, int | float | str | None):
        return False
    return all(map(_is_word, (one.name, one.unit, *(word for name, value in one.labels for word in (name, value)))))


def _is_gap(one: object) -> bool:
    return isinstance(one, Unmeasured) and one.kind in get_args(Kind) and all(map(_is_word, (one.subject, one.error)))


def _is_word(word: object) -> bool:
    return isinstance(word, str)
