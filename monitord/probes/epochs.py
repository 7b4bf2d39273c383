"""Reads which epochs have been sealed, for which groups and how many of their channels, when, and what was not."""

import asyncio
from collections.abc import Iterator, Sequence

from monitord.core.anomalies.completeness import KEEP_LABELS, silences
from monitord.core.anomalies.sealing_habits import MOST_SILENT
from monitord.core.history.epochs import Calendar
from monitord.core.model import Sample, Unmeasured, sample
from monitord.core.orders import SEALS
from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.errors import NO_PRIVILEGE, UNDEFINED_COLUMN, UNDEFINED_TABLE, PostgresError
from monitord.postgres.participation import Participants, ever_seen, lived, lives, participation, upper
from monitord.postgres.sealed_labels import AGAIN_PER_EPOCH, SealedLabels
from monitord.postgres.session import Session
from monitord.probes.base import Measured, Request

_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
# Of what is left of it, for each question about participation: the session is shared, and others wait for it.
_EXTRA_SHARE = 0.25
# Labels before the newest that are asked for again, while some of their channels are not sealed.
_MOST_OPEN = 3
# Labels that are not sealed, and of which it is asked at once whether anybody took part.
_MOST_ABSENT = 200
_SENTENCES = {
    UNDEFINED_TABLE: "there is no table sealed_epochs in this database",
    UNDEFINED_COLUMN: "sealed_epochs lacks one of the columns epoch, channel, token_group and sealed_at",
    NO_PRIVILEGE: "this role cannot read all of sealed_epochs: it lacks SELECT, or a row-level policy hides rows",
}


