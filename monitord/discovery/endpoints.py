"""The ports that services listen on, as the checks that would watch them: only what answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from monitord.connections import place_of
from monitord.threads import run_once

# So many ports are tried; a service that opens one for each of its clients is no endpoint.
_AT_MOST: Final = 24
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to it
_REQUEST: Final = "GET / HTTP/1.1\r\nHost: {}\r\nUser-Agent: monitord\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class DiscoveredEndpoint:
    """A port of a service that answers; `is_http` where it answered a request for / with success."""

    service: str
    host: str
    port: int
    is_http: bool

    @property
    def place(self) -> str:
        return place_of(self.host, self.port)

    def check(self) -> dict[str, str]:
        http, tcp = {"type": "http", "url": f"http://{self.place}/"}, {"type": "tcp", "address": self.place}
        return (http if self.is_http else tcp) | {"service": self.service}


async def endpoints(pids: Mapping[str, Sequence[int]], timeout: float) -> tuple[DiscoveredEndpoint, ...]:
    """What the processes of these services, and their children, listen on and answer at within `timeout` seconds."""
    try:
        places = await run_once("listening sockets", _listening, pids, timeout=timeout / 2)
    except OSError:
        return ()
    tried = await asyncio.gather(*(_tried(*place, timeout / 2) for place in places[:_AT_MOST]))
    return tuple(one for one in tried if one is not None)


def checks(found: Sequence[DiscoveredEndpoint]) -> dict[str, dict[str, str]]:
    """Checks by name: that of the service and its port."""
    return {f"{one.service}-{one.port}".replace("/", "-"): one.check() for one in found}


def _listening(pids: Mapping[str, Sequence[int]]) -> list[tuple[str, str, int]]:
    import psutil

    found: dict[tuple[str, int], str] = {}
    for service, numbers in pids.items():
        for number in numbers:
            with suppress(psutil.Error):
                process = psutil.Process(number)
                for one in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        for each in one.net_connections(kind="tcp"):
                            if each.status == psutil.CONN_LISTEN:
                                place = (_ANYWHERE.get(each.laddr.ip, each.laddr.ip), each.laddr.port)
                                found.setdefault(place, service)
    ports = {port for host, port in found if ":" not in host}
    return sorted(
        (service, host, port) for (host, port), service in found.items() if ":" not in host or port not in ports
    )


async def _tried(service: str, host: str, port: int, timeout: float) -> DiscoveredEndpoint | None:
    """The endpoint, or None where nobody answers there."""
    try:
        async with asyncio.timeout(timeout / 2):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return None
    place = DiscoveredEndpoint(service, host, port, is_http=False)
    try:
        async with asyncio.timeout(timeout / 2):
            writer.write(_REQUEST.format(place.place).encode())
            first = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return place
    finally:
        writer.close()
    is_http = first.startswith(b"HTTP/1.") and first[9:10] == b"2"
    return DiscoveredEndpoint(service, host, port, is_http)
