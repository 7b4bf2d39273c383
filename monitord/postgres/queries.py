"""Every statement sent to Postgres (14 to 18), by name. Nothing here writes, nothing grows dear with the rows."""


def begin(statement_ms: int, lock_ms: int, idle_ms: int, search_path: tuple[str, ...]) -> str:
    """The opening of a read-only transaction, as one message and so one round trip.

    Everything is SET LOCAL: behind a transaction pool a session's settings belong to whoever comes next. Read
    committed is named because a standby refuses the stricter default that a database may have. The idle limit lets
    the server free what is held should this process be stopped in mid-transaction. With row_security off, a policy
    that would hide rows is an error instead of a count that is too low. An index scan of a few milliseconds deserves
    neither a compiler nor helpers.
    """
    statements = [
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
        f"SET LOCAL statement_timeout = {statement_ms}",
        f"SET LOCAL lock_timeout = {lock_ms}",
        f"SET LOCAL idle_in_transaction_session_timeout = {idle_ms}",
        "SET LOCAL row_security = off",
        "SET LOCAL jit = off",
        "SET LOCAL max_parallel_workers_per_gather = 0",
    ]
    if search_path:
        names = ", ".join('"' + name.replace('"', '""') + '"' for name in (*search_path, "public"))
        statements.append(f"SET LOCAL search_path = {names}")
    return "; ".join(statements)


# Whether anybody answers at all.
PING = "SELECT 1"

# The exact size walks the database's files: 60 ms at 15,000 of them. Past 4 MB of pg_class, some 20,000 relations, it
# is the sum of what the catalogue knows, which lags behind by a VACUUM. Of the transaction ids the worse of both kinds
# that can run out, in percent of the 2^31 there are.
SERVER = """
SELECT current_setting('server_version_num')::int8 AS version, current_setting('block_size')::int8 AS block_size,
       d.datname AS database, d.oid::int8 AS database_oid,
       d.datconnlimit::int8 AS of_database,
       has_function_privilege('pg_control_system()', 'EXECUTE') AS identifiable,
       CASE WHEN pg_relation_size('pg_catalog.pg_class') > 4194304
            THEN (SELECT sum(c.relpages::int8) * current_setting('block_size')::int8 FROM pg_class c)::int8
            WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes,
       (SELECT max(greatest(age(x.datfrozenxid)::float8, mxid_age(x.datminmxid)::float8)) / 2147483648.0 * 100
        FROM pg_database x WHERE x.datallowconn) AS xid_used
FROM pg_database d
WHERE d.datname = current_database()
"""

_THERE = "coalesce(to_regclass(${0}), to_regclass('public.' || ${0})) IS NOT NULL"


def now(tables: int) -> str:
    """What of the server may be another in each reading; views that say the same take longer to plan than to answer.

    `there` says of so many tables whether there is any that could be meant.
    $1: this database's oid; $2 and on: the tables' names, quoted where that is needed.
    """
    there = ", ".join(_THERE.format(number) for number in range(2, tables + 2))
    return f"""
SELECT pg_is_in_recovery() AS replica, extract(epoch FROM clock_timestamp())::float8 AS clock,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       current_setting('track_counts') AS counting, pg_backend_pid() AS pid,
       pg_stat_get_db_numbackends($1::int8::oid)::int8 AS connections,
       current_setting('max_connections') AS most,
       current_setting('superuser_reserved_connections') AS reserved,
       current_setting('reserved_connections', true) AS reserved_more,
       current_setting('default_transaction_read_only') AS read_only,
       EXISTS (SELECT FROM pg_db_role_setting r
               WHERE r.setrole = 0 AND r.setdatabase IN (0, $1::int8::oid)
                 AND 'default_transaction_read_only=on' = ANY (r.setconfig)) AS read_only_here,
       ARRAY[{there}]::bool[] AS there
"""  # noqa: S608 - of constants


# The other sessions by what they are. Others' backend_type is hidden from a role without pg_read_all_stats; what is
# theirs at all is not: parallel workers are among them, too. $1: this database's oid.
SESSIONS = """
SELECT a.datid = $1::int8::oid AS here, a.backend_type AS type, a.state, a.usesysid IS NULL AS nobodys,
       count(*) AS sessions, count(*) FILTER (WHERE a.wait_event_type = 'Lock') AS waiting,
       extract(epoch FROM clock_timestamp() - min(a.xact_start))::float8 AS transaction,
       extract(epoch FROM clock_timestamp() - min(a.state_change))::float8 AS unchanged
FROM pg_stat_get_activity(NULL) a
WHERE a.pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4
"""

# Where a setting comes from that this session has.
SOURCE_OF_READ_ONLY = "SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'"

# Who waits for a lock, which anybody may see.
WAITS = """
SELECT count(*) AS waits, extract(epoch FROM clock_timestamp() - min(waitstart))::float8 AS longest
FROM pg_lock_status() WHERE NOT granted
"""

# Who follows.
STANDBYS = """
SELECT count(*) AS standbys, extract(epoch FROM max(replay_lag))::float8 AS lag FROM pg_stat_get_wal_senders()
"""

# How many seconds behind its primary a standby is. Where all that its receiver got is replayed, it is not: the primary
# may have had nothing to send. Without a receiver it may have sent much that nobody fetched. A standby that has never
# streamed lives on shipped files, and how many there are to come is not known: NULL. Nor is it known of how long ago
# what waits is, where nothing was replayed since the standby's start; greatest() passes over a NULL.
LAG = """
SELECT CASE WHEN pg_last_wal_receive_lsn() IS NULL THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver)
            THEN 0.0
            WHEN pg_last_xact_replay_timestamp() IS NOT NULL
            THEN greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0.0)
       END::float8 AS lag
"""

# Which cluster this is: the same for a primary and its standbys, and kept by a failover. For whoever may ask.
SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"

