"""What a control group leaves, from trees as kernels write them: v2, v1, hybrid, nested, without limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from monitord.probes.cgroup import headroom

MIB = 1024 * 1024


def tree(root: Path, cgroup: str, files: Mapping[str, object]) -> tuple[Path, Path]:
    """A /proc with this `self/cgroup`, and a /sys/fs/cgroup with these files."""
    proc, mount = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(cgroup)
    mount.mkdir()
    for name, value in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(f"{value}\n")
    return proc, mount


V2 = {
    "memory.max": 300 * MIB,
    "memory.current": 257 * MIB,
    "memory.stat": f"anon {200 * MIB}\ninactive_file {50 * MIB}\nactive_file 1",
}
V1 = {
    "memory/docker/abc/memory.limit_in_bytes": 300 * MIB,
    "memory/docker/abc/memory.usage_in_bytes": 257 * MIB,
    "memory/docker/abc/memory.stat": f"total_inactive_file {50 * MIB}",
    "memory/memory.limit_in_bytes": 9223372036854771712,
    "memory/memory.usage_in_bytes": 5000 * MIB,
}


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/\n", V2),
        ("0::/kubepods/pod1/one\n", {f"kubepods/pod1/{name}": value for name, value in V2.items()}),
        ("12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n", V1),
        ("4:memory:/docker/abc\n0::/docker/abc\n", {**V1, "unified/docker/abc/cgroup.procs": 1}),
    ],
)
def test_a_container_has_what_its_limit_leaves_beside_what_it_cannot_drop(
    tmp_path: Path, cgroup: str, files: Mapping[str, object]
) -> None:
    found = headroom(*tree(tmp_path, cgroup, files))
    assert found is not None
    assert (found.limit, found.available) == (300 * MIB, (300 - 207) * MIB)


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {
        "a/memory.max": 400 * MIB, "a/memory.current": 390 * MIB,
        "a/b/memory.max": 300 * MIB, "a/b/memory.current": 100 * MIB,
    }  # fmt: skip
    found = headroom(*tree(tmp_path, "0::/a/b\n", files))
    assert found is not None
    assert found.available == 10 * MIB


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/\n", {}),
        ("0::/a\n", {"a/memory.max": "max", "a/memory.current": 1}),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": 1}),
        ("0::/a\n", {"a/memory.max": 100 * MIB}),
        ("nonsense\n", {"memory.max": "nonsense", "memory.current": "nonsense"}),
    ],
)
def test_where_no_group_limits_memory_the_host_counts(tmp_path: Path, cgroup: str, files: Mapping[str, object]) -> None:
    assert headroom(*tree(tmp_path, cgroup, files)) is None


def test_a_group_past_its_limit_has_nothing_left_and_not_less(tmp_path: Path) -> None:
    found = headroom(*tree(tmp_path, "0::/\n", {"memory.max": 100, "memory.current": 150}))
    assert found is not None
    assert found.available == 0


def test_a_machine_without_control_groups_has_no_headroom_of_theirs(tmp_path: Path) -> None:
    assert headroom(tmp_path / "no", tmp_path / "no") is None
