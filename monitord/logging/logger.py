"""The log: one JSON object a line, secrets masked, to stdout and to hourly files; nothing that happens to it can raise.

Every line begins with `timestamp`, `level`, `event` and `message`; the event's own fields follow. A Log is an object
that is handed down, never a global; `everything` lends it the process's other voices for a while: warnings, the
libraries' own logging, and errors nobody caught.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from monitord.core.humanize import capital
from monitord.imports import without
from monitord.jsonable import first_line, in_json, named
from monitord.logging.writers import HourlyFiles, LineWriter, WriteTrouble, stream_writer
from monitord.masking import MASK, mask

# What structlog draws tracebacks and colours with where it finds it; here lines are JSON.
with without("better_exceptions", "colorama", "rich", "twisted"):
    import structlog

Level = Literal["debug", "info", "warning", "error"]
_NUMBERS: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
STDOUT: Final = "stdout"
_FIRST: Final = ("timestamp", "level", "event", "message")
_FLUSH_SECONDS: Final = 1.0
_SHORTEST_SECRET: Final = 8
# Line ends that JSON leaves as they are and others do not, terminal controls, and halves of characters.
# Libraries whose every line may quote an address that is a secret.
_OF_REQUESTS: Final = frozenset({"apprise", "asks", "h11", "httpcore", "httpx", "requests", "urllib3"})
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class JsonLog:
    """Says events to a stream and, where a directory is given, to hourly files in it. Safe in any thread.

    `stream` is None where the process has no stdout; files are kept for `retention` past the end of their hour.
    """

    def __init__(
        self,
        stream: TextIO | None,
        level: Level = "info",
        *,
        directory: Path | None = None,
        retention: timedelta = timedelta(hours=48),
    ) -> None:
        self._writers = [LineWriter(STDOUT, stream_writer(stream))]
        self._is_orphaned = False
        self._files = HourlyFiles(directory, retention) if directory is not None else None
        if self._files is not None:
            self._writers.append(LineWriter("files", self._files.write))
        self._secrets: re.Pattern[str] | None = None
        self._busy = threading.local()
        self._level: Level = level
        self._logger = self._wrapped(level)
        atexit.register(self.flush)

    def emit(self, event: str, level: Level, message: str, /, **fields: object) -> None:
        """Say an event: its snake_case name, a sentence for people, its fields. Returns at once and never raises."""
        if getattr(self._busy, "now", False):
            return  # something that is logged while a line is made must not make another
        self._busy.now = True
        try:
            self._logger.log(_NUMBERS[level], event, message=message, fields=fields)
        except Exception as error:  # noqa: BLE001 - a field that cannot be written must not end monitoring
            lost = f"An event could not be logged: {type(error).__name__}."
            with suppress(Exception):
                self._logger.error("internal_error", message=lost, fields={"lost_event": str(event)})
        finally:
            self._busy.now = False

    def says(self, level: Level) -> bool:
        return _NUMBERS[level] >= _NUMBERS[self._level]

    def internal(self, what: str, error: BaseException | None = None) -> None:
        """Logs `internal_error`: what happened as half a sentence. The traceback is logged at level debug only."""
        why = f" ({named(error)})" if error is not None else ""
        details: dict[str, object] = {} if error is None else {"error": named(error)}
        if error is not None and self._level == "debug":
            details["traceback"] = "".join(traceback.format_exception(error))
        self.emit("internal_error", "error", f"{capital(what)}{why}.", **details)

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these texts wherever they stand, from now on. Those under 8 characters are words, and are left."""
        found = sorted({text for text in secrets if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None

    def reconfigure(self, level: Level, retention: timedelta) -> None:
        self._level, self._logger = level, self._wrapped(level)
        if self._files is not None:
            self._files.retention = retention

    def tidy(self) -> None:
        """Delete the files past the retention now; it also happens with each new hour's first line."""
        if self._files is not None:
            self._files.tidy(datetime.now(UTC))

    @property
    def trouble(self) -> tuple[WriteTrouble, ...]:
        found = (writer.trouble for writer in self._writers)
        return tuple(t for t in found if t is not None and not (self._is_orphaned and t.sink == STDOUT))

    def orphaned(self) -> None:
        """Whoever started this process has gone, and nobody reads stdout any more: that is no trouble of the log's."""
        self._is_orphaned = True

    @property
    def lost(self) -> int:
        return sum(writer.lost for writer in self._writers)

    def flush(self, timeout: float = _FLUSH_SECONDS) -> bool:
        """Wait at most `timeout` seconds for each output to catch up; whether all did."""
        late = [writer for writer in self._writers if not writer.flush(timeout)]
        return not late

    @contextmanager
    def everything(self) -> Iterator[None]:
        """While this lasts, whatever the process would print on stderr by itself is a line of this log."""
        root = logging.getLogger()
        before = (root.handlers, root.level, sys.excepthook, threading.excepthook, sys.unraisablehook)
        showwarning, handler = warnings.showwarning, _Handler(self)

        def warned(
            message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
        ) -> None:
            where = f"{Path(filename).name}:{lineno}"
            self.emit("library_message", "warning", f"{category.__name__}: {first_line(message)}", where=where)

        def uncaught(_: object, error: BaseException, __: TracebackType | None) -> None:
            self.internal("nobody caught an error", error)

        def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_type is not SystemExit:
                name = args.thread.name if args.thread is not None else "unknown"
                self.internal(f"nobody caught an error in the thread {name}", args.exc_value)

        def unraisable(args: sys.UnraisableHookArgs) -> None:
            self.internal("an error came where none can be raised", args.exc_value)

        root.handlers, sys.excepthook, threading.excepthook = [handler], uncaught, uncaught_in_thread
        sys.unraisablehook, warnings.showwarning = unraisable, warned
        # Whatever the level of this log: what libraries say of their work quotes requests, with the addresses' secrets.
        root.setLevel(logging.WARNING)
        try:
            yield
        finally:
            root.handlers, level, sys.excepthook, threading.excepthook, sys.unraisablehook = before
            root.setLevel(level)
            warnings.showwarning = showwarning
            self.flush()

    def _wrapped(self, level: Level) -> Any:
        logger = structlog.wrap_logger(
            _Sink(self._writers),
            processors=[_stamp, self._plain, _render],
            wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
            context_class=dict,
            cache_logger_on_first_use=False,
        )
        return logger.bind()

    def _plain(self, _: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, object]:
        given = line.pop("fields")
        plain: dict[str, object] = {name: line[name] for name in _FIRST}
        plain |= {f"{name}_" if name in _FIRST else name: value for name, value in given.items()}
        return {name: in_json(value, self.masked, name) for name, value in plain.items()}

    def masked(self, text: str) -> str:
        return mask(text if self._secrets is None else self._secrets.sub(MASK, text))


class _Sink:
    def __init__(self, writers: list[LineWriter]) -> None:
        self._writers = writers

    def msg(self, line: bytes, when: datetime) -> None:
        for writer in self._writers:
            writer.put(when, line)

    debug = info = warning = error = msg


class _Handler(logging.Handler):
    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _OF_REQUESTS:
            return  # whoever has sent the request says what became of it, without the address
        try:
            message = first_line(record.getMessage())
        except Exception as error:  # noqa: BLE001 - the arguments do not fit the message: a library's mistake
            message = f"{record.msg} ({named(error)})"
        if record.exc_info and isinstance(record.exc_info[1], BaseException):
            self._log.internal(message.rstrip("."), record.exc_info[1])
            return
        level: Level = next(
            (name for name in ("error", "warning", "info") if record.levelno >= _NUMBERS[name]), "debug"
        )
        self._log.emit("library_message", level, message, logger=record.name)


def _stamp(_: object, level: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    line["timestamp"], line["level"] = datetime.now(UTC), level
    return line


def _render(_: object, __: str, line: MutableMapping[str, Any]) -> tuple[tuple[bytes, datetime], dict[str, object]]:
    text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return (_UNSAFE.sub(_escaped, text).encode() + b"\n", datetime.fromisoformat(line["timestamp"])), {}


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\ufffd" if "\ud800" <= character <= "\udfff" else f"\\u{ord(character):04x}"