# What a configured name that was not found may mean: the same word in other case, or in another schema.
# $1: the name.
NEAR = """
SELECT CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END AS label
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relpersistence <> 't'
ORDER BY 1
LIMIT 3
"""

# $1: names of tables. Whether there is a relation of each name that could be meant; a missing one is no error, so the
# server's log says nothing of it.
PRESENT = """
SELECT w.name, EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = w.name AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
      AND (pg_table_is_visible(c.oid) OR n.nspname = 'public')
) AS there
FROM unnest($1::text[]) AS w(name)
"""

# The configured tables with everything that inherits from them (partitions, chunks), and the owners of the forty
# heaviest relations of the database, as the candidates for the largest tables; one row each.
#
# $1, $2: schema (or NULL) and name of each configured table, compared as values and never read as SQL;
# $3: whether to measure sizes. Measuring a size takes an ACCESS SHARE lock on the table, its TOAST and its indexes, and
# waits behind an ACCESS EXCLUSIVE one held or asked for by anybody: what is locked so is not measured (size NULL,
# barred true). Inheritance is followed in pg_inherits and defaults in pg_depend, since pg_partition_tree() and
# pg_get_expr() take those locks too.
RELATIONS = """
WITH RECURSIVE wanted AS (
    SELECT w.position, w.schema_name, w.table_name
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema_name, table_name, position)
), members(position, oid, is_root) AS (
    SELECT w.position, t.oid, true
    FROM wanted w CROSS JOIN LATERAL (
        SELECT c.oid
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname IN (w.table_name, lower(w.table_name))
          AND c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
          AND CASE WHEN w.schema_name IS NULL THEN pg_table_is_visible(c.oid) OR n.nspname = 'public'
                   ELSE n.nspname IN (w.schema_name, lower(w.schema_name)) END
        ORDER BY c.relname = w.table_name DESC, n.nspname = w.schema_name DESC, pg_table_is_visible(c.oid) DESC
        LIMIT 1
    ) t
    UNION
    SELECT m.position, i.inhrelid, false FROM members m JOIN pg_inherits i ON i.inhparent = m.oid
), heaviest AS (
    SELECT c.oid FROM pg_class c
    WHERE c.relkind IN ('r', 'm', 't', 'i') AND c.relpersistence <> 't' AND c.oid >= 16384
    ORDER BY c.relpages DESC
    LIMIT 40
), indexed AS (
    SELECT coalesce(x.indrelid, h.oid) AS oid FROM heaviest h LEFT JOIN pg_index x ON x.indexrelid = h.oid
), owners AS (
    SELECT coalesce(o.oid, i.oid) AS oid FROM indexed i LEFT JOIN pg_class o ON o.reltoastrelid = i.oid
), chosen AS (
    SELECT u.oid, array_agg(u.position) FILTER (WHERE u.position IS NOT NULL) AS positions,
           array_agg(u.position) FILTER (WHERE u.is_root) AS root_of
    FROM (SELECT position, oid, is_root FROM members UNION ALL SELECT NULL, oid, false FROM owners) u
    GROUP BY u.oid
), barred AS MATERIALIZED (
    SELECT l.relation FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
), relations AS MATERIALIZED (
    SELECT chosen.positions, chosen.root_of, c.*, n.nspname,
           EXISTS (SELECT FROM barred b
                   WHERE b.relation IN (c.oid, c.reltoastrelid)
                      OR b.relation IN (SELECT x.indexrelid FROM pg_index x
                                        WHERE x.indrelid IN (c.oid, c.reltoastrelid))) AS barred
    FROM chosen JOIN pg_class c ON c.oid = chosen.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
)
SELECT coalesce(r.positions, '{}') AS positions, coalesce(r.root_of, '{}') AS root_of,
       format('%I.%I', r.nspname, r.relname) AS quoted,
       CASE WHEN r.nspname = 'public' THEN r.relname::text ELSE r.nspname || '.' || r.relname END AS label,
       r.relkind::text AS kind, r.relpersistence = 'u' AS unlogged, r.oid::int8 AS oid, r.relname::text AS name,
       r.relhassubclass AS parent,
       r.relkind IN ('r', 'm') AS stored, r.barred,
       CASE WHEN NOT r.barred AND $3 THEN pg_total_relation_size(r.oid) END AS bytes,
       CASE WHEN NOT r.barred AND $3 THEN pg_relation_size(r.oid)
            / current_setting('block_size')::int8 END AS pages,
       r.relpages::int8 AS pages_then, r.reltuples::float8 AS rows_then,
       pg_stat_get_tuples_inserted(r.oid) AS inserted, pg_stat_get_tuples_deleted(r.oid) AS deleted,
       pg_stat_get_tuples_updated(r.oid) AS updated,
       pg_stat_get_live_tuples(r.oid) AS live, pg_stat_get_dead_tuples(r.oid) AS dead,
       pg_stat_get_mod_since_analyze(r.oid) AS changed,
       pg_stat_get_vacuum_count(r.oid) + pg_stat_get_autovacuum_count(r.oid) AS vacuums,
       pg_stat_get_analyze_count(r.oid) + pg_stat_get_autoanalyze_count(r.oid) AS analyses,
       coalesce(pg_stat_get_last_analyze_time(r.oid), pg_stat_get_last_autoanalyze_time(r.oid),
                pg_stat_get_last_vacuum_time(r.oid), pg_stat_get_last_autovacuum_time(r.oid)) IS NOT NULL AS surveyed,
       has_schema_privilege(r.relnamespace, 'USAGE') AND has_table_privilege(r.oid, 'SELECT') AS readable,
       r.relkind = 'p' OR NOT row_security_active(r.oid) AND EXISTS (
           SELECT FROM pg_index x
           JOIN pg_class ic ON ic.oid = x.indexrelid
           JOIN pg_am am ON am.oid = ic.relam
           JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
           WHERE x.indrelid = r.oid AND x.indisvalid AND x.indisready AND x.indpred IS NULL AND am.amname = 'btree'
             AND a.attname = 'epoch' AND a.atttypid IN (20, 21, 23, 1700) -- int8, int2, int4, numeric
       ) AS indexed,
       CASE WHEN r.relkind = 'r' AND NOT row_security_active(r.oid) THEN (
           SELECT format('%I', a.attname) FROM pg_index x
           JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
           LEFT JOIN pg_attrdef d ON d.adrelid = x.indrelid AND d.adnum = a.attnum
           WHERE x.indrelid = r.oid AND x.indisprimary AND x.indisvalid AND x.indnkeyatts = 1
             AND a.atttypid IN (20, 21, 23)
             AND (a.attidentity <> '' OR EXISTS (
                 SELECT FROM pg_depend k JOIN pg_class s ON s.oid = k.refobjid AND s.relkind = 'S'
                 WHERE k.classid = 'pg_attrdef'::regclass AND k.objid = d.oid AND k.refclassid = 'pg_class'::regclass
             ))
       ) END AS serial
FROM relations r
"""

