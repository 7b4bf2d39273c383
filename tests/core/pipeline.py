"""The pipeline behind the simulated fleet's seals: its trees, its publisher, and what its probe would read of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitord.core.model import Sample

from .fleet import Clock, Group, sample

# So many seconds after its seal a label's trees are built, and so many after those it is published.
BUILT_AFTER, PUBLISHED_AFTER = 60.0, 120.0
TABLES = ("user_signals", "channel_participation", "sealed_epochs", "sealed_participants", "l2_tree_cache")
KINDS = ("empty", "duplicate", "unlike", "miscounted", "oversized", "mismatch")
# Of the past, that nobody will ever publish: it has no trees.
STRUCTURAL = 1131


@dataclass(slots=True)
class Pipeline:
    """What is made of the seals while all is well, and what is not from some moment on."""

    clock: Clock
    groups: Mapping[str, Group]
    # When the newest signal was sent (None: just now); since when nothing is built of a group, or published.
    signal_at: float | None = None
    unbuilt: dict[str, float] = field(default_factory=dict)
    unpublished: float | None = None
    names_kept: bool = False
    rewritten: dict[str, set[int]] = field(default_factory=dict)
    wrong: dict[tuple[str, str], tuple[int, int, str]] = field(default_factory=dict)
    took: dict[str, int] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    roster: dict[str, list[str]] = field(default_factory=dict)
    shared: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    strangers: dict[str, int] = field(default_factory=dict)
    # Seals that were recomputed to another root and are right since, by group; what is known of the test cases.
    mended: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    cases: dict[str, dict[str, int | None]] = field(default_factory=dict)
    uncategorised: dict[str, int] = field(default_factory=dict)
    categorised: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, group in self.groups.items():
            if group.cemented:
                self.roster[name] = [f"{name.lower()}{number:02}" for number in range(12)]
                self.shared[name] = [(channel, "CLS") for channel in self.roster[name][:10]]

    def newest(self, group: str) -> int:
        """The newest label of a group that is sealed whole."""
        one = self.groups[group]
        return max(label for label in one.sealed if label + one.length + one.grace <= self.clock.now)

    def is_wrong(self, kind: str, group: str, many: int) -> None:
        """So many seals of the newest whole label have this trouble."""
        self.wrong[kind, group] = (many, self.newest(group), "jason" if group == "MILO" else "jynxzi")

    def is_rewritten(self, group: str) -> None:
        """One root of the newest whole label is another since, and not its tree's any more."""
        self.rewritten.setdefault(group, set()).add(self.newest(group))
        self.is_wrong("unlike", group, 1)

    def is_right(self, group: str) -> None:
        """Whoever wrote wrong roots has put them right."""
        self.rewritten.pop(group, None)
        if found := self.wrong.get(("mismatch", group)):
            self.mended.setdefault(group, []).append(found[1:])
        self.wrong = {place: found for place, found in self.wrong.items() if place[1] != group}

    def samples(self, now: float) -> Iterator[Sample]:
        """What the probe reads at `now`."""
        yield from (sample("there", 1, table=table) for table in TABLES)
        yield sample("newest_signal", now - 3 if self.signal_at is None else self.signal_at, "timestamp")
        waiting: list[float] = []
        published: list[float] = []
        for group in self.groups.values():
            yield from self._of(group, now)
            for label, at in group.sealed_at.items():
                built = at + BUILT_AFTER
                if label < now - group.window or built > now or built > self.unbuilt.get(group.name, now):
                    continue
                done = built + PUBLISHED_AFTER
                is_out = done <= now and (self.unpublished is None or done <= self.unpublished)
                (published if is_out else waiting).append(done if is_out else built)
        yield sample("unpublished", STRUCTURAL + len(waiting))
        yield sample("unpublished_capped", 0)
        yield sample("backlog_seen", 1)
        yield sample("eligible", len(waiting))
        yield sample("eligible_since", min(waiting, default=None), "timestamp")
        yield sample("published_lately", sum(1 for at in published if at > now - 3600))
        yield sample("published_last", max(published, default=None), "timestamp")
        for name, many in self.strangers.items():
            yield sample("group_unknown", many, group=name)
        yield sample("verify_trouble", "", "")
        yield sample("names_kept", int(self.names_kept))
        for case, facts in self.cases.items():
            for name, value in facts.items():
                yield sample(f"case_{name}", value, case=case)

    def _of(self, group: Group, now: float) -> Iterator[Sample]:
        name = group.name
        yield sample("joined", 300, group=name)
        yield sample("joined_usual", 305, group=name)
        yield sample(
            "channel_latest", max(group.sealed, default=0), "timestamp", group=name, channel=f"{name.lower()}00"
        )
        yield sample("took_part", self.took.get(name, 600), group=name)
        yield sample("took_part_label", max(group.sealed, default=0), "timestamp", group=name)
        yield sample("viewers", self.took.get(name, 600) // 2, group=name)
        yield sample("took_part_usual", 610, group=name)
        yield sample("took_part_least", self.least.get(name, 500), group=name)
        yield sample("took_part_days", 7, group=name)
        labels = sorted(label for label in group.sealed if now - group.window <= label)
        for label in labels:
            if label + group.length + group.grace <= now:
                version = int(label in self.rewritten.get(name, ()))
                yield _root(name, label, group.sealed[label], version)
        for kind in KINDS:
            many, at, channel = self.wrong.get((kind, name), (0, 0, ""))
            yield sample("trouble", many, kind=kind, group=name)
            if many:
                yield sample("trouble_seal", 1, kind=kind, group=name, epoch=str(at), channel=channel)
        is_wrong = ("mismatch", name) in self.wrong
        yield sample("verified", "MISMATCH" if is_wrong else "MATCH", "", group=name)
        yield sample("verified_at", now - now % 3600, "timestamp", group=name)
        yield sample("verified_label", max(labels, default=0), "timestamp", group=name)
        yield sample("verified_channel", f"{name.lower()}00", "", group=name)
        if is_wrong:
            yield sample("mismatch", "the stored root is ab…, its 3 participants give cd…", "", group=name)
        for label, channel in self.mended.get(name, ()):
            yield sample("mended", 1, group=name, epoch=str(label), channel=channel)
        due = [label for label in labels if group.sealed_at.get(label, label) + group.length <= now]
        stopped = self.unbuilt.get(name, now)
        behind = [label for label in due if group.sealed_at.get(label, label) + BUILT_AFTER > stopped]
        yield sample("trees_due", len(due), group=name)
        yield sample("trees_behind", len(behind), group=name)
        yield sample("trees_share", 0.0 if behind else 100.0, "percent", group=name)
        yield sample("trees_usual", 100.0 if len(behind) < len(due) else None, "percent", group=name)
        yield sample("trees_label", min(behind, default=max(due, default=0)), "timestamp", group=name)
        yield sample("uncategorised", self.uncategorised.get(name, 0), group=name)
        yield sample("categorised_label", max(labels, default=0), "timestamp", group=name)
        yield sample("categorised", self.categorised.get(name, 0.0 if group.cemented else 100.0), group=name)
        yield sample("categorised_usual", 0.0 if group.cemented else 100.0, group=name)
        shared = self.shared.get(name, ())
        for channel in self.roster.get(name, ()):
            yield sample("roster", sum(1 for one, _ in shared if one == channel), group=name, channel=channel)
        for channel, other in shared:
            yield sample("shared", 1, group=name, channel=channel, other=other)


@functools.lru_cache(maxsize=1000)
def _root(group: str, label: int, channels: int, version: int) -> Sample:
    return sample("roots", f"{channels}:{label + version:016x}", "", group=group, epoch=str(label))
