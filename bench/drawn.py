"""`python -m bench.drawn`: hundreds of nights drawn by seeds, healthy ones and ones with one certain fault, and judged.

Whoever looks at a seed to mend what it shows has used it up: figures are of seeds that nobody has looked at.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bench.measure import table
from tests.nights.drawn.nights import complaints, play, story


@dataclass(frozen=True, slots=True)
class Judged:
    """What one drawn night came to."""

    seed: int
    kind: str
    verdict: str
    complaints: tuple[str, ...]
    pages: int
    seconds_to_tell: float | None
    story: str


def judged(seed: int, faulty: bool) -> Judged:
    """Draw, play and judge one night."""
    try:
        night = play(seed, faulty=faulty)
    except Exception:  # noqa: BLE001 - a night that breaks the judge is the worst of all
        return Judged(seed, "broke off", "", (traceback.format_exc(limit=-3),), 0, None, "")
    kind = "healthy" if night.fault is None else night.fault.kind
    told = None
    if night.fault is not None:
        named = [at for at, t in night.fired if t.alert.subject in night.fault.subjects]
        told = min(named) - night.fault.at if named else None
    found = tuple(complaints(night))
    return Judged(seed, kind, night.report.verdict, found, len(night.pages), told, story(night) if found else "")


def main() -> int:
    """Draw as many nights of each as are asked for. Returns 1 when one of them is not as it must be."""
    parser = argparse.ArgumentParser(prog="bench.drawn", description=__doc__)
    parser.add_argument("--first", type=int, default=1000, help="the first seed (default: %(default)s)")
    parser.add_argument("--count", type=int, default=200, help="so many of each (default: %(default)s)")
    parser.add_argument("--only", choices=("healthy", "faulty"), help="these alone")
    parser.add_argument("--stories", action="store_true", help="print the nights that are not as they must be")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds, failed = range(arguments.first, arguments.first + arguments.count), 0
    for name in ("healthy", "faulty"):
        if arguments.only not in (None, name):
            continue
        began = time.monotonic()
        with ProcessPoolExecutor(arguments.processes) as pool:
            nights = list(pool.map(judged, seeds, [name == "faulty"] * len(seeds), chunksize=4))
        for night in nights:
            for line in night.complaints:
                print(f"{name} seed {night.seed} ({night.kind}): {line}")
            if arguments.stories and night.story:
                print(night.story)
        bad = sum(1 for night in nights if night.complaints)
        failed += bad
        verdicts = Counter(night.verdict for night in nights)
        print(
            f"{len(nights)} {name} nights, {time.monotonic() - began:.0f} s: {bad} not as they must be; "
            + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
            + f"; {sum(night.pages for night in nights)} pages beside the fault's own"
        )
        if name == "faulty":
            print(_kinds(nights))
    return 1 if failed else 0


def _kinds(nights: list[Judged]) -> str:
    rows = []
    for kind in sorted({night.kind for night in nights}):
        of = [night for night in nights if night.kind == kind]
        told = sorted(night.seconds_to_tell for night in of if night.seconds_to_tell is not None)
        spread = f"{told[0] / 60:.1f} .. {told[-1] / 60:.1f} min" if told else "by the verdict"
        rows.append([kind, str(len(of)), spread, str(sum(1 for night in of if night.complaints))])
    return table("One certain fault a night", ["fault", "nights", "told after", "not as they must be"], rows)


if __name__ == "__main__":
    sys.exit(main())