# What of relations is another in each reading, by their oids. `told` says whether the counters count. $1: the oids;
# $2: those whose size is wanted, without their indexes, for which it takes an ACCESS SHARE lock.
COUNTERS = """
SELECT c.oid::int8 AS oid, c.relname::text AS name, c.relkind::text AS kind, c.relhassubclass AS parent,
       CASE WHEN c.oid::int8 = ANY($2::int8[]) THEN pg_relation_size(c.oid) END AS heap_bytes,
       c.relpages::int8 AS pages_then, c.reltuples::float8 AS rows_then,
       pg_stat_get_tuples_inserted(c.oid) AS inserted, pg_stat_get_tuples_deleted(c.oid) AS deleted,
       pg_stat_get_tuples_updated(c.oid) AS updated,
       pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
       pg_stat_get_mod_since_analyze(c.oid) AS changed,
       pg_stat_get_vacuum_count(c.oid) + pg_stat_get_autovacuum_count(c.oid) AS vacuums,
       pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid) AS analyses,
       current_setting('track_counts')::bool AND NOT pg_is_in_recovery() AS told
FROM pg_class c
WHERE c.oid = ANY($1::int8[]::oid[])
"""

# How many relations inherit from any of these, directly. $1: oids.
CHILDREN = "SELECT count(*) FROM pg_inherits WHERE inhparent = ANY($1::int8[]::oid[])"

# The seals of some labels, and of those between them and the next: labels that are not aligned come back as one row a
# group without an epoch, so that a writer gone wrong cannot make the answer long. Each label is counted by itself, so
# that the server sorts one label's channels at a time, in memory.
#
# $1: labels, $2: the epoch length, $3, $4: first and last second, all whole seconds; $5: the groups in upper case.
EPOCHS = """
SELECT s.name, s.epoch, s.epoch IS NOT NULL AS aligned, sum(s.labels)::int8 AS labels, max(s.newest) AS newest,
       max(s.channels) AS channels, max(s.sealed_at) AS sealed_at
FROM unnest($1::int8[]) AS e(label) CROSS JOIN LATERAL (
    SELECT upper(token_group COLLATE "C") AS name, e.label AS epoch, count(*) AS labels, max(epoch)::int8 AS newest,
           count(DISTINCT channel COLLATE "C") AS channels, max(sealed_at)::float8 AS sealed_at
    FROM sealed_epochs
    WHERE epoch = e.label AND e.label >= $3::int8 AND e.label <= $4::int8
      AND upper(token_group COLLATE "C") = ANY($5::text[])
    GROUP BY 1
    UNION ALL
    SELECT CASE WHEN o.name = ANY($5::text[]) THEN o.name END, NULL, count(*), max(o.epoch), NULL, NULL
    FROM (
        SELECT upper(token_group COLLATE "C") AS name, epoch::int8 AS epoch FROM sealed_epochs
        WHERE epoch > greatest(e.label, $3::int8 - 1) AND epoch < least(e.label + $2::int8, $4::int8 + 1)
    ) o
    GROUP BY 1
) s
GROUP BY 1, 2
"""

# How many rows, up to $3, are sealed of a group under a label: by leaps into (token_group, epoch, channel). Which table
# it is, and since when its server runs, tell whether it is the one that was asked before.
#
# $1, $2: a group's name in one case and a label, as often as they are asked for.
SEALED_ROWS = """
SELECT w.position, (
    SELECT count(*) FROM (
        SELECT FROM sealed_epochs s WHERE s.token_group = w.name AND s.epoch = w.label
        ORDER BY s.token_group, s.epoch, s.channel LIMIT $3::int8
    ) s
) AS rows, to_regclass('sealed_epochs')::oid::int8 AS relation, pg_postmaster_start_time() AS started
FROM unnest($1::text[], $2::int8[]) WITH ORDINALITY AS w(name, label, position)
"""


def _short(column: str) -> str:
    """A name of at most 200 characters, and another one for every other name: its beginning and a part of its hash."""
    return (
        f"CASE WHEN length({column}) <= 200 THEN {column} ELSE left({column}, 191) || '~' || left(md5({column}), 8) END"
    )


