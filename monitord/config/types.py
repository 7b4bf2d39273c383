"""The kinds of setting there are: how each is read from what was written, and how it is written again.

Every check raises ValueError with half a sentence to follow the variable's name; of a secret it never quotes a part.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainSerializer

from monitord.config.listening import listen_address
from monitord.config.routes import quiet_hours
from monitord.core import units
from monitord.core.cron import normal
from monitord.core.model import Severity
from monitord.masking import Secret, mask

T = TypeVar("T")

# What Apprise understands behind the scheme only Apprise knows, which is too heavy to ask at every start.
_TARGET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]{0,30}://\S")
_LONGEST_LINE: Final = 500


_FLAGS: Final = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


class Judged:
    """The mark of a setting that changes judgement alone, so that `backtest` may try another value."""


JUDGED: Final = Judged()


def text_of(value: object, example: str) -> str:
    """What was written, where it is a text or (in monitord.toml) a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"it is not written like {example}")
    return str(value).strip()


def read_duration(value: object) -> timedelta:
    """A duration, which may be none at all."""
    return value if isinstance(value, timedelta) else units.duration(text_of(value, "30s"))


def read_line(value: object) -> str:
    """One line of at most 500 characters, and not an empty one."""
    line = text_of(value, "a sentence")
    if not line or not line.isprintable() or len(line) > _LONGEST_LINE:
        raise ValueError(f"it is not one line of at most {_LONGEST_LINE} characters")
    return line


def read_length(value: object) -> timedelta:
    """A duration longer than nothing."""
    length = read_duration(value)
    if length <= timedelta(0):
        raise ValueError("it must be longer than nothing")
    return length


def _epoch(value: object) -> timedelta:
    length = read_length(value)
    if length.total_seconds() % 1:
        raise ValueError("it must be whole seconds, as labels are")
    return length


def read_size(value: object) -> int:
    """A size, in bytes."""
    return units.size(text_of(value, "500MB"))


def read_percent(value: object) -> float:
    """A percentage, 0 to 100."""
    return units.percent(text_of(value, "80%"))


def read_number(value: object) -> int:
    return units.whole(text_of(value, "5"))


def read_count(value: object) -> int:
    """A whole number of at least 1."""
    if (number := read_number(value)) < 1:
        raise ValueError("it must be at least 1")
    return number


def _positive(value: object) -> float:
    if (number := read_decimal(value)) <= 0:
        raise ValueError("it must be more than nothing")
    return number


def read_cpu_share(value: object) -> float:
    """Percent of one processor; a process with threads may take more than one."""
    return _positive(text_of(value, "90%").removesuffix("%").strip())


def read_decimal(value: object) -> float:
    written = text_of(value, "2.5")
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not math.isfinite(number):
        raise ValueError(f"{written!r} is not a number; write 2.5")
    return number


def short_line(example: str, longest: int) -> Callable[[object], str]:
    """One line, which may be empty."""

    def read(value: object) -> str:
        text = text_of(value, example)
        if not text.isprintable() or len(text) > longest:
            raise ValueError("it must be one short line")
        return text

    return read


def read_text(value: object) -> str:
    text = text_of(value, "a text")
    if not text.isprintable():
        raise ValueError("it must be one line")
    return text


