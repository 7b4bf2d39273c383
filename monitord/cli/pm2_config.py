"""`monitord pm2-config`: the ecosystem file of deploy/ with the paths of this installation."""

from __future__ import annotations

import argparse
import json
import sysconfig
from pathlib import Path
from typing import Final

from monitord.cli import Subparsers, command, note, say

# In a wheel it lies beside this module, in a checkout in deploy/.
_PLACES: Final = (
    Path(__file__).with_name("ecosystem.config.js"),
    Path(__file__).parents[2] / "deploy" / "ecosystem.config.js",
)


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "pm2-config",
        run,
        "Prints an ecosystem file with which PM2 runs this installation of monitord. Save it, and start it: "
        "`monitord pm2-config > monitord.config.js && pm2 start monitord.config.js && pm2 save`. "
        "(PM2 wants the name to end in .config.js.)",
    )
    parser.add_argument(
        "--cwd",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="where .env is searched (default: the working directory)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it: 0, or 2 where the directory is none or this installation has no program that PM2 could start."""
    cwd, programs = arguments.cwd.resolve(), Path(sysconfig.get_path("scripts"))
    if not cwd.is_dir():
        note(f"--cwd: {cwd} is no directory")
        return 2
    if missing := [name for name in ("monitord", "monitord-python") if not (programs / name).exists()]:
        note(f"monitord pm2-config: there is no {' and no '.join(missing)} in {programs}; install monitord with pip")
        return 2
    say(ecosystem(cwd, programs))
    return 0


def ecosystem(cwd: Path, programs: Path) -> str:
    text = next(place for place in _PLACES if place.exists()).read_text(encoding="utf-8")
    _, _, body = text.partition('const path = require("path");\n')
    for name, path in (("cwd", cwd), ("bin", programs)):
        before, _, rest = body.partition(f"const {name} = ")
        body = f"{before}const {name} = {json.dumps(str(path))}{rest[rest.index(';') :]}"
    return (
        "// monitord under PM2, beside the services it watches; printed by `monitord pm2-config`.\n"
        "// Settings come from MONITORD_* in the environment of `pm2 start`, or, better, from .env in `cwd`.\n"
        f'const path = require("path");\n{body}'
    )
