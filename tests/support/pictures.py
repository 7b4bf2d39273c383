"""The pictures in README.md: `make pictures` runs the demonstration and takes them of its page, in light and dark.

They are of the miniature fleet alone: whatever names the machine that they are taken on is in none.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.browser.chrome import BROWSER, Chrome

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = ROOT / "docs" / "pictures"
# Name -> where it is, how large a part of it is taken, and from when on, as a script says.
TAKEN: Final = {
    "page": (
        "/",
        (1180, 800),
        "document.title.includes('event_loop_blocked') && document.querySelectorAll('.is-over').length > 2",
    ),
    "report": ("/report?since=40s", (1180, 800), "document.querySelector('.checklist') !== null"),
}
LARGEST: Final = 150_000
# Each fault leaves something to see: an incident that is over, one that goes on.
FAULTS: Final = "service,api,checkin,loop"
PATIENCE: Final = 300.0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def take(directory: Path) -> list[Path]:
    """Every picture, into `directory`."""
    port = _free_port()
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitord", "demo", "--fleet", "shop", "--break", FAULTS, "--port", str(port),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as profile:
            async with asyncio.timeout(PATIENCE), Chrome(Path(profile)) as chrome:
                return await _taken(chrome, f"http://127.0.0.1:{port}", directory)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGINT)
        await demo.wait()


async def _taken(chrome: Chrome, address: str, directory: Path) -> list[Path]:
    found = []
    for name, (path, (width, height), ready) in TAKEN.items():
        await chrome.look(width, height)
        await _open(chrome, address + path)
        while not await chrome.evaluate(f"Boolean({ready})"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        # From here on it stays as it is; the name of this machine is nobody's business.
        await chrome.evaluate("fetch = () => new Promise(() => {}); document.querySelector('.who')?.remove()")
        for colours in ("light", "dark"):
            await chrome.look(width, height, dark=colours == "dark")
            shot = await chrome.call("Page.captureScreenshot")
            place = directory / f"{name}-{colours}.png"
            place.write_bytes(smaller(base64.b64decode(shot["data"])))
            found.append(place)
    return found


async def _open(chrome: Chrome, address: str) -> None:
    """Go there, as soon as somebody answers."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await chrome.open(address)
            if await chrome.evaluate("document.getElementById('main') !== null"):
                return
        await asyncio.sleep(0.5)


def smaller(png: bytes) -> bytes:
    """The same picture, packed as well as can be; the browser packs fast."""
    head, at, kept, data = png[:8], 8, [], b""
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IDAT":
            data += body
        elif kind in (b"IHDR", b"PLTE", b"tRNS"):
            kept.append((kind, body))
    kept += [(b"IDAT", zlib.compress(zlib.decompress(data), 9)), (b"IEND", b"")]
    return head + b"".join(_chunk(kind, body) for kind, body in kept)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def main() -> int:
    """Take them. Returns 2 where there is no browser, 1 where one is too large."""
    if BROWSER is None:
        sys.stderr.write("this needs chromium, chromium-browser or google-chrome on PATH\n")
        return 2
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(take(PICTURES))
    for place in found:
        sys.stdout.write(f"{place.relative_to(ROOT)}: {place.stat().st_size / 1000:.0f} kB\n")
    return 1 if any(place.stat().st_size > LARGEST for place in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
