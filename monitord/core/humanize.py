"""How durations, sizes, counts and clock times are written, the same in every sentence and table."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

UNKNOWN: Final = "unknown"
NOTHING: Final = "–"


def duration(seconds: float) -> str:
    """`850 ms`, `12 s`, `4 min 30 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, per, unit in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        limit = {"min": 3600, "h": 86400, "d": float("inf")}[big]
        if whole < limit:
            first, rest = divmod(whole, per)
            return f"{first} {big}" + (f" {rest // unit} {small}" if rest // unit else "")
    raise AssertionError("unreachable")


def size(amount: float) -> str:
    """`512 B`, `158 MB`, `2.2 GB`: decimal units, as disks and PM2 count."""
    if abs(amount) < 1000:
        return f"{amount:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if abs(amount) < 999.5 or unit == "TB":
            return f"{amount:.1f} {unit}" if abs(amount) < 9.95 else f"{amount:.0f} {unit}"
    raise AssertionError("unreachable")


def count(number: float) -> str:
    """`4,096,837`."""
    return f"{number:,.0f}"


def plural(number: float, noun: str) -> str:
    """`1 restart`, `2 restarts`, `1,000 restarts`."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def clock(at: float) -> str:
    """`02:00 UTC` for a moment of Unix time, `02:00:10 UTC` where the seconds say something."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%H:%M:%S UTC" if moment.second else "%H:%M UTC")


def moment(at: float, today: float) -> str:
    """As `clock`, with the day before it where that is another than `today`'s: `Nov 4, 23:10 UTC`."""
    there, here = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(today, UTC)
    return clock(at) if there.date() == here.date() else dated(at)


def timestamp(at: datetime) -> str:
    """`2025-11-05 02:00:10 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: float) -> str:
    """`2025-11-05`, the day of a moment of Unix time in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def listed(names: list[str], most: int = 5) -> str:
    """`a, b and c`, or `a, b, c, d, e and 3 more`."""
    if len(names) > most:
        return ", ".join(names[:most]) + f" and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def dated(at: float) -> str:
    """`Nov 5, 02:14 UTC`."""
    there = datetime.fromtimestamp(at, UTC)
    return f"{there:%b} {there.day}, {clock(at)}"


def label_at(epoch: float) -> str:
    """`1762308000 (02:00 UTC)`."""
    return f"{epoch:.0f} ({clock(epoch)})"


def label(epoch: float) -> str:
    """`1762308000 (Nov 5, 02:00 UTC)`."""
    return f"{epoch:.0f} ({dated(epoch)})"


def milliseconds(value: float) -> str:
    """`3.2 ms`, `2.5 s`."""
    return f"{value:.1f} ms" if value < 1000 else duration(value / 1000)


def worded(say: Callable[[float], str], value: float | None, otherwise: str = UNKNOWN) -> str:
    return otherwise if value is None else say(value)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """`text` with a full stop, if it has no end of its own."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else text + "."


def short(text: str, longest: int) -> str:
    """The text in so many characters at most; one that is cut ends with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
