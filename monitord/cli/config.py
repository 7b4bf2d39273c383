"""`monitord config`: the effective settings, secrets masked, and where each of them comes from."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from monitord.cli import Subparsers, command, find_settings, note, say
from monitord.config.loader import described
from monitord.notify.channels import unheard


def add(subparsers: Subparsers) -> None:
    command(subparsers, "config", run, formats=("text", "json"))


def run(arguments: argparse.Namespace) -> int:
    """Print every setting. Exit 2 and one line per mistake where they are wrong."""
    found = find_settings()
    rows = [(name, text, found.sources.get(name, "default")) for name, text in described(found.settings)]
    gaps = (f"{gap}." for gap in unheard(found.settings, datetime.now(UTC)))
    for line in filter(None, (found.word, found.trouble, *gaps)):
        note(line)
    if arguments.format == "json":
        document = {name: {"value": text, "source": source} for name, text, source in rows}
        say(json.dumps(document, indent=2) + "\n")
        return 0
    name_width, source_width = max(len(name) for name, _, _ in rows), max(len(source) for _, _, source in rows)
    say("".join(f"{name:<{name_width}}  {source:<{source_width}}  {text or '-'}\n" for name, text, source in rows))
    return 0