# Who took part and was not sealed, by leaps through indexes, so that no number of participants adds to the cost: from
# channel to channel of a label by the primary key, then one look per group into (token_group, channel, epoch), and one
# into the seals. The LIMITs keep the planner from turning the looks into one scan of everything. A look asks for one
# case of a name at a time: for several at once a planner without statistics prefers to read all rows of the channel.
#
# $1, $2, $3: each group's name as given, in upper and in lower case: an index on token_group has no other use of case;
# $4: labels; $5: how many names. Groups that nobody took part for have no row.
PARTICIPATION = f"""
WITH RECURSIVE took(epoch, channel) AS (
    SELECT e.epoch, (SELECT p.channel FROM channel_participation p
                     WHERE p.epoch = e.epoch ORDER BY p.channel LIMIT 1)
    FROM unnest($4::int8[]) AS e(epoch)
    UNION ALL
    SELECT t.epoch, (SELECT p.channel FROM channel_participation p
                     WHERE p.epoch = t.epoch AND p.channel > t.channel ORDER BY p.channel LIMIT 1)
    FROM took t
    WHERE t.channel IS NOT NULL
)
SELECT g.position, t.epoch, count(*) AS participating, count(*) FILTER (WHERE s.found IS NULL) AS unsealed,
       (array_agg({_short("t.channel")} ORDER BY t.channel COLLATE "C") FILTER (WHERE s.found IS NULL))[1:$5::int4]
           AS channels
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS g(given, upper, lower, position)
CROSS JOIN took t
CROSS JOIN LATERAL (
    SELECT FROM unnest(ARRAY[g.given, g.upper, g.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT FROM channel_participation p
        WHERE p.token_group = v.name AND p.channel = t.channel AND p.epoch = t.epoch
        LIMIT 1
    ) p
    LIMIT 1
) p
LEFT JOIN LATERAL (
    SELECT true FROM unnest(ARRAY[g.given, g.upper, g.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT FROM sealed_epochs s
        WHERE s.token_group = v.name AND s.channel = t.channel AND s.epoch = t.epoch
        LIMIT 1
    ) s
    LIMIT 1
) AS s(found) ON true
GROUP BY 1, 2
"""  # noqa: S608 - put together from constants

# Which of these labels of a group anybody took part in: for each a leap through (token_group, epoch) to the first row
# at or after it. Asked for by the order of both, which no other index has: for a bare LIMIT 1 a planner that thinks the
# group is everywhere reads all rows of a label, or the table from its beginning, and where nobody took part to the end.
#
# $1, $2, $3: for each label the group's name in the cases above; $4: the labels.
TOOK_PART = """
SELECT w.position
FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) WITH ORDINALITY AS w(given, upper, lower, epoch, position)
WHERE EXISTS (
    SELECT FROM unnest(ARRAY[w.given, w.upper, w.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT p.token_group, p.epoch FROM channel_participation p
        WHERE (p.token_group, p.epoch) >= (v.name, w.epoch)
        ORDER BY p.token_group, p.epoch
        LIMIT 1
    ) p
    WHERE p.token_group = v.name AND p.epoch = w.epoch
)
"""

# Which of these groups anything was ever sealed of, or anybody ever took part in. Asked of those alone of which neither
# is so in the window: of one that is nowhere the seals are read to their end, once an epoch.
#
# $1, $2, $3: groups in the cases above.
EVER_SEEN = """
SELECT w.position
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w(given, upper, lower, position)
WHERE EXISTS (
    SELECT FROM unnest(ARRAY[w.given, w.upper, w.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT p.token_group FROM channel_participation p
        WHERE p.token_group >= v.name
        ORDER BY p.token_group, p.epoch
        LIMIT 1
    ) p
    WHERE p.token_group = v.name
) OR EXISTS (SELECT FROM sealed_epochs s WHERE s.token_group IN (w.given, w.upper, w.lower))
"""

# In which labels each channel that a group has sealed in the window took part: one leap through the index for every
# channel and label. A channel that took part in none of them has a row all the same, with an empty list.
#
# $1, $2, $3: groups as above; $4, $5, $6: first and last label and the epoch length; $7: the most channels per group.
LIVES = f"""
SELECT k.position, {_short("k.channel")} AS channel,
       coalesce(array_agg(e.epoch) FILTER (WHERE p.found), '{{}}') AS labels
FROM (
    SELECT g.*, s.channel
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS g(given, upper, lower, position)
    CROSS JOIN LATERAL (
        SELECT DISTINCT s.channel FROM sealed_epochs s
        WHERE s.token_group IN (g.given, g.upper, g.lower) AND s.epoch >= $4::int8 AND s.epoch <= $5::int8
        LIMIT $7::int8
    ) s
) k
CROSS JOIN generate_series($4::int8, $5::int8, $6::int8) AS e(epoch)
LEFT JOIN LATERAL (
    SELECT true FROM unnest(ARRAY[k.given, k.upper, k.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT FROM channel_participation p
        WHERE p.token_group = v.name AND p.channel = k.channel AND p.epoch = e.epoch
        LIMIT 1
    ) p
    LIMIT 1
) AS p(found) ON true
GROUP BY k.position, k.channel
"""  # noqa: S608 - put together from constants

# The parts of a recap; `records` are the rows read. $1: a group's name in the cases above; $2, $3: labels from and
# before; $4: where to stop.
_TOOK_PART = """(
    SELECT channel, user_hash, category FROM channel_participation
    WHERE token_group = ANY($1::text[]) AND epoch >= $2::int8 AND epoch < $3::int8
    LIMIT $4::int8
) AS bounded"""

RECORDS = f"""
SELECT count(*) AS records, count(DISTINCT channel) AS channels, count(DISTINCT category) AS categories
FROM {_TOOK_PART}
"""  # noqa: S608 - put together from constants

VIEWERS = f"""
SELECT coalesce(sum(v.records), 0)::int8 AS records, count(*) AS viewers
FROM (SELECT count(*) AS records FROM {_TOOK_PART} GROUP BY user_hash) AS v
"""  # noqa: S608 - as above

LEADER = f"""
SELECT (sum(sum(v.records)) OVER ())::int8 AS records, {_short("v.channel")} AS channel, count(*) AS viewers
FROM (SELECT channel, count(*) AS records FROM {_TOOK_PART} GROUP BY channel, user_hash) AS v
GROUP BY v.channel
ORDER BY count(*) DESC, v.channel COLLATE "C"
LIMIT 1
"""  # noqa: S608 - as above


