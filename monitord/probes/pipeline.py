"""Looks at the stages of the pipeline: signals, who joins, roots, trees, what is published, and who belongs where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from monitord.core.anomalies import pipeline as usual
from monitord.core.history.epochs import Calendar
from monitord.core.model import Kind, Sample, Unmeasured, sample
from monitord.core.names import distinct
from monitord.core.orders import StandingOrders
from monitord.core.subjects import pipeline_cases
from monitord.core.subjects.pipeline_settings import PipelineSettings
from monitord.failures import FailureError
from monitord.postgres import pipeline as asked
from monitord.postgres.errors import NO_PRIVILEGE, UNDEFINED_COLUMN, UNDEFINED_TABLE, PostgresError
from monitord.postgres.participation import upper
from monitord.postgres.pipeline import PARTICIPANTS, PARTICIPATION, PARTS, SEALS, SIGNALS, TREES, Access, Stages
from monitord.postgres.sampler import Found, Sampler
from monitord.postgres.session import Session
from monitord.probes.base import Measured, Request

if TYPE_CHECKING:
    from monitord.postgres.session import Connection

_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
# What hardly changes is asked for again so many times an epoch; what was found wrong, so many times where the server
# has counted changes to its tables.
_AGAIN_PER_EPOCH = 12
_WRONG_PER_EPOCH: Final = 120
# The newest labels are looked at where the server has counted changes, and of those with something wrong so many.
_NEWEST: Final = 3
_MOST_WRONG: Final = 5
# What was published within so long is counted.
_LATELY_SECONDS: Final = 3600.0
# Pages of seals that a reading looks through for what is not published, until all were seen once; and where no other
# reading follows.
_MOST_WAITING: Final = 10_000  # labels that have any
_MOST_PAGES: Final = 5
_MOST_PAGES_ONCE: Final = 25
_MOST_LABELS: Final = 200
# Seals that one statement sorts or joins: in the server's memory, whatever it may use of it.
_MOST_AT_ONCE: Final = 10_000
# Days before that are compared with this one, and labels a reading that it is asked of who joined.
_DAYS: Final = 7
_DAY_SECONDS: Final = 86_400
_MOST_JOINED_LABELS: Final = 4
_MOST_NAMED: Final = 5
_UNREADABLE: Final = (UNDEFINED_TABLE, UNDEFINED_COLUMN, NO_PRIVILEGE)
# The tables whose changes are followed by what the server counts of them.
_FOLLOWED: Final = (SIGNALS, SEALS, TREES)
# What each part of the reading is called where it cannot be measured, by the table that it is of.
_PARTS: Final[Mapping[str, str]] = {
    SIGNALS: "collection",
    PARTICIPATION: "participation",
    SEALS: "sealed roots",
    PARTICIPANTS: "sealed participants",
    TREES: "trees",
}
_NO_INDEX: Final = f"{TREES} has no index that begins with epoch, and is too large to be read without one"


@dataclass(slots=True)
class _Backlog:
    """What is not published of each label that has any, seen page by page from the newest on backwards.

    `page` is the label where the next page begins (None: at the newest), `again` the same among those with something
    that could be published. `is_whole`: all labels were seen, since monitord began.
    """

    waiting: dict[int, asked.Waiting] = field(default_factory=dict)
    page: int | None = None
    again: int | None = None
    is_whole: bool = False


@dataclass(slots=True)
class _Known:
    """What was last found of the window's labels, by label: kept until a mark, then a signature, is another."""

    marks: dict[int, tuple[object, ...]] = field(default_factory=dict)
    seals: dict[int, dict[str, asked.Signature]] = field(default_factory=dict)
    trees: dict[int, asked.Signature] = field(default_factory=dict)
    stages: dict[int, dict[str, Stages]] = field(default_factory=dict)


