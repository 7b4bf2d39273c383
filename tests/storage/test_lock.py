"""One daemon per state directory."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monitord.storage import lock as lock_module
from monitord.storage.lock import DirectoryInUse, DirectoryLock, holder

HOLD = """
import sys, time
from pathlib import Path
from monitord.storage.lock import DirectoryLock
DirectoryLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_lock_on_the_same_directory_is_refused_and_names_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "TRY_AGAIN_SECONDS", 0.001)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(DirectoryInUse, match=str(process.pid)):
        DirectoryLock(tmp_path).acquire()
    assert holder(tmp_path) == process.pid
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    process.stdout.close()
    assert holder(tmp_path) is None
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    assert holder(tmp_path) == os.getpid()
    lock.release()
    assert holder(tmp_path) is None


def test_nobody_holds_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None


def test_a_lock_on_a_directory_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        DirectoryLock(tmp_path / "nowhere").acquire()


def test_whoever_only_asks_who_holds_the_directory_does_not_keep_a_daemon_from_starting(tmp_path: Path) -> None:
    asking = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.01, os.close, [asking]).start()
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    lock.release()