# Who took part in one label, each once a group, by group. $1: the label; $2: groups in upper case; $3: rows. `records`:
# how many rows were read.
VIEWERS_OF_LABEL = """
SELECT v.name, count(*) AS viewers, sum(v.records)::int8 AS records FROM (
    SELECT upper(p.token_group COLLATE "C") AS name, p.user_hash, count(*) AS records FROM (
        SELECT token_group, user_hash FROM channel_participation WHERE epoch = $1::int8 LIMIT $3::int8
    ) p GROUP BY 1, 2
) v WHERE v.name = ANY($2::text[]) GROUP BY 1
"""


def recent(quoted: str) -> str:
    """The bounded exact count of a table, quoted by Postgres. $1: the bound, $2: a later one, $3: where to stop."""
    return f"""
SELECT count(*) AS rows, count(*) FILTER (WHERE bounded.epoch >= $2::int8) AS later_rows
FROM (SELECT epoch FROM {quoted} WHERE epoch >= $1::int8 LIMIT $3::int8) AS bounded
"""  # noqa: S608 - quoted by format('%I.%I') in the server


def arrived(quoted: str, serial: str) -> str:
    """The bounded exact count of what came into a table whose key is drawn from a sequence; Postgres quoted both names.

    $1: the last key that is not counted, $2: where to stop counting. `top` is the last key that was.
    """
    return f"""
SELECT count(*) AS rows, max(bounded.key)::int8 AS top
FROM (SELECT {serial} AS key FROM {quoted} WHERE {serial} > $1::int8 ORDER BY {serial} LIMIT $2::int8) AS bounded
"""  # noqa: S608 - quoted by format('%I') in the server


def newest_key(quoted: str, serial: str) -> str:
    """The largest key of such a table, by its index; NULL where it is empty."""
    return f"SELECT max({serial})::int8 FROM {quoted}"  # noqa: S608 - as above


# A page of seals, the newest first, from the primary key. $1, $2: labels from and to; $3: a group in upper case, or
# NULL; $4: a channel, or NULL; $5 to $8: the key of the last row of the page before; $9: rows.
SEALS = """
SELECT epoch, channel, token_group, category, root FROM sealed_epochs
WHERE epoch >= $1::int8 AND epoch <= $2::int8
  AND ($3::text IS NULL OR upper(token_group COLLATE "C") = $3) AND ($4::text IS NULL OR channel = $4)
  AND (epoch, channel, token_group, category) < ($5::int8, $6::text, $7::text, $8::text)
ORDER BY epoch DESC, channel DESC, token_group DESC, category DESC
LIMIT $9::int8
"""

# What a channel is sealed for under one label. $1: the label, $2: the channel.
SEALED_FOR = """
SELECT token_group, category, root FROM sealed_epochs WHERE epoch = $1::int8 AND channel = $2
ORDER BY token_group, category LIMIT 20
"""

# The roots of a channel under one label, and whether each is published. $1: the label, $2: the channel.
PUBLISHED_FOR = """
SELECT root, coalesce(published, 0) <> 0 AS published FROM sealed_epochs WHERE epoch = $1::int8 AND channel = $2
ORDER BY token_group, category LIMIT 20
"""

# A page of one seal's participants in sealed order, as one row. `whole` says whether each hash has its 64 digits.
# $1: the label, $2: the channel, $3: the index of the last one of the page before, $4: participants.
PARTICIPANTS = """
SELECT count(*)::int8 AS participants, min(p.idx)::int8 AS first, max(p.idx)::int8 AS last,
       bool_and(length(p.user_hash) = 64) AS whole,
       CASE WHEN bool_and(length(p.user_hash) = 64) THEN string_agg(p.user_hash, '' ORDER BY p.idx) END AS hashes
FROM (
    SELECT idx, user_hash FROM sealed_participants
    WHERE epoch = $1::int8 AND channel = $2 AND idx > $3::int8
    ORDER BY idx LIMIT $4::int8
) AS p
"""

# Where a participant stands in a seal. $1: the label, $2: the channel, $3: the hash in lower case.
PARTICIPANT = """
SELECT min(idx)::int8 FROM sealed_participants
WHERE epoch = $1::int8 AND channel = $2 AND lower(user_hash) = $3
"""

# The newest label of each channel that is marked as published, its root, and that of its tree. $1, $2: groups in upper
# and in lower case; $3, $4: labels from and to; $5: published before (Unix seconds), where that is told; $6: seals of a
# group that are looked at.
_NEWEST_PUBLISHED = """
SELECT g.upper AS token_group, s.channel, s.epoch, s.root, {tree} AS tree
FROM unnest($1::text[], $2::text[]) AS g(upper, lower)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (r.channel) r.channel, r.epoch, r.root
    FROM unnest(ARRAY[g.upper, g.lower]) AS v(name) CROSS JOIN LATERAL (
        SELECT channel, epoch, root FROM sealed_epochs
        WHERE token_group = v.name AND epoch >= $3::int8 AND epoch <= $4::int8 AND published = 1
          AND (published_at IS NULL OR published_at <= to_timestamp($5::float8))
        ORDER BY epoch DESC LIMIT $6::int8
    ) AS r
    ORDER BY r.channel, r.epoch DESC
) AS s
"""
_TREE_ROOT = "(SELECT t.root FROM l2_tree_cache t WHERE t.epoch = s.epoch AND t.channel = s.channel)"
NEWEST_PUBLISHED = _NEWEST_PUBLISHED.format(tree=_TREE_ROOT)
NEWEST_PUBLISHED_WITHOUT_TREES = _NEWEST_PUBLISHED.format(tree="NULL::text")

# What the tree cache has of a seal. $1: the label, $2: the channel.
TREE = """
SELECT root, participant_count::int8 AS participants FROM l2_tree_cache
WHERE epoch = $1::int8 AND channel = $2 LIMIT 1
"""


