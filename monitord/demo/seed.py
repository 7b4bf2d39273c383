"""The past of a fleet that was just born: its schema, a window of healthy seals, and as many old rows as wanted."""

import time
from pathlib import Path

import asyncpg

from monitord.demo.apps.audience import CLS, GROUPS, MILO, category, signals
from monitord.demo.apps.sealing import PARTICIPATION, labels_due, publish, seal

SEED_SECONDS = 300.0
SECONDS_PER_LABEL = 10
WINDOW_LABELS = 24
OLD_LABELS = 48

OLD_SIGNALS = """
    INSERT INTO user_signals (epoch, channel, user_hash, signal_type, value, "timestamp")
    SELECT e, channels[1 + i * cardinality(channels) / per_epoch], encode(sha256(int4send(i)), 'hex'), 'chat', 0.5,
           e + i % $2
    FROM (SELECT $1::bigint - n * $2::bigint AS e, $3::text[] AS channels, ($4 + $5 - 1) / $5 AS per_epoch
          FROM generate_series($5, 1, -1) AS n) AS labels, generate_series(0, per_epoch - 1) AS i
    LIMIT $4
"""


async def apply_schema(connection: asyncpg.Connection) -> None:
    await connection.execute((Path(__file__).parent / "schema.sql").read_text(), timeout=SEED_SECONDS)


async def seed_window(connection: asyncpg.Connection, epoch_seconds: int, now: float | None = None) -> None:
    """Seal the last 24 labels of both groups before `now` (Unix seconds), as if the fleet had always been there."""
    now = time.time() if now is None else now
    labels = labels_due(now, epoch_seconds, 0, WINDOW_LABELS)
    # Of long epochs only the first seconds: what is seeded is seals, not volume.
    seconds = range(min(epoch_seconds, SECONDS_PER_LABEL))
    rows = {row for label in labels for offset in seconds for row in signals(label + offset, epoch_seconds)}
    unique = {(row.epoch, row.channel, row.user_hash, row.signal_type, row.timestamp): row for row in rows}
    async with connection.transaction():
        await connection.copy_records_to_table("user_signals", records=unique.values(), timeout=SEED_SECONDS)
        for group, channels in GROUPS.items():
            kinds = [category(channel) for channel in channels]
            await connection.execute(PARTICIPATION, labels, list(channels), group, kinds, timeout=SEED_SECONDS)
            await _seal_all(connection, group, epoch_seconds)
    await connection.execute("ANALYZE", timeout=SEED_SECONDS)


async def _seal_all(connection: asyncpg.Connection, group: str, epoch_seconds: int) -> None:
    found = await connection.fetch(
        "SELECT epoch, channel, array_agg(user_hash ORDER BY first_seen, user_hash) AS user_hashes "
        "FROM channel_participation WHERE token_group = $1 GROUP BY epoch, channel",
        group,
        timeout=SEED_SECONDS,
    )
    seals = [seal(row["epoch"], row["channel"], group, row["user_hashes"]) for row in found]
    await connection.copy_records_to_table(
        "sealed_participants", records=[row for one in seals for row in one.participants], timeout=SEED_SECONDS
    )
    await connection.copy_records_to_table(
        "l2_tree_cache",
        columns=["epoch", "channel", "root", "participant_count", "built_at"],
        records=[
            (one.participants[0].epoch, one.channel, one.root, len(one.participants), one.participants[0].epoch)
            for one in seals
        ],
        timeout=SEED_SECONDS,
    )
    await connection.executemany(
        "INSERT INTO sealed_epochs (epoch, channel, root, sealed_at, token_group, category, published, published_at) "
        "VALUES ($1, $2, $3, $4::bigint, $5, $6, 1, to_timestamp($4))",
        [
            (first.epoch, one.channel, one.root, first.epoch + epoch_seconds + 1, group, first.category)
            for one in seals
            for first in one.participants[:1]
        ],
        timeout=SEED_SECONDS,
    )


async def publish_window(connection: asyncpg.Connection, chain_url: str) -> None:
    """Publish the newest seal of each channel that is marked as published, as if that had been done when it was."""
    found = await connection.fetch(
        "SELECT DISTINCT ON (token_group, channel) token_group, channel, epoch, root FROM sealed_epochs "
        "WHERE published = 1 ORDER BY token_group, channel, epoch DESC",
        timeout=SEED_SECONDS,
    )
    for row in found:
        await publish(chain_url, row["token_group"], row["channel"], row["epoch"], row["root"])


async def seed_old_signals(connection: asyncpg.Connection, rows: int, epoch_seconds: int) -> None:
    """Fill user_signals with so many rows of the 48 labels before the window. A million takes seconds."""
    if rows <= 0:
        return
    oldest_sealed = labels_due(time.time(), epoch_seconds, 0, WINDOW_LABELS)[0]
    channels = [*MILO, *CLS]
    async with connection.transaction():
        # Indexes built once over everything take half the time of indexes kept up row by row.
        await connection.execute(
            "ALTER TABLE user_signals DROP CONSTRAINT user_signals_pkey; DROP INDEX user_signals_epoch;"
            "SET LOCAL maintenance_work_mem = '256MB'",
            timeout=SEED_SECONDS,
        )
        await connection.execute(
            OLD_SIGNALS, oldest_sealed - epoch_seconds, epoch_seconds, channels, rows, OLD_LABELS, timeout=SEED_SECONDS
        )
        await connection.execute(
            'ALTER TABLE user_signals ADD PRIMARY KEY (epoch, channel, user_hash, signal_type, "timestamp");'
            "CREATE INDEX user_signals_epoch ON user_signals (epoch)",
            timeout=SEED_SECONDS,
        )
    await connection.execute("ANALYZE user_signals", timeout=SEED_SECONDS)
