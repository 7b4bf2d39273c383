"""`monitord demo`: a real fleet in miniature, watched, broken and mended."""

from __future__ import annotations

import argparse
import asyncio
import sys

from monitord.cli import Subparsers, command, note
from monitord.cli.base import length
from monitord.demo import extra
from monitord.demo.fleets import NAMES as FLEETS


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "demo",
        run,
        "Starts a real Postgres, Valkey and PM2 with a fleet on them, watches them with `monitord run`, "
        "breaks one thing after another, and shows what was reported and how soon. Exits 0 only if every fault it "
        "injected was detected and cleared. Leaves no process behind, and no file but the servers in the user's cache, "
        "where they did not come with monitord.",
    )
    parser.add_argument(
        "--fleet",
        default="pipeline",
        choices=FLEETS,
        help="which one: a pipeline of seven services with epochs, or a shop of six with checks of its own "
        "(default: pipeline)",
    )
    parser.add_argument(
        "--duration",
        metavar="D",
        help="watch for so long (60s, 5m), counted from the moment the fleet is up; faults that could not clear in "
        "time are left out (default: as long as the whole tour takes)",
    )
    parser.add_argument(
        "--break",
        dest="faults",
        action="append",
        default=[],
        metavar="WHAT",
        help="only this; may be repeated, or be a list: "
        "service,crash,postgres,redis,sealing,flood,publishing,root of the pipeline, "
        "service,api,orders,checkin,loop,queue of the shop",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="where monitord's page listens on 127.0.0.1 (default: a free port)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration: 0, 1 when a fault was missed or something failed, 2 for mistakes, 130 interrupted."""
    duration = None if arguments.duration is None else length(arguments.duration, "--duration")
    if arguments.port is not None and not 0 < arguments.port < 65536:
        note(f"--port: {arguments.port} is no port; write a number from 1 to 65535")
        return 2
    if absent := extra.absent():
        return _with_extra(absent)
    from monitord.demo import scenario, tour
    from monitord.demo.fleets import fleet_named

    fleet = fleet_named(arguments.fleet)
    try:
        faults = scenario.chosen(arguments.faults, fleet.faults)
    except scenario.FaultError as error:
        note(str(error))
        return 2
    return asyncio.run(tour.demonstrate(tour.Plan(fleet, faults, duration, arguments.port)))


def _with_extra(absent: list[str]) -> int:
    """Run the same command again where what it needs is installed. Returns 2 where that cannot be done."""
    again = f"monitord demo needs {', '.join(absent)}: pip install 'monitord[demo]'"
    if sys.prefix == str(extra.directory()):  # it is installed here, and cannot be imported
        note(again)
        return 2
    try:
        extra.run_again(extra.ensure(lambda line: note(f"installing {line}")), sys.argv[1:])
    except extra.ExtraError as error:
        note(f"{again} ({error})")
    return 2
