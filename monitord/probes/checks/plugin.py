"""Runs a Nagios plugin, and reads its exit code and what it prints."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final, Literal

from monitord.failures import FailureError
from monitord.probes.checks.plugin_output import PluginOutput, parse
from monitord.programs import run_program

State = Literal["ok", "warning", "critical"]
STATES: Final[tuple[State, ...]] = ("ok", "warning", "critical")
_UNKNOWN: Final = 3


async def run_plugin(called: str, command: Sequence[str], timeout: float) -> tuple[State, PluginOutput]:
    """The state that a plugin has found and what it printed; `called` is how it is called in a sentence.

    Raises:
        FailureError: it could not be run, was not done in `timeout` seconds, or ended otherwise than a plugin does.
    """
    ended = await run_program(called, command, timeout)
    output, code = parse(ended.output.decode("utf-8", "replace")), ended.code
    said = f": {output.text}" if output.text else ""
    if code is None or code < 0:
        name = signal.Signals(-code).name if code is not None and -code in set(signal.Signals) else "a signal"
        raise FailureError("internal", f"{called} was ended by {name}{said}")
    if code == _UNKNOWN:
        raise FailureError("protocol", f"{called} answers UNKNOWN{said}")
    if code >= len(STATES):
        why = "a program that it needs is missing" if code == 127 else "which is no exit code of a plugin"
        raise FailureError("missing" if code == 127 else "protocol", f"{called} exited with {code}, {why}{said}")
    return STATES[code], output
