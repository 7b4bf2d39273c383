"""How settings are written: durations, sizes, percentages. Used by the settings and by the command line alike."""

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES: Final[dict[str, int]] = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
    "KB": 1000,
}
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[kMGT]i?)?B)", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_WHOLE: Final = re.compile(r"\d+(?:_\d+)*")
LONGEST: Final = timedelta(days=3650)
LARGEST: Final = 2**62  # SQLite's integers end at 2**63


def duration(text: str) -> timedelta:
    """`500ms`, `2.5s`, `30s`, `15m`, `2h`, `7d`, `1h30m`, or 0. ValueError with a sentence for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text) and float(text) == 0:
        return timedelta(0)
    if _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} has no unit; write {text}s, {text}m or {text}h")
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write 500ms, 2.5s, 30s, 15m, 2h or 7d")
    found = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if found > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than ten years")
    return timedelta(seconds=found)


def size(text: str) -> int:
    """`500MB`, `2GiB`, `1024B`, as bytes. ValueError with a sentence for anything else."""
    text = text.strip()
    match = _SIZE.fullmatch(text)
    if match is None:
        if _NUMBER.fullmatch(text):
            raise ValueError(f"{text!r} has no unit; write {text}MB or {text}GiB")
        raise ValueError(f"{text!r} is no size; write 500MB, 2GB or 2GiB")
    factor = next(factor for name, factor in SIZES.items() if name.lower() == match[2].lower())
    found = float(match[1]) * factor
    if found > LARGEST:
        raise ValueError(f"{text!r} is more than any machine holds")
    return round(found)


def percent(text: str) -> float:
    """`80%` or `80`, as 0 to 100. ValueError with a sentence for anything else."""
    number = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"{text!r} is no percentage; write 80%")
    if float(number) > 100:
        raise ValueError(f"{text!r} is more than 100%")
    return float(number)


def whole(text: str) -> int:
    """`5000` or `1_000_000`. ValueError with a sentence for anything else."""
    digits = text.strip()
    if not _WHOLE.fullmatch(digits):
        raise ValueError(f"{text!r} is no whole number; write 5000")
    if len(digits) > 25 or int(digits) > LARGEST:
        raise ValueError(f"{text!r} is too large")
    return int(digits)


def duration_text(value: timedelta) -> str:
    """A duration as it would be written in a setting: `1h30m`, `2.5s`, `500ms`."""
    milliseconds = round(value.total_seconds() * 1000)
    if milliseconds == 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    seconds, rest = divmod(milliseconds, 1000)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if unit == "d" and seconds < 3 * length:
            continue  # 48h is what people say
        amount, seconds = divmod(seconds, length)
        if amount:
            parts.append(f"{amount}{unit}")
    if seconds or rest:
        parts.append(f"{seconds + rest / 1000:g}s")
    return "".join(parts)


def size_text(value: int) -> str:
    """A size as it would be written in a setting: `500MB`, `2GiB`, `1024B`."""
    for factor, unit in ((1024**3, "GiB"), (10**9, "GB"), (1024**2, "MiB"), (10**6, "MB"), (1000, "kB")):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}B"