# The pipeline's tables: whether each is there and may be read whole, how many pages it has, and whether an index begins
# with its label. $1: their names.
ACCESS = """
SELECT w.name, t.oid::int8 AS oid, t.oid IS NOT NULL AS there,
       t.oid IS NOT NULL AND has_schema_privilege(t.relnamespace, 'USAGE')
         AND has_any_column_privilege(t.oid, 'SELECT') AND NOT row_security_active(t.oid) AS readable,
       coalesce(t.relpages, 0)::int8 AS pages,
       EXISTS (
           SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
           WHERE x.indrelid = t.oid AND x.indisvalid AND x.indpred IS NULL AND a.attname = 'epoch'
       ) AS indexed
FROM unnest($1::text[]) AS w(name) LEFT JOIN LATERAL (
    SELECT c.oid, c.relnamespace, c.relpages FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = w.name AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
      AND (pg_table_is_visible(c.oid) OR n.nspname = 'public')
    ORDER BY pg_table_is_visible(c.oid) DESC LIMIT 1
) t ON true
"""

# For the next statement of this transaction, and no longer: two lists of seals and trees are joined by hashing,
# statistics or not.
NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"
NESTED_LOOPS = "SET LOCAL enable_nestloop TO DEFAULT"

# Of a label, at most so many seals or trees are read; it has 63 to 172.
MOST_SEALS = 5000
_MOST_TREES = 50_000  # of all labels together, where no index begins with them
_MOST_PUBLISHED = 1_000_000  # of all labels together
# A root as plain hex digits; one of no digits but zeros is empty.
_PLAIN_ROOT = "regexp_replace(lower(btrim(coalesce(root, ''))), '^0x', '')"
_IS_EMPTY = "root ~ '^0*$'"
# A time that somebody wrote in seconds, or in milliseconds, in seconds.
_IN_SECONDS = "CASE WHEN {0} > 100000000000 THEN {0} / 1000.0 ELSE {0} END::float8"

# The seals of some labels, from the primary key. $1: labels; $2: groups in upper case: others go by the name "".
_SEALED = f"""
SELECT e.label AS epoch, s.channel, s.called, s.category, s.root, s.published, s.published_at,
       {_IN_SECONDS.format("s.sealed_at")} AS sealed_at,
       CASE WHEN s.called = ANY($2::text[]) THEN s.called ELSE '' END AS name
FROM unnest($1::int8[]) AS e(label) CROSS JOIN LATERAL (
    SELECT channel, upper(token_group COLLATE "C") AS called, coalesce(category, '') AS category,
           {_PLAIN_ROOT} AS root, sealed_at::int8 AS sealed_at, coalesce(published, 0) <> 0 AS published, published_at
    FROM sealed_epochs WHERE epoch = e.label ORDER BY epoch, channel, token_group, category LIMIT {MOST_SEALS}
) s
"""  # noqa: S608 - put together from constants


def _trees(*, indexed: bool) -> str:
    """The trees of the labels in $1; where no index begins with a label the table is read once for all of them."""
    columns = f"epoch, channel, {_PLAIN_ROOT} AS root, participant_count, built_at"
    if indexed:
        return f"""
SELECT t.* FROM unnest($1::int8[]) AS e(label) CROSS JOIN LATERAL (
    SELECT {columns} FROM l2_tree_cache WHERE epoch = e.label ORDER BY epoch, channel LIMIT {MOST_SEALS}
) t"""  # noqa: S608 - as above
    return f"SELECT {columns} FROM l2_tree_cache WHERE epoch = ANY($1::int8[]) LIMIT {_MOST_TREES}"  # noqa: S608


def _hash(*columns: str) -> str:
    """64 bits of a hash over some columns, the same in every version of Postgres."""
    text = " || chr(31) || ".join(columns)
    return f"('x' || left(encode(sha256(convert_to({text}, 'UTF8')), 'hex'), 16))::bit(64)::int8"


def signed(*, trees: bool, indexed: bool) -> str:
    """What tells whether anything of a label's seals, or of its trees, has changed: counts, and hashes over them.

    $1, $2: as in _SEALED. A row a label and group, and where `trees` are read one a label, without a name.
    """
    statement = f"""
SELECT s.epoch, s.name, min(s.called) AS called, count(*) AS rows, count(*) FILTER (WHERE s.published) AS published,
       bit_xor({_hash("s.channel", "s.category", "s.root")}) AS signature
FROM ({_SEALED}) s GROUP BY 1, 2"""  # noqa: S608 - as above
    if not trees:
        return statement
    return f"""{statement}
UNION ALL
SELECT t.epoch, NULL, NULL, count(*), 0, bit_xor({_hash("t.channel", "t.root", "coalesce(t.participant_count, -1)")})
FROM ({_trees(indexed=indexed)}) t GROUP BY 1"""  # noqa: S608 - as above


def marked(*, trees: bool) -> str:
    """What tells cheaply whether any row of a label's seals, or of its trees, is another than before.

    Hashes as this server's version has them, of what is stored as it is stored: for no comparison but with the same
    server's a few minutes before. $1: labels. A row a label, and where `trees` are read another, by `of`.
    """
    statement = f"""
SELECT e.label AS epoch, 'seals' AS of, m.*
FROM unnest($1::int8[]) AS e(label) CROSS JOIN LATERAL (
    SELECT count(*) AS rows, count(*) FILTER (WHERE s.published <> 0) AS published,
           bit_xor(hashtextextended(s.channel, hashtextextended(coalesce(s.root, ''), hashtextextended(s.token_group,
               hashtextextended(coalesce(s.category, ''), 0))))) AS mark
    FROM (
        SELECT channel, root, token_group, category, published FROM sealed_epochs WHERE epoch = e.label
        ORDER BY epoch, channel, token_group, category LIMIT {MOST_SEALS}
    ) s
) m"""  # noqa: S608 - of constants
    if not trees:
        return statement
    return f"""{statement}
UNION ALL
SELECT e.label, 'trees', m.*
FROM unnest($1::int8[]) AS e(label) CROSS JOIN LATERAL (
    SELECT count(*), 0::int8, bit_xor(hashtextextended(t.channel, hashtextextended(coalesce(t.root, ''),
               coalesce(t.participant_count, -1))))
    FROM (
        SELECT channel, root, participant_count FROM l2_tree_cache WHERE epoch = e.label
        ORDER BY epoch, channel LIMIT {MOST_SEALS}
    ) t
) m"""  # noqa: S608 - of constants


