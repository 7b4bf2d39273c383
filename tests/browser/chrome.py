"""A headless Chromium, driven over a pipe by the DevTools protocol: pages, keys, what it complains of, screenshots."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60.0
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# The browser finds its pipe at 3 and 4; on the way there no descriptor may be written over.
PLACED = (
    "import os, sys; os.dup2(int(sys.argv[1]), 103); os.dup2(int(sys.argv[2]), 104); "
    "os.dup2(103, 3); os.dup2(104, 4); os.closerange(5, 256); os.execv(sys.argv[3], sys.argv[3:])"
)


class PageGoneError(AssertionError):
    """The page has given way to another while a script ran in it."""


class Chrome:
    """One browser with one tab; an async context manager that ends it and all it started.

    `complaints` is what the browser has said of the pages: errors of scripts, refused by the policy, not found.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        self._session = ""

    async def __aenter__(self) -> Self:
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PLACED, str(to_read), str(from_write), str(BROWSER), *FLAGS,
            f"--user-data-dir={self._profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(to_read, from_write), start_new_session=True,
        )  # fmt: skip
        os.close(to_read)
        os.close(from_write)
        self._pipe = os.fdopen(to_write, "wb", buffering=0)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**26)
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_read, "rb", buffering=0)
        )
        self._reading = asyncio.create_task(self._read(reader))
        try:
            await self._begin()
        except BaseException:
            await self._end()
            raise
        return self

    async def _begin(self) -> None:
        targets = await self._call("Target.getTargets")
        page = next(found for found in targets["targetInfos"] if found["type"] == "page")
        attached = await self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading
        self._transport.close()
        self._pipe.close()

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command to the tab."""
        return await self._call(method, self._session, **parameters)

    async def look(self, width: int, height: int = 900, *, dark: bool = False, still: bool = True) -> None:
        """From here on the window is so large, and the colours are so."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def open(self, address: str) -> None:
        """Go there, and wait until it is loaded."""
        await self.evaluate("window.isOld = true")
        await self.call("Page.navigate", url=address)
        await self.until("!window.isOld && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """What a script says in the page; a promise is awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer.get("exceptionDetails")
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """What a script says once it is true, also of the page that comes after this one."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(PageGoneError):
                    if found := await self.evaluate(expression):
                        return found
                await asyncio.sleep(0.05)

    async def press(self, key: str, code: int) -> None:
        """One key, as the keyboard sends it."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    async def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._pipe.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await reader.readuntil(b"\0")
            except asyncio.IncompleteReadError:
                for answer in self._waiting.values():
                    answer.cancel()
                return
            message = json.loads(raw[:-1])
            if "id" in message:
                answer = self._waiting.pop(message["id"])
                if "error" in message:
                    told = str(message["error"])
                    answer.set_exception(PageGoneError(told) if "navigated" in told else AssertionError(told))
                else:
                    answer.set_result(message["result"])
            elif "method" in message:
                self._complain(message)

    def _complain(self, message: dict[str, Any]) -> None:
        told = message["params"]
        if message["method"] == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif message["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(told["args"]))
