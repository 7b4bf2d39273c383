"""Tears a sandbox down when its owner lets go of stdin: `python -m monitord.testing.watchdog DIRECTORY`."""

import ctypes
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from monitord.testing.sandbox import OWNER_FILE, await_end, processes_of

SWEEP_SECONDS = 20.0
QUIT_SECONDS = 3.0
IPC_RMID = 0


def main() -> int:
    """Wait for the end of stdin, then sweep. Returns 0 when nothing is left."""
    directory = Path(sys.argv[1])
    # Ctrl-C and a closing terminal are the owner's business; the pipe says when it is over.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 4096):
        pass
    return 0 if sweep(directory) else 1


def sweep(directory: Path) -> bool:
    """End every process of a sandbox and remove its directory; returns whether nothing is left after 20 s."""
    if not (directory / OWNER_FILE).exists():
        return not directory.exists()
    deadline = time.monotonic() + SWEEP_SECONDS
    _quit_postgres(directory)
    while time.monotonic() < deadline:
        found = processes_of(directory)
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        if found:
            await_end(found, 1)
            continue  # what forked between the check and the kill is found by the next check
        _free_shared_memory(directory)
        # The owner file goes last, so that a sweep that was cut short can be repeated.
        for entry in directory.iterdir():
            if entry.name == OWNER_FILE:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists() and not processes_of(directory):
            return True
    return False


def _quit_postgres(directory: Path) -> None:
    """Ask the postmaster to quit at once: it ends its backends and gives its shared memory back."""
    for pid_file in directory.glob("*/data/postmaster.pid"):
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
            if not str(postmaster.cwd()).startswith(str(directory)):
                continue  # the number has been given to somebody else since
            family = [postmaster, *postmaster.children(recursive=True)]
            postmaster.send_signal(signal.SIGQUIT)
            for process in family:
                with suppress(psutil.Error):
                    process.resume()
            await_end([postmaster], QUIT_SECONDS)


def _free_shared_memory(directory: Path) -> None:
    """Remove the System V segment that a Postgres killed with SIGKILL leaves to the whole machine."""
    for pid_file in directory.glob("*/data/postmaster.pid"):
        with suppress(OSError, ValueError, IndexError, AttributeError):
            key, segment = (int(word) for word in pid_file.read_text().splitlines()[6].split())
            libc = ctypes.CDLL(None)
            if libc.shmget(key, 0, 0) == segment:  # still the one that was written down
                libc.shmctl(segment, IPC_RMID, None)


if __name__ == "__main__":
    sys.exit(main())
