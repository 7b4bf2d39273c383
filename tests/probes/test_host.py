"""The numbers are the kernel's and df's, and a disk that hangs costs its own thread and nobody's reading."""

import asyncio
import errno
import math
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from monitord.core.model import Reading, Unmeasured
from monitord.probes.base import Request, take
from monitord.probes.host import HostProbe

ASK = Request(now=1_762_308_000.0, timeout=10.0)
# For where nothing need answer.
AT_ONCE = Request(now=1_762_308_000.0, timeout=0.05)


class Disks:
    """The real statvfs, but for one path whose file system hangs until it is let go."""

    def __init__(self, hung: str) -> None:
        self.hung = hung
        self.asked: list[str] = []
        self.back = threading.Event()

    def __call__(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        if path == self.hung:
            assert self.back.wait(60)
        return os.statvfs("/")


@pytest.fixture
async def probe_of() -> AsyncIterator[Callable[..., HostProbe]]:
    made: list[HostProbe] = []

    def make(*disks: str, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> HostProbe:
        made.append(HostProbe(disks, statvfs))
        return made[-1]

    yield make
    for probe in made:
        await probe.close()


def gaps(reading: Reading) -> dict[str, str]:
    assert reading.failure is None
    return {gap.subject: gap.kind for gap in reading.gaps}


def df(path: str) -> tuple[int, int]:
    """The percentage and the free bytes that df prints."""
    printed = subprocess.run(["df", "-P", "-k", path], capture_output=True, text=True, check=True, timeout=10).stdout
    fields = printed.splitlines()[1].split()
    return int(fields[4].rstrip("%")), int(fields[3]) * 1024


def meminfo() -> dict[str, int]:
    """The kernel's own account, in bytes."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


async def test_a_disk_is_as_full_as_df_says(probe_of: Callable[..., HostProbe]) -> None:
    percent_before, free_before = df("/")
    reading = await take(probe_of("/"), ASK)
    percent_after, free_after = df("/")
    used, free = reading.number("disk_used", path="/"), reading.number("disk_free", path="/")
    assert used is not None
    assert free is not None
    # df rounds up, and others write to this disk meanwhile.
    assert percent_before - 1 <= math.ceil(used) <= percent_after + 1
    assert min(free_before, free_after) - 2**30 < free < max(free_before, free_after) + 2**30


async def test_blocks_kept_for_root_are_neither_used_nor_free(probe_of: Callable[..., HostProbe]) -> None:
    # block size, fragment size, blocks, free, available to users, files…
    found = os.statvfs_result((4096, 4096, 1000, 300, 250, 0, 0, 0, 0, 255))
    reading = await take(probe_of("/data", statvfs=lambda path: found), ASK)
    assert reading.number("disk_used", path="/data") == round(100 * 700 / 950, 3)
    assert reading.number("disk_free", path="/data") == 250 * 4096


async def test_a_file_system_without_blocks_has_no_percentage(probe_of: Callable[..., HostProbe]) -> None:
    empty = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    reading = await take(probe_of("/proc", statvfs=lambda path: empty), ASK)
    assert reading.values("disk_used", "path") == {"/proc": None}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/meminfo")
async def test_memory_is_what_the_kernel_says(probe_of: Callable[..., HostProbe]) -> None:
    reading = await take(probe_of(), ASK)
    kernel = meminfo()
    assert reading.number("memory_total") == kernel["MemTotal"]
    available = reading.number("memory_available")
    assert available is not None
    assert abs(available - kernel["MemAvailable"]) < kernel["MemTotal"] / 4, "others come and go meanwhile"
    swap = reading.number("swap")
    assert swap is not None
    total = kernel["SwapTotal"]
    assert abs(swap - (100 * (total - kernel["SwapFree"]) / total if total else 0)) < 25


async def test_load_and_boot_time_are_there(probe_of: Callable[..., HostProbe]) -> None:
    reading = await take(probe_of(), ASK)
    for name in ("load1", "load5", "load15"):
        load = reading.number(name)
        assert load is not None
        assert load >= 0
    assert reading.number("boot_at") == psutil.boot_time()


async def test_a_disk_that_is_not_there_is_a_gap_and_the_others_are_measured(
    probe_of: Callable[..., HostProbe], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    reading = await take(probe_of("/", str(tmp_path / "gone"), str(file / "below")), ASK)
    assert gaps(reading) == {str(tmp_path / "gone"): "missing", str(file / "below"): "missing"}
    assert list(reading.values("disk_used", "path")) == ["/"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, "permission"), (errno.EIO, "refused"), (errno.ESTALE, "refused"), (errno.ETIMEDOUT, "timeout")],
)
async def test_what_the_kernel_answers_instead_of_numbers_is_a_gap_with_its_kind(
    probe_of: Callable[..., HostProbe], number: int, kind: str
) -> None:
    def fails(path: str) -> os.statvfs_result:
        raise OSError(number, os.strerror(number), path)

    reading = await take(probe_of("/mnt", statvfs=fails), ASK)
    assert gaps(reading) == {"/mnt": kind}
    assert reading.gaps[0].error.startswith("/mnt ")
    assert kind == "permission" or os.strerror(number) in reading.gaps[0].error, "the kernel's word, not our patience"
    assert reading.number("memory_total") is not None


async def test_a_disk_that_hangs_is_a_gap_in_time_and_everything_else_is_measured(
    probe_of: Callable[..., HostProbe],
) -> None:
    # What hangs takes all of its time, and what answers must have been given a processor by then: else there is more.
    for timeout in (0.125, 2.5):
        disks = Disks(hung="/mnt/gone")
        probe = probe_of("/", "/mnt/gone", "/data", statvfs=disks)
        try:
            reading = await take(probe, Request(ASK.now, timeout))
        finally:
            disks.back.set()
        if len(reading.gaps) == 1:
            break
    within = f"{0.8 * timeout:g} s"
    assert reading.gaps == (
        Unmeasured("/mnt/gone", "timeout", f"/mnt/gone did not answer within {within}: its file system hangs"),
    )
    assert set(reading.values("disk_used", "path")) == {"/", "/data"}
    assert reading.number("memory_available") is not None


async def test_a_disk_that_still_hangs_is_not_asked_again_and_is_measured_when_it_is_back(
    probe_of: Callable[..., HostProbe],
) -> None:
    disks = Disks(hung="/mnt/gone")
    probe = probe_of("/mnt/gone", statvfs=disks)
    try:
        await take(probe, AT_ONCE)
        while not disks.asked:  # noqa: ASYNC110 - it is asked on a thread of its own
            await asyncio.sleep(0.001)
        threads = threading.active_count()
        for _ in range(5):
            again = await take(probe, ASK)
            assert gaps(again) == {"/mnt/gone": "timeout"}
            assert "has not answered for" in again.gaps[0].error
        assert disks.asked == ["/mnt/gone"]
        assert threading.active_count() == threads
    finally:
        disks.back.set()
    async with asyncio.timeout(10):
        while gaps(await take(probe, ASK)):  # noqa: ASYNC110 - the thread that is waited for has no asyncio.Event
            await asyncio.sleep(0.001)
    assert len(disks.asked) == 2


async def test_a_path_named_twice_is_measured_once(probe_of: Callable[..., HostProbe]) -> None:
    reading = await take(probe_of("/", "/"), ASK)
    assert len(list(reading.named("disk_used"))) == 1


async def test_closing_while_a_disk_hangs_waits_for_nobody_and_the_threads_end(
    probe_of: Callable[..., HostProbe],
) -> None:
    disks = Disks(hung="/mnt/gone")
    probe = probe_of("/mnt/gone", "/", statvfs=disks)
    await take(probe, AT_ONCE)
    await probe.close()
    ours = [thread for thread in threading.enumerate() if thread.name in {"disk /mnt/gone", "disk /"}]
    assert "disk /mnt/gone" in {thread.name for thread in ours}
    disks.back.set()
    for thread in ours:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


async def test_inodes_are_counted_as_df_does_and_are_null_where_their_number_is_not_set(
    probe_of: Callable[..., HostProbe],
) -> None:
    # block size, fragment size, blocks, free, available to users, files, free, free to users…
    found = os.statvfs_result((4096, 4096, 1000, 300, 250, 1000, 200, 200, 0, 255))
    reading = await take(probe_of("/data", statvfs=lambda path: found), ASK)
    assert reading.number("disk_inodes_used", path="/data") == 80.0
    unset = os.statvfs_result((4096, 4096, 1000, 300, 250, 0, 0, 0, 0, 255))
    reading = await take(probe_of("/data", statvfs=lambda path: unset), ASK)
    assert reading.values("disk_inodes_used", "path") == {"/data": None}


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 50 inodes of its own."""
    place = tmp_path / "data"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=50", "none", str(place)],
        capture_output=True,
        check=False,
        timeout=10,
    )
    if made.returncode:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", str(place)], capture_output=True, check=False, timeout=10)


@pytest.mark.skipif(sys.platform != "linux", reason="a tmpfs is mounted on Linux only")
async def test_a_file_system_full_of_empty_files_has_no_inode_left_and_lies_where_it_is_mounted(
    probe_of: Callable[..., HostProbe], tmpfs: Path
) -> None:
    for number in range(49):
        (tmpfs / str(number)).touch()
    path, probe = str(tmpfs), probe_of(str(tmpfs))
    reading = await take(probe, ASK)
    assert reading.number("disk_used", path=path) == 0.0
    assert reading.number("disk_inodes_used", path=path) == 100.0
    assert reading.word("disk_mount", path=path) == path
    subprocess.run(["umount", path], check=True, timeout=10)
    after = await take(probe, ASK)
    assert after.word("disk_mount", path=path) != path
    assert after.word("disk_device", path=path) != reading.word("disk_device", path=path)


async def test_processors_are_as_busy_as_they_were_between_two_readings(
    probe_of: Callable[..., HostProbe], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = psutil.cpu_times()._replace(**dict.fromkeys(psutil.cpu_times()._fields, 0.0))
    probe = probe_of("/")
    monkeypatch.setattr(psutil, "cpu_times", lambda: spent)
    first = await take(probe, ASK)
    assert (first.number("cpu"), first.number("cores")) == (None, psutil.cpu_count())
    spent = spent._replace(user=30.0, system=15.0, idle=50.0, iowait=5.0)
    assert (await take(probe, ASK)).number("cpu") == 45.0
    assert (await take(probe, ASK)).number("cpu") is None  # no time has passed