def from_json(value: object, kind: type[list[object] | dict[str, object]], example: str) -> Any:
    """A list or map, as it stands in monitord.toml or as JSON; nothing is an empty one."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else kind()
        except (ValueError, RecursionError):
            raise ValueError(f"it is not JSON; write {example}") from None
    if not isinstance(value, kind):
        raise ValueError(f"it is not a {'list' if kind is list else 'map'}; write {example}")
    return value


def is_name(value: object) -> bool:
    """Whether it is a text of one line that says something."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def read_of(name: str, read: Callable[[object], T], value: object) -> T:
    """What `read` makes of a value; what is wrong with it begins with its name."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def names(mistake: str) -> Callable[[object], tuple[str, ...]]:
    """One name, or a list of them, each once; `mistake` is what is said of anything else."""

    def read(value: object) -> tuple[str, ...]:
        found = value if isinstance(value, list | tuple) else (value,)
        if not all(map(is_name, found)):
            raise ValueError(mistake)
        return tuple(dict.fromkeys(item.strip() for item in found))

    return read


def _listed(
    example: str, what: str, fits: Callable[[Any], object], same: Callable[[str], str] = str, kind: type[Any] = str
) -> BeforeValidator:
    """A list of texts that fit, held as `kind`, each once (`same` says when two are the same), in order."""

    def read(value: object) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        found: dict[str, Any] = {}
        for item in from_json(value, list, example):
            if not fits(item):
                raise ValueError(f"it holds something that is no {what}; write {example}")
            found.setdefault(same(item.strip()), kind(item.strip()))
        return tuple(found.values())

    return BeforeValidator(read)


def words(example: str, same: Callable[[str], str] = str) -> BeforeValidator:
    """A list of names, each once (`same` says when two are the same), in order."""
    return _listed(example, "name", is_name, same)


def mapping(example: str, each: Callable[[object], object], same: Callable[[str], str] = str) -> BeforeValidator:
    """A map from names (`same` says when two are the same) to what `each` reads."""

    def read(value: object) -> dict[str, object]:
        found = {}
        for name, item in from_json(value, dict, example).items():
            if not is_name(name):
                raise ValueError(f"it holds something that is no name; write {example}")
            try:
                found[same(name.strip())] = each(item)
            except ValueError as error:
                raise ValueError(f"of {name}, {error}") from None
        return found

    return BeforeValidator(read)


def patterns(example: str, same: Callable[[str], str] = str) -> BeforeValidator:
    """A map from subjects to lists of shell patterns (`same` says when two subjects are the same)."""

    def each(given: object) -> tuple[str, ...]:
        if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one.strip() for one in given):
            raise ValueError(f"it is not a list of patterns; write {example}")
        return tuple(dict.fromkeys(one.strip() for one in given))

    def read(value: object) -> object:
        listed = value
        if isinstance(value, str):
            with suppress(ValueError, RecursionError):
                listed = json.loads(value)
        if isinstance(listed, list):
            raise ValueError(f"it is a list, and belongs to no subject; say what each service works for: {example}")
        return read_map(value)

    read_map: Any = mapping(example, each, same).func
    return BeforeValidator(read)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    written = text_of(value, "true").lower()
    if (found := _FLAGS.get(written)) is None:
        raise ValueError(f"{written!r} is neither true nor false")
    return found


def one_of(*allowed: str) -> Callable[[object], str]:
    """One of these words, in whatever case it is written."""

    def read(value: object) -> str:
        written = text_of(value, allowed[0])
        if written.lower() not in allowed:
            raise ValueError(f"{written!r} is not one of {', '.join(allowed)}")
        return written.lower()

    return read


read_severity: Final = one_of(*get_args(Severity))


def expected(value: object) -> str:
    """`online`, `stopped` or `periodic`; or how often it runs, `periodic:30m`, or when, `periodic:0 */2 * * *`."""
    written = text_of(value, "online")
    word, colon, every = (part.strip() for part in written.partition(":"))
    if not colon or word.lower() != "periodic":
        return one_of("online", "stopped", "periodic")(written)
    if " " in every:
        return f"periodic:{normal(every)}"
    try:
        if units.duration(every) > timedelta(0):
            return f"periodic:{every}"
    except ValueError:
        pass
    raise ValueError(f"{written!r} names no rhythm; write periodic:30m or periodic:0 */2 * * *")


def word(*allowed: str) -> BeforeValidator:
    return BeforeValidator(one_of(*allowed))


def _address(*schemes: str) -> Callable[[object], Secret]:
    """A URL of one of these schemes. It may hold a password, so that no message quotes it."""

    def read(value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        url = value.strip() if isinstance(value, str) else ""
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        _take_apart(url)
        if schemes[0] == "http" and not urlsplit(url).hostname:
            raise ValueError("it names no host")
        return Secret(url)

    return read


def _public_url(value: object) -> str:
    url = text_of(value, "https://monitord.example.com")
    if not url.startswith(("http://", "https://")):
        raise ValueError("it does not begin with http:// or https://")
    _take_apart(url)
    parts = urlsplit(url)
    if parts.username is not None or "@" in parts.netloc:
        raise ValueError("it must hold no user and no password: it stands in every message")
    if parts.query or parts.fragment:
        raise ValueError("it is the page's address, and has no query and no fragment")
    if not parts.hostname:
        raise ValueError("it names no host")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port is none")
    return url.rstrip("/")


def _take_apart(url: str) -> None:
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("there is a space or a control character in it; percent-encode it")
    try:
        urlsplit(url)
    except ValueError:
        raise ValueError("it cannot be taken apart; is the password percent-encoded?") from None


def targets(example: str) -> BeforeValidator:
    """A list of addresses that may each be a secret, each once, in order."""

    def fits(item: Any) -> bool:
        return isinstance(item, str) and item.isprintable() and bool(_TARGET.match(item.strip()))

    return _listed(example, "address", fits, kind=Secret)


def _token(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("it must be letters, digits and signs without spaces")
    return Secret(value)


def _secret_json(value: object) -> Secret:
    """A list or map with something secret in it, as it stands in monitord.toml or as JSON."""
    if isinstance(value, Secret):
        return value
    return Secret(value if isinstance(value, str) else json.dumps(value))


def _listen(value: object) -> str:
    text = text_of(value, "127.0.0.1:8844")
    if text:
        listen_address(text)
    return text


def read_hours(value: object) -> str:
    """Hours of the day, as they were written; "" is none."""
    text = text_of(value, "22:00-07:00")
    if text:
        quiet_hours(text)
    return text


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value).isprintable():
        raise ValueError("it is no path")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"whose home {str(value)!r} means is not known; write the whole path") from None


def _file(value: object) -> Path:
    path = _path(value)
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    return path


def each_written(text: Callable[[T], object]) -> PlainSerializer:
    return PlainSerializer(lambda found: {name: text(one) for name, one in found.items()})


percent_text: Final = "{:g}%".format
_as_duration = PlainSerializer(units.duration_text)
_as_percent = PlainSerializer(percent_text)
Duration = Annotated[timedelta, BeforeValidator(read_duration), _as_duration]
Length = Annotated[timedelta, BeforeValidator(read_length), _as_duration]
EpochLength = Annotated[timedelta, BeforeValidator(_epoch), _as_duration]
Size = Annotated[int, BeforeValidator(read_size), PlainSerializer(units.size_text)]
Sizes = Annotated[dict[str, int], mapping('{"web": "800MB"}', read_size), each_written(units.size_text)]
Percent = Annotated[float, BeforeValidator(read_percent), _as_percent]
Number = Annotated[int, BeforeValidator(read_number)]
Count = Annotated[int, BeforeValidator(read_count)]
Decimal = Annotated[float, BeforeValidator(read_decimal)]
Positive = Annotated[float, BeforeValidator(_positive)]
CpuShare = Annotated[float, BeforeValidator(read_cpu_share), _as_percent]
CpuShares = Annotated[dict[str, float], mapping('{"web": "150%"}', read_cpu_share), each_written(percent_text)]
Lines = Annotated[dict[str, str], mapping('{"web": "…"}', read_line), each_written(mask)]
Text = Annotated[str, BeforeValidator(read_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Label = Annotated[str, BeforeValidator(short_line("box-1", 100))]
Hours = Annotated[str, BeforeValidator(read_hours)]
Schedule = Annotated[str, BeforeValidator(lambda value: normal(text_of(value, "0 */2 * * *")))]
Directory = Annotated[Path, BeforeValidator(_path)]
File = Annotated[Path, BeforeValidator(_file)]
Listen = Annotated[str, BeforeValidator(_listen)]
Token = Annotated[Secret, BeforeValidator(_token)]
SecretJson = Annotated[Secret, BeforeValidator(_secret_json)]
Targets = Annotated[tuple[Secret, ...], targets('["ntfy://topic"]')]
PostgresUri = Annotated[Secret, BeforeValidator(_address("postgresql", "postgres"))]
RedisUrl = Annotated[Secret, BeforeValidator(_address("redis", "rediss", "unix"))]
PublicUrl = Annotated[str, BeforeValidator(_public_url)]
HttpUrl = Annotated[Secret, BeforeValidator(_address("http", "https"))]
