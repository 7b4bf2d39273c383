"""PM2's answer to getMonitorData, decoded by type: the fields that are judged, and all others skipped unread.

PM2 spreads each app's environment over pm2_env itself, so that any field may be of any type, and an environment may use
PM2's own names. A field of a type that PM2 does not write there is left out, and costs no other field and no other app.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError
from msgspec.json import Decoder
from msgspec.structs import fields, force_setattr

from . import Pm2Error, wire

Scalar = int | float | str | bool | None

_EMPTY: Final = len("{}")
_MAX_STOP_CODES: Final = 256  # there are no more exit codes
# Half of a surrogate pair, beside the other escapes, so that none of them is mistaken for one.
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F][\da-fA-F]{2})|.)")
_AnyStruct = TypeVar("_AnyStruct", bound=Struct)


class Number(Struct, frozen=True, gc=False):
    value: Scalar = None
    unit: Scalar = None


class Usage(Struct, frozen=True, gc=False):
    memory: Scalar = None
    cpu: Scalar = None


class Environment(Struct, frozen=True, gc=False, rename={"node_options": "NODE_OPTIONS"}):
    """What PM2 knows of an app, beside its environment."""

    name: Scalar = None
    status: Scalar = None
    restart_time: Scalar = None
    created_at: Scalar = None
    pm_uptime: Scalar = None
    exit_code: Scalar = None
    autorestart: Scalar = None
    cron_restart: Scalar = None
    max_memory_restart: Scalar = None
    pmx_module: Scalar = None
    kill_timeout: Scalar = None
    listen_timeout: Scalar = None
    exp_backoff_restart_delay: Scalar = None
    restart_delay: Scalar = None
    stop_exit_codes: Scalar | list[Scalar] = None
    watch: Scalar | list[Raw] = None
    # What an app reports of itself: undecoded, as it is nearly always the same but for the numbers.
    axm_monitor: Raw | UnsetType = UNSET
    # Options for Node hold what an app is started with: undecoded, until it is known that they hold what is judged.
    node_args: Raw | UnsetType = UNSET
    node_options: Raw | UnsetType = UNSET

    @property
    def stop_codes(self) -> list[Scalar]:
        codes = self.stop_exit_codes
        return codes[:_MAX_STOP_CODES] if isinstance(codes, list) else [codes]


class Entry(Struct, frozen=True, gc=False):
    pid: Scalar = None
    name: Scalar = None
    pm_id: Scalar = None
    pm2_env: Environment = Environment()
    monit: Usage = Usage()


class _Answer(Struct):
    args: list[list[Entry]] | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _RawAnswer(Struct):
    args: list[list[Raw]]


_ANSWER: Final = Decoder(_Answer)
_RAW_ANSWER: Final = Decoder(_RawAnswer)
_OBJECT: Final = Decoder(dict[str, Raw])
_ARRAY: Final = Decoder(list[Raw])
_NUMBERS: Final[Decoder[dict[str, Number] | None]] = Decoder(dict[str, Number] | None)
_SCALAR: Final[Decoder[Scalar]] = Decoder(Scalar)
# By struct, by the name that PM2 has for a field: ours, and what decodes it.
_FIELDS: Final[Mapping[type[Struct], Mapping[str, tuple[str, Decoder[object]]]]] = {
    struct: {one.encode_name: (one.name, Decoder(one.type)) for one in fields(struct)}
    for struct in (Number, Usage, Environment, Entry)
}


def decode(body: wire.Argument) -> list[Entry]:
    """The processes of PM2's answer, in order. WireError: not JSON. Pm2Error: `protocol`: no process list."""
    # Of what is decoded nearly each value has a comma before it, those in texts counted in.
    if len(body) > wire.MAX_VALUES and body.count(b",") > wire.MAX_VALUES:
        raise wire.WireError(f"an argument holds more than {wire.MAX_VALUES} values")
    document = memoryview(body)[2:] if body.startswith(b"j:") else b""
    try:
        try:
            return _entries(document)
        except ValidationError:
            raise Pm2Error("protocol", "PM2 answered with something else than a process list") from None
        except DecodeError:
            # Node writes half a surrogate pair as it is, which no text in UTF-8 can hold.
            return _entries(_whole(document))
    except (DecodeError, RecursionError):
        raise wire.WireError("an argument is not JSON") from None


def taken_numbers(environment: Environment) -> Raw | None:
    """What an app reports, taken out of its environment: a view of PM2's whole answer; None where it is nothing."""
    numbers = environment.axm_monitor
    if isinstance(numbers, UnsetType):
        return None
    force_setattr(environment, "axm_monitor", UNSET)
    return numbers if len(memoryview(numbers)) > _EMPTY else None


def numbers(raw: Raw | bytes) -> Mapping[str, Number] | None:
    """What an app reports of itself, decoded; None where that is nothing."""
    try:
        try:
            return _NUMBERS.decode(raw)
        except (ValidationError, UnicodeDecodeError):
            return {name: _number(entry) for name, entry in _OBJECT.decode(raw).items()}
        except DecodeError:
            return _NUMBERS.decode(_whole(raw))
    except (ValueError, RecursionError):
        return None


def without_views(environment: Environment) -> Environment | None:
    """The environment without a view of PM2's whole answer, so that it can be kept; None where it has others."""
    if environment.watch.__class__ is list:
        return None
    for name in ("node_args", "node_options"):
        if isinstance(raw := getattr(environment, name), Raw):
            force_setattr(environment, name, raw.copy())
    return environment


def for_half(half: int) -> str:
    """A character that cannot be shown, another one for each half of a surrogate pair."""
    return chr(0xF0000 + half)


def _whole(document: memoryview | bytes | Raw) -> bytes:
    return _ESCAPE.sub(
        lambda found: for_half(int(found[1], 16)).encode() if found[1] else found[0], bytes(memoryview(document))
    )


def _entries(document: memoryview | bytes) -> list[Entry]:
    try:
        answer = _ANSWER.decode(document)
    except (ValidationError, UnicodeDecodeError):  # somewhere in it: app by app, then
        return [_loosely(Entry, raw) for raw in _RAW_ANSWER.decode(document).args[0]]
    if answer.error is not UNSET:
        raise Pm2Error("protocol", "PM2 answered getMonitorData with an error")
    if not answer.args:
        raise Pm2Error("protocol", "PM2 answered getMonitorData with something else than a result")
    return answer.args[0]


def _loosely(struct: type[_AnyStruct], raw: Raw) -> _AnyStruct:
    """What can be had of one object where a field is of another type than it should be."""
    found: dict[str, object] = {}
    for name, value in _OBJECT.decode(raw).items():
        if name in (known := _FIELDS[struct]):
            field, decoder = known[name]
            try:
                found[field] = decoder.decode(value)
            except ValueError:
                found.update(_parts(field, value))
    return struct(**found)


def _parts(field: str, raw: Raw) -> dict[str, object]:
    """The field with those parts that are of the right type; nothing where it has none."""
    try:
        match field:
            case "pm2_env":
                return {field: _loosely(Environment, raw)}
            case "monit":
                return {field: _loosely(Usage, raw)}
            case "stop_exit_codes":
                return {field: [_scalar(code) for code in _ARRAY.decode(raw)[:_MAX_STOP_CODES]]}
            case _:
                return {}
    except ValueError:
        return {}


def _number(raw: Raw) -> Number:
    try:
        return _loosely(Number, raw)
    except ValueError:
        return Number()


def _scalar(raw: Raw) -> Scalar:
    try:
        return _SCALAR.decode(raw)
    except ValueError:
        return None
