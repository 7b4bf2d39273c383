"""`monitord config`: the effective settings, secrets masked, and where each of them comes from."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from monitord.cli import Subparsers, command, find_settings, note, refused, say
from monitord.config.loader import Settings, SettingsError, described, standing_orders
from monitord.notify.channels import channels, unheard
from monitord.probes import Probes


def unusable(settings: Settings) -> tuple[str, ...]:
    """What `run` would refuse though each value by itself is well: an address that its driver cannot take apart."""
    found: dict[str, None] = {}
    for make in (lambda: Probes(settings, standing_orders(settings), frozenset), lambda: channels(settings)):
        try:
            make()
        except SettingsError as error:
            found |= dict.fromkeys(error.mistakes)
    return tuple(found)


def add(subparsers: Subparsers) -> None:
    command(subparsers, "config", run, formats=("text", "json"))


def run(arguments: argparse.Namespace) -> int:
    found = find_settings()
    mistakes = unusable(found.settings)
    if mistakes:
        return refused(mistakes)
    origins = found.origins
    rows = [(name, text, origins.get(name, "default")) for name, text in described(found.settings)]
    gaps = (f"{gap}." for gap in (*unheard(found.settings, datetime.now(UTC)), *found.judges_nothing))
    for line in filter(None, (found.word, found.trouble, *gaps)):
        note(line)
    if arguments.format == "json":
        document = {name: {"value": text, "source": source} for name, text, source in rows}
        say(json.dumps(document, indent=2) + "\n")
        return 0
    name_width, source_width = max(len(name) for name, _, _ in rows), max(len(source) for _, _, source in rows)
    say("".join(f"{name:<{name_width}}  {source:<{source_width}}  {text or '-'}\n" for name, text, source in rows))
    return 0
