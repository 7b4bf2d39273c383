"""A check of an address: it accepts a connection, over TLS where that is asked for, within its time."""

import asyncio

from monitord.config.checks import TcpCheckSettings
from monitord.connections import connected, explained, split
from monitord.core.model import sample
from monitord.core.subjects.endpoints import CERTIFICATE
from monitord.probes.checks.base import CheckResult, answered


class TcpCheck:
    """Connects, and lets go at once: nothing is sent."""

    def __init__(self, name: str, settings: TcpCheckSettings, timeout: float) -> None:
        self.name = name
        self._host, self._port = split(settings.address)
        self._tls = settings.tls
        self._ca_file = settings.ca_file
        self._where = settings.address
        self._timeout = timeout

    async def run(self) -> CheckResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        took, expires, problem = None, None, None
        try:
            async with asyncio.timeout(self._timeout):
                async with connected(
                    self._host, self._port, tls=self._tls, within=self._timeout, ca_file=self._ca_file
                ) as connection:
                    took, expires = loop.time() - began, connection.expires
        except (OSError, EOFError) as error:
            problem = explained(error)
        certificate = sample(CERTIFICATE, expires, "timestamp", check=self.name)
        return answered(self.name, took, self._where, problem, certificate)