class EpochsProbe:
    """The seals of the last hours: all of them twelve times an epoch and when a label falls due, else what is new.

    Once an epoch, when its grace is over, also who took part in it and was not sealed, and who of a cemented group
    is silent. In between that is answered from memory. Of a label that is due and absent also whether nobody took part
    in it: there is nothing to seal then. It is an extra: where participation cannot be read, the seals are reported all
    the same, and no label is reported to be nobody's.
    """

    name = "epochs"

    def __init__(
        self,
        session: Session,
        groups: Sequence[str],
        length: float,
        window: float,
        grace: float = 900.0,
        cemented: Sequence[str] = (),
        *,
        by_default: bool = False,
    ) -> None:
        """A probe over a session that somebody else closes, of epochs and a window of so many seconds.

        `groups` are compared in any case and labelled as written. `grace` is the seconds that a due label is given to
        be sealed whole; channels of `cemented` groups are set: a silent one is missed. `by_default`: nobody named the
        groups, so it is asked whether there is such a table before it is read: else the server would log errors.
        """
        self._session = session
        self._groups = tuple(dict.fromkeys(groups))
        self._by_default = by_default
        self._length = max(1, int(length))
        self._window = window
        self._calendar = Calendar(self._length, grace)
        self._labels = SealedLabels(self._groups, self._calendar)
        set_groups = {upper(group) for group in cemented}
        self._cemented = tuple(group for group in self._groups if upper(group) in set_groups)
        # What was last asked about participation: for which newest label, when, and what came back.
        self._newest: int | None = None
        self._asked_at = 0.0
        self._parts: dict[tuple[str, int], Participants] | None = None
        self._lives: dict[str, dict[str, tuple[int, ...]]] | None = None
        # The labels that somebody took part in; those that nobody did, and when that was found; when it was asked last.
        self._lived: set[tuple[str, int]] = set()
        self._empty: dict[tuple[str, int], float] = {}
        self._lived_asked_at = 0.0
        self._lived_failed = False
        # The groups that were ever seen; those that never were, and for which newest label that was asked.
        self._seen: set[str] = set()
        self._unseen: frozenset[str] = frozenset()
        self._unseen_at: tuple[int, frozenset[str]] | None = None

    async def measure(self, request: Request) -> Measured:
        """Channels and time of sealing for each aligned label from the window's start to now, and what was not sealed.

        Of unaligned labels how many seals carry one, by group, and the newest. It was read as of `seals_read`; what has
        been sealed since under a label that was due and absent, or is the newest that ought to be, or later, is in it,
        too. Labels of the future change nothing. FailureError: `missing` or `permission` when it is about the table.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout * _SHARE
        now = request.now + request.database_ahead  # the labels are the server's times
        start = int(now - self._window)
        try:
            async with self._session.read_only(request.timeout * _SHARE) as connection:
                if self._by_default and self._labels.is_due(now):
                    (table,) = await connection.fetch(queries.PRESENT, [SEALS])
                    if not table["there"]:
                        raise FailureError("missing", _SENTENCES[UNDEFINED_TABLE])
                await self._labels.read(self._session, connection, start, now)
        except PostgresError as error:
            if error.state in _SENTENCES:
                self._labels.forget()
            raise FailureError(error.kind, _SENTENCES.get(error.state, error.error)) from error
        absent = self._labels.absent(start, now)
        try:
            await self._ask(now, deadline)
            await self._ask_of(absent, now, deadline)
            await self._ask_whether_seen(absent, now, deadline)
        except PostgresError as error:
            self._could_not_ask(error, now)  # nothing is reported of what could not be read
        samples = (*self._of_seals(), *self._of_parts(), *self._of_lives(), *self._of_empty(absent))
        return Measured(samples, tuple(self._of_unseen()))

    async def close(self) -> None:
        """Nothing to let go of: the session belongs to whoever made it."""

    def _of_seals(self) -> Iterator[Sample]:
        found = self._labels
        for (group, label), (channels, sealed_at) in sorted(found.seals.items(), key=lambda seal: seal[0]):
            labels = {"group": group, "epoch": str(label)}
            yield sample("seal_channels", channels, **labels)
            yield sample("seal_at", sealed_at, "timestamp", **labels)
        for group, (many, newest) in sorted(found.unaligned.items()):
            yield sample("unaligned_seals", many, group=group)
            yield sample("unaligned_newest", newest, "timestamp", group=group)
        yield sample("unaligned_labels", found.others + sum(many for many, _ in found.unaligned.values()))
        yield sample("seals_read", found.read_at, "timestamp")

    async def _ask_of(self, absent: Sequence[tuple[str, int]], now: float, deadline: float) -> None:
        """Ask whether anybody took part in labels that are not sealed; again, where nobody has so far."""
        self._lived &= set(absent)
        self._empty = {label: at for label, at in self._empty.items() if label in set(absent) and at <= now}
        is_time = not 0 <= now - self._lived_asked_at < self._length / AGAIN_PER_EPOCH
        new = [label for label in absent if label not in self._lived and label not in self._empty]
        if not is_time and (self._lived_failed or not new):
            return
        wanted = ([label for label in absent if label not in self._lived] if is_time else new)[:_MOST_ABSENT]
        if not wanted:
            return
        self._lived_asked_at, self._lived_failed = now if is_time else self._lived_asked_at, True
        left = deadline - asyncio.get_running_loop().time()
        answers = await lived(self._session, wanted, left * _EXTRA_SHARE)
        self._lived_failed = False
        self._lived |= {label for label, took in answers.items() if took}
        self._empty = {label: at for label, at in self._empty.items() if label not in self._lived}
        self._empty |= {label: now for label, took in answers.items() if not took}

    async def _ask_whether_seen(self, absent: Sequence[tuple[str, int]], now: float, deadline: float) -> None:
        """Ask of the groups that are named, and without a seal or a participant in the window, if they ever had one."""
        living = {group for group, _ in self._labels.seals} | {one[0] for one in absent if one not in self._empty}
        self._seen |= living
        still = frozenset(group for group in self._groups if group not in self._seen and not self._by_default)
        self._unseen &= still
        newest = self._calendar.expected(now)
        if not still or (newest, still) == self._unseen_at:
            return
        left = deadline - asyncio.get_running_loop().time()
        seen = await ever_seen(self._session, sorted(still), left * _EXTRA_SHARE)
        self._seen |= seen
        self._unseen = still - seen
        self._unseen_at = newest, self._unseen

    def _of_unseen(self) -> Iterator[Unmeasured]:
        for group in sorted(self._unseen):
            why = f"nothing was ever sealed of {group} in this database, and nobody ever took part in it"
            yield Unmeasured(group, "missing", why, alone=True)

    def _could_not_ask(self, error: PostgresError, now: float) -> None:
        """What was found of a label long over still holds; of one that had hardly ended nobody knows."""
        self._lived_asked_at, self._lived_failed = now, True
        is_barred = error.state in _SENTENCES
        self._empty = {
            (group, label): at
            for (group, label), at in self._empty.items()
            if not is_barred and label <= self._calendar.expected(at)
        }

    async def _ask(self, now: float, deadline: float) -> None:
        newest = self._calendar.expected(now)
        if newest != self._newest:
            self._lives = None
        elif not self._unfinished() or 0 <= now - self._asked_at < self._length / AGAIN_PER_EPOCH:
            return
        still_open = {label for (_, label), part in (self._parts or {}).items() if part.unsealed and label < newest}
        labels = [*sorted(still_open)[-_MOST_OPEN:], newest]
        self._newest, self._asked_at, self._parts = newest, now, None
        loop = asyncio.get_running_loop()
        self._parts = await participation(self._session, self._groups, labels, (deadline - loop.time()) * _EXTRA_SHARE)
        if self._cemented and self._lives is None:
            first = newest - (KEEP_LABELS - 1) * self._length
            self._lives = await lives(
                self._session, self._cemented, first, newest, self._length, (deadline - loop.time()) * _EXTRA_SHARE
            )

    def _unfinished(self) -> bool:
        if self._parts is None or (self._cemented and self._lives is None):
            return True
        return any(part.unsealed for part in self._parts.values())

    def _of_parts(self) -> Iterator[Sample]:
        for (group, label), part in (self._parts or {}).items():
            labels = {"group": group, "epoch": str(label)}
            yield sample("seal_participating", part.participating, **labels)
            yield sample("seal_unsealed", part.unsealed, **labels)
            for channel in dict.fromkeys(part.channels):
                yield sample("unsealed_channel", 1, channel=channel, **labels)

    def _of_empty(self, absent: Sequence[tuple[str, int]]) -> Iterator[Sample]:
        for group, label in absent:
            if (group, label) in self._empty:
                yield sample("nothing_to_seal", 1, group=group, epoch=str(label))

    def _of_lives(self) -> Iterator[Sample]:
        for group, channels in (self._lives or {}).items():
            yield sample("channels_known", len(channels), group=group)
            silent = silences(channels, self._newest or 0)
            for channel in sorted(silent)[:MOST_SILENT]:
                yield sample("channel_silent", silent[channel], "1", group=group, channel=channel)
