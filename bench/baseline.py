"""A stand-in for the script that monitord replaces: bash, and a program for everything it wants to know.

It does what such scripts do, in their favour where there is a choice: grep instead of jq, and Redis by bash itself,
since the wheel that brings the server has no redis-cli.
"""

from pathlib import Path

PM2_CALLS, QUERIES = 3, 5

SCRIPT = r"""#!/usr/bin/env bash
# Once every two hours, from cron.
services="milo-aggregator milo-worker-v2 cls-worker gateway stream-listener tree-builder"
query() { "$PSQL" -X -q -t -A "$DSN" -c "$1"; }

echo "== services"
list=$(pm2 jlist)
for service in $services; do
  grep -o "{\"pid\":[^{]*\"name\":\"$service\"" <<< "$list" > /dev/null && echo "$service: listed"
done
online=$(pm2 jlist | grep -o '"status":"online"' | wc -l)
echo "online: $online"
pm2 jlist | grep -o '"memory":[0-9]*' | sort -t: -k2 -n | tail -1

echo "== database"
query "SELECT count(*) FROM user_signals"
query "SELECT pg_size_pretty(pg_database_size(current_database()))"

echo "== epochs"
query "SELECT max(epoch) FROM sealed_epochs WHERE token_group = 'MILO'"
query "SELECT max(epoch) FROM sealed_epochs WHERE token_group = 'CLS'"
query "SELECT count(DISTINCT epoch) FROM sealed_epochs WHERE epoch > extract(epoch FROM now()) - 7200"

echo "== redis"
exec 3<> "/dev/tcp/127.0.0.1/$REDIS_PORT"
printf 'AUTH %s\r\nPING\r\nDBSIZE\r\nQUIT\r\n' "$REDIS_PASSWORD" >&3
cat <&3

echo "== host"
df -h /
free -m
"""


def write(directory: Path, node: Path, pm2: Path) -> Path:
    """The script, and `pm2` as a command beside it."""
    directory.mkdir()
    command = directory / "pm2"
    command.write_text(f'#!/bin/sh\nexec "{node}" "{pm2}" "$@"\n')
    script = directory / "overnight-monitor.sh"
    script.write_text(SCRIPT)
    for file in (command, script):
        file.chmod(0o755)
    return script
