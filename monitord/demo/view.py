"""How the demonstration is shown: a live picture in a terminal, plain timestamped lines anywhere else."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, TextIO, cast

from monitord.demo.scene import Scene, SceneEntry, status_line
from monitord.reporting.terminal import Terminal, clean, terminal

if TYPE_CHECKING:
    from rich.live import Live

FRAME_SECONDS = 0.3
STATUS_SECONDS = 5.0


class Outlet:
    """A stream that never raises: what its encoding cannot carry becomes `?`. `gone` is called once nobody reads."""

    def __init__(self, stream: TextIO, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._gone = gone
        self._is_gone = False

    @property
    def encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if not self._is_gone:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding, "replace"))
                self._stream.flush()
            except (OSError, ValueError):
                self._is_gone = True
                self._forget()
                self._gone()
        return len(text)

    def _forget(self) -> None:
        """Let what is left in the stream's buffer go nowhere: the interpreter writes it at its end, and would fail."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def flush(self) -> None: ...


class DemoView:
    every = STATUS_SECONDS
    """Seconds from one frame to the next."""

    def __init__(self, outlet: Outlet, screen: Terminal) -> None:
        self._outlet = outlet
        self.screen = screen

    def progress(self, sentence: str) -> None:
        self.say(f"{datetime.now(UTC):%H:%M:%S} · {clean(sentence)}")

    def open(self) -> None: ...

    def tell(self, entry: SceneEntry) -> None:
        self.say(self.screen.paint(clean(str(entry)), entry.style))

    def frame(self, scene: Scene) -> None:
        self.say(f"{datetime.fromtimestamp(scene.now, UTC):%H:%M:%S}   {clean(status_line(scene))}")

    def close(self) -> None:
        """Safe to call twice."""

    def explain(self, *sentences: str) -> None:
        """Sentences over as many lines as they take."""
        self.say(*(line for sentence in sentences for line in self.screen.wrapped(sentence, indent="")))

    def say(self, *lines: str) -> None:
        self._outlet.write("".join(f"{line}\n" for line in lines))


class LiveView(DemoView):
    """The live picture, on the terminal's second screen; the story stands on the first when it is over."""

    every = FRAME_SECONDS

    def __init__(self, outlet: Outlet, screen: Terminal, environment: Mapping[str, str]) -> None:
        super().__init__(outlet, screen)
        self._environment = environment
        self._live: Live | None = None
        self._story: list[SceneEntry] = []

    def open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(
            file=cast("IO[str]", self._outlet),
            force_terminal=True,
            no_color=not self.screen.colour,
            highlight=False,
            _environ=self._environment,  # what decided for a live picture decides how it is drawn
        )
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def tell(self, entry: SceneEntry) -> None:
        """Keep it for when the picture is gone; the picture has it from the scene."""
        if self._live is None:
            self._tell(entry)
        else:
            self._story.append(entry)

    def frame(self, scene: Scene) -> None:
        from monitord.demo.picture import picture

        if self._live is not None:
            console = self._live.console
            self._live.update(picture(scene, console.width, console.height), refresh=True)

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()
        story, self._story = self._story, []
        for entry in story:
            self._tell(entry)

    def _tell(self, entry: SceneEntry) -> None:
        lines = self.screen.wrapped(str(entry), indent="", hanging=" " * 11)
        self.say(*(self.screen.paint(line, entry.style) for line in lines))


def view(stream: TextIO, environment: Mapping[str, str], gone: Callable[[], None]) -> DemoView:
    outlet = Outlet(stream, gone)
    if stream.isatty() and environment.get("TERM", "dumb") != "dumb":
        return LiveView(outlet, terminal(is_terminal=True, environment=environment), environment)
    return DemoView(outlet, Terminal())