# The most participants of a channel that its account on the chain has room for.
MOST_CLAIMS = 8192
_MOST_NAMED = 5


def _named(condition: str, name: str) -> str:
    return f"""count(*) FILTER (WHERE {condition}) AS {name},
       (array_agg({_short("channel")} ORDER BY channel COLLATE "C") FILTER (WHERE {condition}))[1:{_MOST_NAMED}]
         AS {name}_channels"""


def stages(*, trees: bool, indexed: bool, participants: bool) -> str:
    """What has become of the seals of each label and group. $1, $2: as in _SEALED.

    How many participants are kept of a seal is told by a leap to its highest index. A tree is unlike its seal where no
    seal of its channel and label, for whatever group, has its root; its participants are compared where there is one
    seal only.
    """
    tree = _trees(indexed=indexed) if trees else (
        "SELECT NULL::int8 AS epoch, NULL::text AS channel, NULL::text AS root, NULL::int8 AS participant_count, "
        "NULL::int8 AS built_at WHERE false"
    )  # fmt: skip
    kept = """coalesce((
        SELECT p.idx::int8 + 1 FROM sealed_participants p WHERE p.epoch = s.epoch AND p.channel = s.channel
        ORDER BY p.epoch DESC, p.channel DESC, p.idx DESC LIMIT 1
    ), 0)""" if participants else "NULL::int8"  # fmt: skip
    return f"""
WITH sealed AS MATERIALIZED ({_SEALED}), trees AS MATERIALIZED (
    SELECT DISTINCT ON (epoch, channel) * FROM ({tree}) t ORDER BY epoch, channel, built_at DESC NULLS LAST
), known AS (
    SELECT s.*, t.epoch IS NOT NULL AS treed, t.participant_count::int8 AS counted, {kept} AS kept,
           {_IN_SECONDS.format("t.built_at")} AS built_at,
           bool_or(s.root = t.root) OVER same AS is_its, count(*) OVER same AS times
    FROM sealed s LEFT JOIN trees t ON t.epoch = s.epoch AND t.channel = s.channel
    WINDOW same AS (PARTITION BY s.epoch, s.channel)
)
SELECT epoch, name, count(*) AS seals, count(*) FILTER (WHERE treed) AS treed,
       count(*) FILTER (WHERE NOT published AND treed) AS eligible,
       min(coalesce(built_at, sealed_at)) FILTER (WHERE NOT published AND treed) AS eligible_since,
       max(sealed_at) AS sealed_at,
       count(*) FILTER (WHERE category = '') AS uncategorised,
       count(*) FILTER (WHERE category NOT IN ('', 'default')) AS categorised,
       {_named("NOT treed", "untreed")},
       {_named(f"{_IS_EMPTY} AND coalesce(kept, counted, 1) > 0", "empty")},
       {_named(f"treed AND NOT is_its AND NOT ({_IS_EMPTY})", "unlike")},
       {_named("times = 1 AND kept > 0 AND counted <> kept", "miscounted")},
       {_named(f"greatest(kept, counted) > {MOST_CLAIMS}", "oversized")}
FROM known GROUP BY 1, 2
"""  # noqa: S608 - as above


# One root for several channels or labels, of the roots that some labels have: $3. $1, $2: as in _SEALED.
DUPLICATES = f"""
WITH asked AS MATERIALIZED (SELECT DISTINCT s.root FROM ({_SEALED.replace("$1", "$3")}) s WHERE NOT (s.{_IS_EMPTY}))
SELECT (array_agg(DISTINCT s.name)) AS names, (array_agg({_short("s.channel")} ORDER BY s.epoch, s.channel))[1:5]
         AS channels, (array_agg(s.epoch ORDER BY s.epoch, s.channel))[1:5] AS labels
FROM ({_SEALED}) s WHERE s.root IN (SELECT root FROM asked)
GROUP BY s.root HAVING count(DISTINCT (s.epoch, s.channel)) > 1
ORDER BY min(s.epoch) LIMIT 20
"""  # noqa: S608 - as above

# The channels that a group has sealed last, with their newest labels. $1, $2: as in _SEALED; $3: how many a group.
LATEST = f"""
SELECT l.name, l.channel, l.epoch FROM (
    SELECT s.name, {_short("s.channel")} AS channel, max(s.epoch) AS epoch,
           row_number() OVER (PARTITION BY s.name ORDER BY max(s.epoch) DESC, s.channel COLLATE "C") AS place
    FROM ({_SEALED}) s WHERE s.name <> '' GROUP BY s.name, s.channel
) l WHERE l.place <= $3::int8 ORDER BY l.name, l.place
"""  # noqa: S608 - as above

# How many seals of each of these labels were published since a moment, and when the last was. $1: labels; $2: when.
PUBLISHED = f"""
SELECT s.epoch, count(*) FILTER (WHERE s.published_at > to_timestamp($2::float8)) AS lately,
       extract(epoch FROM max(s.published_at))::float8 AS last
FROM (
    SELECT epoch::int8 AS epoch, published, published_at FROM sealed_epochs WHERE epoch = ANY($1::int8[])
    LIMIT {_MOST_PUBLISHED}
) s
WHERE s.published <> 0 GROUP BY 1
"""  # noqa: S608 - as above


_TREE_OF_EACH = f"""
LEFT JOIN LATERAL (
    SELECT {_IN_SECONDS.format("t.built_at")} AS at, true AS is_there FROM l2_tree_cache t
    WHERE b.waits AND t.epoch = b.epoch AND t.channel = b.channel LIMIT 1
) t ON true
"""  # noqa: S608 - as above
_NO_TREE = "CROSS JOIN (SELECT NULL::float8 AS at, false AS is_there) t"


