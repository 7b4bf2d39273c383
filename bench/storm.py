"""A PM2 whose apps die a thousand times a second: for the tests and for the benchmark, as no real one can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitord.pm2 import wire

PER_SECOND = 1000
SERVICES = ("gateway", "worker", "evil\x1b[2J\n" + "\N{PILE OF POO}" * 2500)
ENVIRONMENT = {f"VARIABLE_{number}": "x" * 100 for number in range(20)}

Line = dict[str, Any]


class Storm:
    """A PM2 whose apps die a thousand times a second: its list over one socket, its bus over the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.restarts = dict.fromkeys(SERVICES, 0)
        self.ears: list[asyncio.StreamWriter] = []
        self.heard = asyncio.Event()
        self._began = time.time()

    async def __aenter__(self) -> Storm:
        self._bus = await asyncio.start_unix_server(self._listened_to, self.home / "pub.sock")
        self._rpc = await asyncio.start_unix_server(self._asked, self.home / "rpc.sock")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.close()
        self._rpc.close()
        for ear in self.ears:
            ear.transport.abort()

    async def _listened_to(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ears.append(writer)
        self.heard.set()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = wire.Decoder()
        while chunk := await reader.read(65536):
            for frame in decoder.feed(chunk):
                writer.write(wire.encode([{"args": [self._list()]}, wire.unpack(frame[1])]))
        writer.close()

    def _list(self) -> list[Line]:
        return [
            {"pid": 1, "name": name, "pm_id": number, "pm2_env": self._env(name), "monit": {"memory": 1, "cpu": 0}}
            for number, name in enumerate(SERVICES)
        ]

    def _env(self, name: str) -> Line:
        return {
            **ENVIRONMENT,
            "name": name,
            "status": "online",
            "restart_time": self.restarts[name],
            "created_at": self._began * 1000,
            "pm_uptime": (self._began + self.restarts[name] / 1000) * 1000,
        }

    async def writes(self, seconds: float, frames: Sequence[bytes]) -> int:
        """So many frames a second, again and again, for `seconds`. Returns how many."""
        loop = asyncio.get_running_loop()
        began, step = loop.time(), max(1, len(frames) // 100)
        for turn in range(round(seconds)):
            for at in range(0, len(frames), step):
                for ear in self.ears:
                    ear.writelines(frames[at : at + step])
                await asyncio.sleep(max(0.0, began + turn + at / len(frames) - loop.time()))
                for ear in self.ears:
                    await ear.drain()
        return round(seconds) * len(frames)

    async def breaks(self, seconds: float) -> int:
        """So many ends a second, for `seconds`; the services die by turns. Returns how many died."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends = round(PER_SECOND * seconds)
        for number in range(ends):
            pm_id = number % len(SERVICES)
            name = SERVICES[pm_id]
            at = time.time() * 1000
            said = f"App [{name}:{pm_id}] exited with code [0] via signal [SIGKILL]\n"
            process = {**self._env(name), "pm_id": pm_id, "status": "stopped", "exit_code": 0}
            line = {"process": {"pm_id": "PM2", "name": "PM2"}, "at": at, "data": said}
            messages = (
                ["log:PM2", line],
                ["process:event", {"event": "exit", "manually": False, "process": process, "at": at}],
            )
            for ear in self.ears:
                ear.writelines(map(wire.encode, messages))
            self.restarts[name] += 1
            if number % 10 == 9:
                await asyncio.sleep(max(0.0, began + number / PER_SECOND - loop.time()))
                for ear in self.ears:
                    await ear.drain()
        return ends