class PipelineProbe:
    """The stages of the pipeline, each where its table is there. What is sealed does not change: it is read once.

    A label is read when it is new, and again when its signature (a count, and a hash over its roots) is another. It is
    signed when its mark is another: a cheap hash, taken of the newest labels and those with something wrong where the
    server has counted changes since the last reading, and of all of the window twelve times an epoch.
    """

    name = "pipeline"

    def __init__(self, session: Session, settings: PipelineSettings, orders: StandingOrders, window: float) -> None:
        """A probe over a session that somebody else closes; `window` is how many seconds of labels to look back."""
        self._session, self._settings = session, settings
        self._groups = {upper(group): group for group in orders.groups}
        self._cemented = tuple(group for group in orders.groups if upper(group) in {upper(g) for g in orders.cemented})
        self._length = max(1, int(orders.epoch_length.total_seconds()))
        self._calendar = Calendar(self._length, orders.epoch_grace.total_seconds())
        self._stall = orders.flow_stall.total_seconds()
        self._window = window
        self._asked_at: dict[str, float] = {}
        self._again: set[str] = set()
        self._tables: dict[str, Access] = {}
        self._known = _Known()
        self._counted: dict[str, tuple[object, ...] | None] = {}
        # The tables in which something may have changed since the last reading.
        self._news: frozenset[str] = frozenset()
        self._twice: list[asked.Twice] = []
        self._unpaired: list[int] = []  # labels whose roots are still to be held against the others'
        self._latest: dict[str, tuple[tuple[str, int], ...]] = {}
        self._backlog = _Backlog()
        self._published: dict[int, tuple[object, asked.PublishedOf]] = {}  # by label, and the mark it was read by
        self._signal: float | None = None
        self._joined: dict[int, dict[str, tuple[int, ...]]] = {}
        self._joined_whole: set[int] = set()
        self._viewers: tuple[int, dict[str, int] | None] | None = None
        self._roster: dict[str, dict[str, tuple[str, ...]]] | None = None
        self._names_kept: bool | None = None
        cases = pipeline_cases.cases(settings.test_cases)
        self._sampler: Sampler | None = None
        if settings.verify != "off" or cases:
            self._sampler = Sampler(session, settings.verify, tuple(self._groups), self._length, cases)
        self._readings = 0

    async def measure(self, request: Request) -> Measured:
        """What each stage has come to, as far as its table may be read. FailureError: as the session had it."""
        deadline = asyncio.get_running_loop().time() + request.timeout * _SHARE
        now = request.now + request.database_ahead  # the labels are the server's times
        try:
            missed = sorted((int(label) for label in request.lacking), reverse=True)
            return await self._measured(now, deadline, missed, once=request.once)
        except PostgresError as error:
            raise FailureError(error.kind, error.error) from error

    async def close(self) -> None:
        """Let go of what is being recomputed; the session belongs to whoever made it."""
        if self._sampler is not None:
            await self._sampler.close()

    async def _measured(self, now: float, deadline: float, missed: Sequence[int], *, once: bool) -> Measured:
        async with self._session.read_only(self._left(deadline)) as connection:
            if self._is_due("tables", now):
                self._tables = await asked.access(connection)
            followed = {name: self._tables[name] for name in _FOLLOWED}
            counted = await asked.changed(self._session, connection, followed)
        self._news = frozenset(
            name for name, found in counted.items() if found is None or found != self._counted.get(name)
        )
        self._counted = counted
        samples = [sample("there", int(one.there), table=name) for name, one in self._tables.items()]
        if not self._tables[SEALS].there:
            return Measured(tuple(samples))
        gaps = [
            Unmeasured(_PARTS[name], "permission", f"this role cannot read all of {name}")
            for name, one in self._tables.items()
            if one.there and not one.readable
        ]
        trees = self._tables[TREES]
        if trees.readable and not trees.usable:
            gaps.append(Unmeasured(_PARTS[TREES], "missing", _NO_INDEX))
        labels = self._labels(now)
        for table, measured in (
            (SIGNALS, self._of_signals(now, deadline)),
            (PARTICIPATION, self._of_participation(now, deadline, missed, once=once)),
            (SEALS, self._of_seals(labels, now, deadline, once=once)),
            (PARTICIPANTS, self._of_participants(now, deadline, once=once)),
        ):
            if not self._tables[table].usable:
                measured.close()
                continue
            try:
                samples += await measured
            except PostgresError as error:
                kind = self._kind(error)
                if kind is None:
                    raise
                gaps.append(Unmeasured(_PARTS[table], kind, f"{table}: {error.error}"))
        return Measured(tuple(samples), tuple(gaps))

    @staticmethod
    def _kind(error: PostgresError) -> Kind | None:
        """Of what kind the trouble is with one table alone; None where it is with the server."""
        return error.kind if error.state in _UNREADABLE else None

    def _left(self, deadline: float) -> float:
        return max(0.01, deadline - asyncio.get_running_loop().time())

    def _is_due(self, what: str, now: float, *of: str) -> bool:
        """Whether it is time to ask this again: an epoch's twelfth has passed, or something was wrong.

        What was wrong is asked again once there are changes in one of the tables that it is `of`.
        """
        last = self._asked_at.get(what)
        if last is not None and 0 <= now - last < self._length / _AGAIN_PER_EPOCH:
            has_news = not of or any(name in self._news for name in of)
            if what not in self._again or not has_news or now - last < self._length / _WRONG_PER_EPOCH * bool(of):
                return False
        self._again.discard(what)
        self._asked_at[what] = now
        return True

    def _labels(self, now: float) -> list[int]:
        last = self._calendar.current(now) - self._length
        first = max(int(now - self._window), last - (_MOST_LABELS - 1) * self._length)
        return list(range(last, first - 1, -self._length))

    async def _of_signals(self, now: float, deadline: float) -> list[Sample]:
        if self._is_due("signals", now, SIGNALS):
            current = self._calendar.current(now)
            async with self._session.read_only(self._left(deadline)) as connection:
                self._signal = await asked.newest_signal(connection, (current, current - self._length), now)
        if self._signal is None or now - self._signal > self._stall / 2:
            self._again.add("signals")
        return [sample("newest_signal", self._signal, "timestamp")]

    async def _of_participation(
        self, now: float, deadline: float, missed: Sequence[int], *, once: bool
    ) -> list[Sample]:
        current, newest = self._calendar.current(now), self._calendar.expected(now)
        day = max(1, round(_DAY_SECONDS / self._length)) * self._length
        before = {base: [base - day * ago for ago in range(1, _DAYS + 1)] for base in (newest, current)}
        missed = missed[:_MOST_LABELS]
        wanted = [*(label for base, past in before.items() for label in (base, *past)), *missed]
        self._joined = {label: found for label, found in self._joined.items() if label in wanted}
        self._joined_whole &= self._joined.keys()
        missing = [label for label in dict.fromkeys(wanted) if label not in self._joined_whole and label != current]
        if self._is_due("joined", now):
            missing.insert(0, current)
        is_new = self._viewers is None or self._viewers[0] != newest
        if missing or is_new or (self._cemented and self._is_due("roster", now)):
            async with self._session.read_only(self._left(deadline)) as connection:
                until = deadline - self._left(deadline) / 2
                for label in missing if once else missing[:_MOST_JOINED_LABELS]:
                    if asyncio.get_running_loop().time() > until:
                        break
                    self._joined[label] = await asked.joined(connection, label, tuple(self._groups), self._length)
                    if label + self._length + self._calendar.grace <= now:
                        self._joined_whole.add(label)
                if is_new and newest in self._joined_whole:
                    self._viewers = newest, await asked.viewers(connection, newest, tuple(self._groups))
                if self._cemented and (not missing or self._roster is None):
                    await self._ask_roster(connection)
        part = int((now - current) * PARTS / self._length)
        samples: list[Sample] = []
        for name, group in self._groups.items():
            samples += self._compared(name, group, current, before[current], part)
            samples += self._compared(name, group, newest, before[newest], PARTS)
            if newest in self._joined_whole:
                samples.append(sample("took_part_label", newest, "timestamp", group=group))
            if self._viewers is not None and self._viewers[0] == newest:
                samples.append(sample("viewers", (self._viewers[1] or {}).get(name), group=group))
            for label in missed:
                if label in self._joined_whole:
                    took = sum(self._joined[label][name])
                    samples.append(sample("took_part_late", took, group=group, epoch=str(label)))
        for group, channels in (self._roster or {}).items():
            for channel, others in channels.items():
                samples.append(sample("roster", len(others), group=group, channel=channel))
                samples += [sample("shared", 1, group=group, channel=channel, other=other) for other in others]
        return samples

    async def _ask_roster(self, connection: Connection) -> None:
        found = await asked.roster(connection, self._cemented, tuple(self._groups.values()))
        if self._roster is not None and found != self._roster:
            self._again.add("roster")
        self._roster = found

    def _compared(self, name: str, group: str, label: int, before: Sequence[int], parts: int) -> Iterator[Sample]:
        """How many had joined a group by some part of a label's epoch, and by then on the days before."""
        if label not in self._joined or not parts:
            return
        prefix = "joined" if parts < PARTS else "took_part"
        yield sample(prefix, sum(self._joined[label][name][:parts]), group=group)
        read = [sum(self._joined[one][name][:parts]) for one in before if one in self._joined_whole]
        past = [count for count in read if count]
        if past:
            yield sample(f"{prefix}_usual", round(median(past)), group=group)
            yield sample(f"{prefix}_least", min(past), group=group)
        if len(read) == len(before):  # with some of them still to be read it would be too few days
            yield sample(f"{prefix}_days", len(past), group=group)

    async def _of_seals(self, labels: Sequence[int], now: float, deadline: float, *, once: bool) -> list[Sample]:
        known = self._known
        for label in known.stages.keys() - set(labels):
            if (waits := self._waiting(label)).unpublished:
                self._backlog.waiting[label] = waits
        for part in (known.marks, known.seals, known.trees, known.stages):
            for label in part.keys() - set(labels):
                del part[label]
        is_time = self._is_due("window", now)
        newest = labels[:_NEWEST]
        followed = [
            *newest,
            *[label for label in labels if self._is_followed(label) and label not in newest][:_MOST_WRONG],
        ]
        if is_time:
            looking = list(labels)
        else:
            has_news = SEALS in self._news or TREES in self._news
            looking = [label for label in followed if has_news or label not in known.marks]
        is_published = self._is_due("publishing", now, SEALS, TREES)
        is_unread = not self._backlog.is_whole
        if looking or self._unpaired or is_time or is_published or is_unread or not self._latest:
            async with self._session.read_only(self._left(deadline)) as connection:
                await self._look_at(connection, looking)
                await self._pair(connection, labels)
                if is_time or not self._latest:
                    batches = [newest, *self._batches(labels[_NEWEST:])]
                    self._latest = await asked.latest(connection, batches, tuple(self._groups))
                if is_published:
                    await self._ask_published(connection, labels, now)
                if is_published or is_unread:
                    until = deadline - self._left(deadline) / 2
                    await self._ask_backlog(connection, now, _MOST_PAGES_ONCE if once else _MOST_PAGES, until)
        return [
            *self._of_roots([*followed, *(label for label in looking if label not in followed)], now),
            *self._of_troubles(labels),
            *self._of_trees(labels, now),
            *self._of_categories(labels, now),
            *self._of_publishing(labels, now),
            *(
                sample("channel_latest", label, "timestamp", group=self._groups[name], channel=channel)
                for name, channels in self._latest.items()
                for channel, label in channels
            ),
            sample("signed", self._asked_at["window"], "timestamp"),
            sample("published_read", self._asked_at["publishing"], "timestamp"),
        ]

    async def _ask_published(self, connection: Connection, labels: Sequence[int], now: float) -> None:
        """Read what was published of the labels that are others since, and of those of which something was lately."""
        since = now - _LATELY_SECONDS
        kept = {label: one for label, one in self._published.items() if label in labels}
        asked_for = [
            label
            for label in labels
            if label not in kept
            or kept[label][0] is None
            or kept[label][0] != self._known.marks.get(label)
            or (kept[label][1].last or 0.0) > since
            or kept[label][1].lately
        ]
        found = await asked.published(connection, asked_for, since) if asked_for else {}
        self._published = kept | {label: (self._known.marks.get(label), one) for label, one in found.items()}

    async def _ask_backlog(self, connection: Connection, now: float, pages: int, until: float) -> None:
        """Look through the next page for what is not published, or several until all were seen once.

        No page is begun after `until` (loop time). What could be published is looked at again before its turn: what is
        drained of it is to be seen.
        """
        known = self._backlog
        for _ in range(1 if known.is_whole else pages):
            known.page = await self._ask_page(connection, int(now) if known.page is None else known.page)
            if known.page is None:
                known.is_whole = True
            if known.is_whole or asyncio.get_running_loop().time() > until:
                break
        ready = [label for label, one in known.waiting.items() if one.eligible and label not in self._known.stages]
        if known.is_whole and ready:
            begin = max((label for label in ready if known.again is None or label <= known.again), default=max(ready))
            known.again = await self._ask_page(connection, begin)

    async def _ask_page(self, connection: Connection, begin: int) -> int | None:
        found, then = await asked.backlog(connection, begin, self._tables[TREES])
        left = {
            label: one
            for label, one in self._backlog.waiting.items()
            if label > begin or (then is not None and label <= then)
        }
        self._backlog.waiting = dict(sorted((left | found).items())[-_MOST_WAITING:])
        return then

    def _waiting(self, label: int) -> asked.Waiting:
        signed = self._known.seals.get(label, {}).values()
        whole = self._known.stages.get(label, {}).values()
        return asked.Waiting(
            unpublished=sum(one.rows - one.published for one in signed),
            eligible=sum(one.eligible for one in whole),
            oldest=min((one.eligible_since for one in whole if one.eligible_since is not None), default=None),
        )

    async def _look_at(self, connection: Connection, labels: Sequence[int]) -> None:
        if not labels:
            return
        known, tables, groups = self._known, self._tables, tuple(self._groups)
        marks = await asked.marks(connection, labels, tables[TREES])
        by_mark = tables[TREES].indexed or not tables[TREES].usable  # else it tells nothing of the trees
        touched = [label for label in labels if not by_mark or marks[label] != known.marks.get(label)]
        for label in touched:  # until it is read it is not known
            known.marks.pop(label, None)
        changed = []
        for batch in self._batches(touched, marks):
            seals, built = await asked.signatures(connection, batch, groups, tables[TREES])
            for label in batch:
                found = {name: one for (epoch, name), one in seals.items() if epoch == label}
                tree, was = built.get(label), known.seals.get(label)
                if found != was or tree != known.trees.get(label):
                    changed.append(label)
                if label not in self._unpaired and _roots(found) != _roots(was or {}):
                    self._unpaired.append(label)
                known.seals[label] = found
                if tree is not None:
                    known.trees[label] = tree
        for batch in self._batches(changed):
            whole = await asked.stages(connection, batch, groups, tables)
            for label in batch:
                known.stages[label] = {name: one for (epoch, name), one in whole.items() if epoch == label}
        known.marks |= {label: marks[label] for label in touched}

    async def _pair(self, connection: Connection, labels: Sequence[int]) -> None:
        """Hold the roots of labels that have changed against all others': as many labels a reading as are cheap."""
        self._unpaired = [label for label in self._unpaired if label in labels]
        batch = next(self._batches(self._unpaired), None)
        if batch is None:
            return
        found = await asked.duplicates(connection, labels, tuple(self._groups), batch)
        others = [one for one in self._twice if not set(one.labels) & set(batch) and set(one.labels) & set(labels)]
        self._twice = [*others, *(one for one in found if one not in others)]
        self._unpaired = [label for label in self._unpaired if label not in batch]

    def _batches(
        self, labels: Iterable[int], marks: Mapping[int, tuple[object, ...]] | None = None
    ) -> Iterator[list[int]]:
        """Labels that have few enough seals together to be read by one statement; one by itself that has more."""
        batch: list[int] = []
        rows = 0
        for label in labels:
            many = _rows(marks[label]) if marks else sum(one.rows for one in self._known.seals.get(label, {}).values())
            if batch and rows + many > _MOST_AT_ONCE:
                yield batch
                batch, rows = [], 0
            batch.append(label)
            rows += many
        if batch:
            yield batch

    def _is_wrong(self, label: int) -> bool:
        found = self._known.stages.get(label, {})
        twice = any(label in one.labels for one in self._twice)
        return twice or any(count for one in found.values() for count, _ in one.found.values())

    def _is_followed(self, label: int) -> bool:
        """Whether a change of a label is to be seen at once: something is wrong with it, or it waits for too long."""
        waits = "publishing" in self._again and any(one.eligible for one in self._known.stages.get(label, {}).values())
        return waits or self._is_wrong(label)

    def _of_roots(self, labels: Sequence[int], now: float) -> Iterator[Sample]:
        """The signatures of the roots of whole labels, and the groups that nobody watches."""
        whole = self._calendar.expected(now)
        for label in labels:
            for name, one in self._known.seals.get(label, {}).items():
                if name and label <= whole:
                    yield sample("roots", one.word, "", group=self._groups[name], epoch=str(label))
        strangers: dict[str, int] = {}
        for found in self._known.seals.values():
            if stranger := found.get(""):
                strangers[stranger.called] = strangers.get(stranger.called, 0) + stranger.rows
        for name in sorted(strangers)[:_MOST_NAMED]:
            yield sample("group_unknown", strangers[name], group=distinct(name) or "-")

    def _of_troubles(self, labels: Sequence[int]) -> Iterator[Sample]:
        trees, kept = self._tables[TREES].usable, self._tables[PARTICIPANTS].usable
        can = {"empty": True, "unlike": trees, "miscounted": trees and kept, "oversized": trees or kept}
        for name, group in self._groups.items():
            for kind in (kind for kind in asked.TROUBLES if can[kind]):
                count, seals = 0, []
                for label in labels:
                    if (one := self._known.stages.get(label, {}).get(name)) is not None:
                        many, channels = one.found[kind]
                        count += many
                        seals += [(label, channel) for channel in channels]
                yield sample("trouble", count, kind=kind, group=group)
                yield from _seals(kind, group, seals)
            twice = [one for one in self._twice if name in one.groups]
            yield sample("trouble", len(twice), kind="duplicate", group=group)
            yield from _seals("duplicate", group, [p for o in twice for p in zip(o.labels, o.channels, strict=False)])

    def _of_trees(self, labels: Sequence[int], now: float) -> Iterator[Sample]:
        """How many of the newest labels lack their trees though an epoch has passed since they were sealed."""
        if not self._tables[TREES].usable:
            return
        for name, group in self._groups.items():
            due = [
                (label, one)
                for label in labels
                if (one := self._known.stages.get(label, {}).get(name)) is not None
                and (one.sealed_at or label + self._length) + self._length <= now
            ]
            if not due:
                continue
            shares = [one.treed / one.seals for _, one in due]
            typical, many = usual.usual_share(shares), usual.behind(shares)
            yield sample("trees_due", len(due), group=group)
            yield sample("trees_behind", many, group=group)
            yield sample("trees_share", round(shares[0] * 100, 1), "percent", group=group)
            yield sample("trees_usual", None if typical is None else round(typical * 100, 1), "percent", group=group)
            yield sample("trees_label", due[max(0, many - 1)][0], "timestamp", group=group)
            for channel in due[0][1].untreed if many else ():
                yield sample("untreed", 1, group=group, channel=channel)

    def _of_categories(self, labels: Sequence[int], now: float) -> Iterator[Sample]:
        whole = self._calendar.expected(now)
        for name, group in self._groups.items():
            found = [
                (label, one)
                for label in labels
                if label <= whole and (one := self._known.stages.get(label, {}).get(name)) is not None
            ]
            if not found:
                continue
            (label, newest), *before = found
            yield sample("uncategorised", newest.uncategorised, group=group)
            yield sample("categorised_label", label, "timestamp", group=group)
            yield sample("categorised", round(100 * newest.categorised / newest.seals, 1), "percent", group=group)
            past = [one.categorised / one.seals for _, one in before]
            if len(past) >= usual.ENOUGH:
                yield sample("categorised_usual", round(100 * median(past), 1), "percent", group=group)

    def _of_publishing(self, labels: Sequence[int], now: float) -> Iterator[Sample]:
        """What of the window waits by its stages, and what of all other labels as it was last seen."""
        of_window = {label: self._waiting(label) for label in labels if label in self._known.stages}
        found = {**self._backlog.waiting, **of_window}.values()
        eligible = sum(one.eligible for one in found)
        oldest = min((one.oldest for one in found if one.oldest is not None), default=None)
        done = [one for _, one in self._published.values()]
        last = max((one.last for one in done if one.last is not None), default=None)
        since = max(oldest or now, last or 0.0)
        if eligible and now - since > self._settings.publish_stall.total_seconds() / 2:
            self._again.add("publishing")
        yield sample("unpublished", sum(one.unpublished for one in found))
        is_part = any(one.is_part for one in found) or len(self._backlog.waiting) >= _MOST_WAITING
        yield sample("backlog_seen", int(self._backlog.is_whole))
        yield sample("unpublished_capped", int(is_part or not self._backlog.is_whole))
        if self._tables[TREES].usable:
            yield sample("eligible", eligible)
            yield sample("eligible_since", oldest, "timestamp")
        yield sample("published_lately", sum(one.lately for one in done))
        yield sample("published_last", last, "timestamp")

    async def _of_participants(self, now: float, deadline: float, *, once: bool) -> list[Sample]:
        newest = next((label for label, found in self._known.stages.items() if found), None)
        if newest is not None and (self._names_kept is None or self._is_due("names", now)):
            async with self._session.read_only(self._left(deadline)) as connection:
                self._names_kept = await asked.names_kept(connection, newest)
        samples = [] if self._names_kept is None else [sample("names_kept", int(self._names_kept))]
        self._readings += 1
        if self._sampler is None:
            return samples
        if once:  # no root of the window is recomputed; the test cases are, as far as the time goes
            await self._sampler.check_cases(now, self._left(deadline))
        elif self._readings > 1:
            oldest = int(now - self._window)
            self._sampler.start(now, self._calendar.expected(now), oldest, self._suspects())
        return [*samples, *self._of_recomputed(self._sampler.found), *_of_cases(self._sampler.found)]

    def _suspects(self) -> Iterator[tuple[int, str]]:
        for label, found in self._known.stages.items():
            for one in found.values():
                yield from ((label, channel) for channel in one.found["unlike"][1])

    def _of_recomputed(self, found: Found) -> Iterator[Sample]:
        if self._settings.verify != "off":
            yield sample("verify_trouble", found.trouble, "")
        for name, group in self._groups.items():
            if name not in found.verified:
                continue
            last, at = found.verified[name]
            yield sample("verified", last.result, "", group=group)
            yield sample("verified_at", at, "timestamp", group=group)
            yield sample("verified_label", last.seal.epoch, "timestamp", group=group)
            yield sample("verified_channel", distinct(last.seal.channel), "", group=group)
            wrong = [(seal, one) for seal, one in found.mismatches.items() if upper(seal.group) == name]
            yield sample("trouble", len(wrong), kind="mismatch", group=group)
            yield from _seals("mismatch", group, [(seal.epoch, distinct(seal.channel)) for seal, _ in wrong])
            if wrong:
                yield sample("mismatch", wrong[-1][1].reason, "", group=group)
            for seal in found.mended:
                if upper(seal.group) == name:
                    yield sample("mended", 1, group=group, epoch=str(seal.epoch), channel=distinct(seal.channel))


def _of_cases(found: Found) -> Iterator[Sample]:
    """What is true of each test case; nothing of its participant is told."""
    for case, result in found.cases.items():
        yield sample("case_participants", result.participants, case=case.name)
        yield sample("case_trouble", result.trouble, "", case=case.name)
        yield sample("case_at", result.at, "timestamp", case=case.name)
        for name in ("root", "proof", "published", "tree"):
            is_so: bool | None = getattr(result, name)
            yield sample(f"case_{name}", None if is_so is None else int(is_so), case=case.name)


def _rows(mark: tuple[object, ...]) -> int:
    """How many seals and trees a label has by its mark."""
    return sum(part[1] for part in mark if isinstance(part, tuple))


def _roots(found: Mapping[str, asked.Signature]) -> dict[str, tuple[int, int]]:
    return {name: (one.rows, one.value) for name, one in found.items()}


def _seals(kind: str, group: str, seals: Sequence[tuple[int, str]]) -> Iterator[Sample]:
    for label, channel in seals[:_MOST_NAMED]:
        yield sample("trouble_seal", 1, kind=kind, group=group, epoch=str(label), channel=channel)