def backlog(*, trees: bool) -> str:
    """What of a page of seals is unpublished, by label, and could be. $1: the newest label; $2: rows of a page."""
    return f"""
SELECT b.epoch, count(*) AS rows, count(*) FILTER (WHERE b.waits) AS unpublished,
       count(*) FILTER (WHERE t.is_there) AS eligible,
       min(coalesce(t.at, {_IN_SECONDS.format("b.sealed_at")})) FILTER (WHERE t.is_there) AS oldest
FROM (
    SELECT epoch, channel, sealed_at, coalesce(published, 0) = 0 AS waits FROM sealed_epochs
    WHERE epoch <= $1::int8 ORDER BY epoch DESC LIMIT $2::int8
) b {_TREE_OF_EACH if trees else _NO_TREE}
GROUP BY 1 ORDER BY 1 DESC
"""  # noqa: S608 - as above


# When the newest signal of a label was sent. $1: the label; $2: now; $3: rows.
NEWEST_SIGNAL = f"""
SELECT max(s.at) FILTER (WHERE s.at <= $2::float8) FROM (
    SELECT {_IN_SECONDS.format('"timestamp"')} AS at FROM user_signals WHERE epoch = $1::int8 LIMIT $3::int8
) s
"""  # noqa: S608 - as above

# How many came to take part in each part of a label's epoch, by group. $1: the label; $2: groups in upper case;
# $3: the epoch's length; $4: parts; $5: rows.
JOINED = f"""
SELECT p.name, least($4::int8 - 1, greatest(0, floor((p.at - $1::int8) * $4::int8 / $3::int8)))::int8 AS part,
       count(*) AS joined
FROM (
    SELECT upper(token_group COLLATE "C") AS name, coalesce({_IN_SECONDS.format("first_seen")}, 0) AS at
    FROM channel_participation WHERE epoch = $1::int8 LIMIT $5::int8
) p WHERE p.name = ANY($2::text[]) GROUP BY 1, 2
"""  # noqa: S608 - as above

# Every channel that took part for a group, at whatever time, and the other groups that it took part for: leaps through
# (token_group, channel, epoch). $1, $2, $3: the groups in the cases above; $4 to $6: all groups likewise; $7: channels.
ROSTER = f"""
WITH RECURSIVE took(position, wanted, name, channel) AS (
    SELECT g.position, v.name, p.token_group, p.channel
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS g(given, upper, lower, position)
    CROSS JOIN LATERAL (SELECT DISTINCT v.name FROM unnest(ARRAY[g.given, g.upper, g.lower]) AS v(name)) v
    CROSS JOIN LATERAL (
        SELECT p.token_group, p.channel FROM channel_participation p
        WHERE (p.token_group, p.channel) >= (v.name, '') ORDER BY p.token_group, p.channel LIMIT 1
    ) p
    WHERE p.token_group = v.name
    UNION ALL
    SELECT t.position, t.wanted, p.token_group, p.channel
    FROM took t CROSS JOIN LATERAL (
        SELECT p.token_group, p.channel FROM channel_participation p
        WHERE (p.token_group, p.channel) > (t.name, t.channel) ORDER BY p.token_group, p.channel LIMIT 1
    ) p
    WHERE p.token_group = t.wanted
)
SELECT t.position, {_short("t.channel")} AS channel, array(
    SELECT o.position
    FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS o(given, upper, lower, position)
    WHERE NOT (t.wanted = ANY(ARRAY[o.given, o.upper, o.lower])) AND EXISTS (
        SELECT FROM unnest(ARRAY[o.given, o.upper, o.lower]) AS v(name) CROSS JOIN LATERAL (
            SELECT FROM channel_participation p WHERE p.token_group = v.name AND p.channel = t.channel LIMIT 1
        ) p
    )
) AS others
FROM took t LIMIT $7::int8
"""  # noqa: S608 - as above

# Whether names are kept beside the hashes of a label's participants. $1: the label.
NAMES_KEPT = """
SELECT EXISTS (
    SELECT FROM (SELECT username FROM sealed_participants WHERE epoch = $1::int8 LIMIT 100) p
    WHERE p.username <> ''
)
"""


CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"


def name_parts(name: str, parts: int = 2) -> tuple[str, ...]:
    """The parts of a name that somebody wrote, `schema.table` or `table`, as they are called, case included.

    Each part may be quoted already; then a dot may stand in it. What cannot even be sent is replaced.
    """
    found: list[str] = []
    rest = name.strip()
    while rest and len(found) < parts:
        if rest.startswith('"') and '"' in rest[1:]:
            end = 1
            while (end := rest.find('"', end)) >= 0 and rest[end : end + 2] == '""':
                end += 2
            end = end if end > 0 else len(rest)
            part, rest = rest[1:end].replace('""', '"'), rest[end + 1 :].removeprefix(".")
        elif len(found) + 1 < parts:
            part, _, rest = rest.partition(".")
        else:
            part, rest = rest, ""
        found.append(part.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}"))
    return tuple(found)


def quoted(name: str, parts: int = 2) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name_parts(name, parts))


def newest(table: str, column: str, until: str = "") -> str:
    """The largest value of a column, up to a literal where there is one; by its index where it has one."""
    where = f" WHERE {column} <= {until}" if until else ""
    return f"SELECT max({column}) FROM {table}{where}"  # noqa: S608 - the names are quoted by `quoted`


def moment(kind: str, at: float) -> str:
    """A literal of a type for moments; `at` in Unix seconds."""
    zoned = f"to_timestamp({at:.6f})"
    return zoned if kind == "timestamptz" else f"({zoned} AT TIME ZONE 'UTC')::{kind}"


def first_column(statement: str) -> str:
    """A statement that returns the first column only of another one, which must be a SELECT."""
    return f"SELECT q.value FROM (\n{statement.strip().rstrip(';')}\n) AS q(value)"  # noqa: S608 - it is the operator's
