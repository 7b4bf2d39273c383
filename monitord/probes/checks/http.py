"""A check of an address over HTTP: it answers as it should, within its time. Nothing of the answer is kept."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin

import h11

from monitord import __version__
from monitord.config.checks import HttpCheckSettings
from monitord.connections import Connection, EndpointProblemError, Target, connected, explained, target_of
from monitord.core import humanize
from monitord.core.model import sample
from monitord.core.subjects.endpoints import CERTIFICATE, STATUS
from monitord.http_exchange import exchange
from monitord.probes.checks.base import CheckResult, answered

MOST_READ: Final = 64 * 1024
MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_QUOTED: Final = 60


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: the status, where it redirects to, as much of the body as was needed, and whether that is all."""

    status: int
    location: str
    body: bytes
    is_whole: bool
    expires: float | None


class HttpCheck:
    """Asks once each time, over a connection of its own: what users meet is a new one too."""

    def __init__(self, name: str, settings: HttpCheckSettings, timeout: float) -> None:
        self.name = name
        self._settings = settings
        self._timeout = timeout
        headers = {header: value.get_secret_value() for header, value in settings.headers.items()}
        self._target = target_of(settings.url.get_secret_value(), headers)

    async def run(self) -> CheckResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer, took, problem = None, None, None
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._asked()
            took = loop.time() - began
            self._judge(answer)
        except Exception as error:  # noqa: BLE001 - what is no problem of the endpoint is raised again there
            problem = explained(error)
        status = answer.status if answer is not None else None
        return answered(
            self.name,
            took,
            self._target.place,
            problem,
            sample(STATUS, status, check=self.name),
            sample(CERTIFICATE, answer.expires if answer is not None else None, "timestamp", check=self.name),
        )

    async def _asked(self) -> _Answer:
        target, method = self._target, self._settings.method
        for _ in range(MOST_REDIRECTS + 1):
            tls, ca_file = target.scheme == "https", self._settings.ca_file
            async with connected(
                target.host, target.port, tls=tls, within=self._timeout, ca_file=ca_file
            ) as connection:
                answer = await self._ask(connection, target, method)
            if not self._settings.follow or not answer.location:
                return answer
            if answer.status == HTTPStatus.SEE_OTHER or (answer.status in (301, 302) and method == "POST"):
                method = "GET"
            target = _redirected(target, answer.location)
        raise EndpointProblemError("protocol", f"redirects more than {MOST_REDIRECTS} times")

    async def _ask(self, connection: Connection, target: Target, method: str) -> _Answer:
        given = {name.lower() for name in target.headers}
        own = {
            "Host": target.host_header,
            "User-Agent": f"monitord/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if method in ("POST", "PUT", "PATCH"):
            own["Content-Length"] = "0"
        headers = [*((n, v) for n, v in own.items() if n.lower() not in given), *target.headers.items()]
        request = h11.Request(method=method, target=target.path, headers=[*headers, ("Connection", "close")])
        found = await exchange(connection, request, most=MOST_READ, wants_body=self._wants_body)
        location = found.header(b"location") if found.status in _REDIRECTS else ""
        return _Answer(found.status, location, found.body, found.is_whole, connection.expires)

    def _wants_body(self, status: int) -> bool:
        """Whether what follows the status says anything that is asked for."""
        return bool(self._settings.contains or self._settings.json_) and self._is_expected(status)

    def _is_expected(self, status: int) -> bool:
        return any(status in statuses for statuses in self._settings.statuses)

    def _judge(self, answer: _Answer) -> None:
        if not self._is_expected(answer.status):
            expected = " or ".join(self._settings.status)
            redirects = "; redirects are not followed" if answer.location and not self._settings.follow else ""
            raise EndpointProblemError("status", f"answers {_named(answer.status)}, not {expected}{redirects}")
        text = self._settings.contains
        beyond = "" if answer.is_whole else f" in its first {humanize.size(MOST_READ)}"
        if text and text.encode() not in answer.body:
            shown = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
            raise EndpointProblemError("content", f"answers {answer.status} without {shown!r}{beyond}")
        if self._settings.json_:
            _judge_json(answer, self._settings.json_)


def _judge_json(answer: _Answer, wanted: Mapping[str, object]) -> None:
    if not answer.is_whole:
        raise EndpointProblemError("content", f"answers with more than {humanize.size(MOST_READ)} of JSON")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise EndpointProblemError("content", f"answers {answer.status} with something that is not JSON") from None
    for path, value in wanted.items():
        try:
            there = _at(found, path)
        except LookupError:
            raise EndpointProblemError("content", f"answers {answer.status} without {path}") from None
        if not _same(there, value):
            # What is expected stands in the settings; what is there instead is nobody's business.
            shown = json.dumps(value, ensure_ascii=False)[:_QUOTED]
            raise EndpointProblemError("content", f"answers {answer.status} with a {path} that is not {shown}")


def _at(value: object, path: str) -> object:
    """What stands at a dotted path: names of objects, numbers of places in arrays. LookupError: nothing does."""
    for step in path.split("."):
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value[step]
        else:
            raise LookupError(path)
    return value


def _same(one: object, other: object) -> bool:
    """Whether two values of JSON are equal: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _redirected(target: Target, location: str) -> Target:
    """Where a redirect leads to. What was meant for one server is not sent to another."""
    host = f"{target.scheme}://{target.place}{target.path}"
    try:
        following = target_of(urljoin(host, location), {})
    except (ValueError, KeyError):
        raise EndpointProblemError("protocol", "redirects to something that is no HTTP address") from None
    if not following.host:
        raise EndpointProblemError("protocol", "redirects to something that is no HTTP address")
    return replace(following, headers=target.headers) if following.origin == target.origin else following


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
