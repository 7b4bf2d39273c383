"""A state directory on a disk that does not answer: each command that reads it says so, and ends."""

from __future__ import annotations

import json
from pathlib import Path

from .program import monitord

# Every look into the directory from within Python hangs, and what is waited for it is short.
_HUNG = """
import json, sys, threading
import monitord.cli.backtest, monitord.cli.logs, monitord.logging.reader, monitord.storage.reader
from monitord.__main__ import main

def hang(*_):
    threading.Event().wait()

monitord.storage.reader.opened = hang
monitord.cli.logs.hourly_files = hang
monitord.cli.backtest._SPAN_SECONDS = monitord.logging.reader.READ_SECONDS = monitord.cli.logs.READ_SECONDS = 0.02
for arguments in json.loads(sys.argv[1]):
    print(main(arguments), file=sys.stderr, flush=True)
"""


SAID = {
    ("backtest",): "monitord backtest: the state directory {state} does not answer\n",
    ("logs", "--no-follow"): "monitord logs: the disk does not answer (for 0.02 s)\n",
    ("logs", "--no-follow", "--subject", "web*"): (
        "monitord logs: the state directory {state} does not answer; what may be a pattern is read as one\n"
        "monitord logs: the disk does not answer (for 0.02 s)\n"
    ),
}


def test_it_is_said_in_a_line_and_the_command_ends(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "logs").mkdir(parents=True)
    # One process for all: none of them goes on for a thread that hangs, and nor does the process in the end.
    settings = {"MONITORD_STATE_DIR": str(state), "MONITORD_PM2__HOME": str(tmp_path)}
    done = monitord("-c", _HUNG, json.dumps(list(SAID)), directory=tmp_path, settings=settings)
    expected = "".join(said.format(state=state) + "3\n" for said in SAID.values())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", expected)
