"""Looks at which epochs have been sealed, for which groups and how many of their channels, and when."""

from __future__ import annotations

from collections.abc import Sequence

from monitord.core.model import Sample, sample
from monitord.postgres import queries
from monitord.postgres.errors import NO_PRIVILEGE, UNDEFINED_COLUMN, UNDEFINED_TABLE, PostgresError
from monitord.postgres.session import Session
from monitord.probes.base import Measured, ProbeError, Request

_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
_SENTENCES = {
    UNDEFINED_TABLE: "there is no table sealed_epochs in this database",
    UNDEFINED_COLUMN: "sealed_epochs lacks one of the columns epoch, channel, token_group and sealed_at",
    NO_PRIVILEGE: "this role cannot read all of sealed_epochs: it lacks SELECT, or a row-level policy hides rows",
}


class EpochsProbe:
    """The seals of the last hours, by one statement that is bounded on both sides and answered from an index."""

    name = "epochs"

    def __init__(self, session: Session, groups: Sequence[str], length: float, window: float) -> None:
        """A probe over a session that somebody else closes.

        Args:
            session: Where to ask.
            groups: Token groups, compared without regard to case and labelled as they are written here.
            length: Seconds per epoch.
            window: How many seconds of labels to look back.
        """
        self._session = session
        self._groups = tuple(dict.fromkeys(groups))
        self._length = max(1, int(length))
        self._window = window

    async def measure(self, request: Request) -> Measured:
        """Channels and time of sealing for each aligned label from the window's start to now.

        Labels of the future, which test scripts have left behind, are out of the window and change nothing.

        Raises:
            ProbeError: `missing` or `permission` when it is about the table, else as the session had it.
        """
        start = int(request.now - self._window)
        wanted = [_upper(group) for group in self._groups]
        try:
            async with self._session.read_only(request.timeout * _SHARE) as connection:
                rows = await connection.fetch(queries.EPOCHS, start, int(request.now), self._length, wanted)
        except PostgresError as error:
            raise ProbeError(error.kind, _SENTENCES.get(error.state, error.error)) from error
        samples: list[Sample] = []
        for row in rows:
            for group, name in zip(self._groups, wanted, strict=True):
                if row["epoch"] is not None and row["name"] == name:
                    labels = {"group": group, "epoch": str(row["epoch"])}
                    samples.append(sample("seal_channels", row["channels"], **labels))
                    samples.append(sample("seal_at", row["sealed_at"], "timestamp", **labels))
        unaligned = sum(row["labels"] for row in rows if not row["aligned"])
        return Measured((*samples, sample("unaligned_labels", unaligned)))

    async def close(self) -> None:
        """Nothing to let go of: the session belongs to whoever made it."""


def _upper(group: str) -> str:
    """Upper case as the query has it, under collation C: of the letters A to Z and no others."""
    return "".join(letter.upper() if letter.isascii() else letter for letter in group)
