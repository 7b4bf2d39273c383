"""Several hosts, one fleet: against the real Prometheus and Alertmanager, with what is shipped for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitord.notify.channels.alertmanager import Alertmanager
from monitord.notify.message import Message, Origin
from monitord.testing.sandbox import Sandbox, free_port
from monitord.testing.servers.postgres import PostgresServer
from tests.deploy.fleet import TOKEN, Pager, asked, pager, ready, shown, start_alertmanager, start_prometheus
from tests.deploy.test_grafana import PANELS
from tests.deploy.tools import tool
from tests.faults.watched import Watched
from tests.notify.receivers import message

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

pytestmark = pytest.mark.servers

HOSTS = ("box-1", "box-2")
FAST = {
    "MONITORD_FLEET": "shop",
    "MONITORD_PM2__HOME": "",
    "MONITORD_CHECK_INTERVAL": "1s",
    "MONITORD_PROBE_TIMEOUT": "1s",
    "MONITORD_ORDERS__CONFIRM_EVERY": "300ms",
    "MONITORD_HTTP__TOKEN": TOKEN,
    # An empty database, and an hour in which nobody minds.
    "MONITORD_EPOCHS__GROUPS": "[]",
    "MONITORD_POSTGRES__TABLES": "[]",
    # How this machine fares is nobody's page here.
    "MONITORD_ORDERS__DISK_WARNING": "98%",
    "MONITORD_ORDERS__DISK_CRITICAL": "99%",
    "MONITORD_ORDERS__HOST_MEMORY": "1MB",
}


@pytest.fixture
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def paged() -> AsyncIterator[Pager]:
    async with pager() as one:
        yield one


def drawn(panel: str) -> str:
    """What the dashboard's panel asks when all hosts of all fleets are chosen."""
    (expression,) = [target["expr"] for one in PANELS if one["title"] == panel for target in one["targets"]]
    return str(expression).replace("$fleet", ".*").replace("$instance", ".*")


def instances(page: dict[str, Any]) -> set[str]:
    return {alert["labels"]["instance"] for alert in page["alerts"]}


def postgres_away(kind: str = "firing") -> Message:
    """What a monitord says when it cannot reach Postgres, or can again."""
    told = message("firing" if kind == "firing" else "resolved", at=datetime.now(UTC))
    return replace(told, rule="postgres_unreachable", subject="postgres", fields={"summary": "Postgres is away."})


async def test_one_shared_database_dies_two_hosts_see_it_and_one_page_results(
    postgres: PostgresServer, fleet_database: str, own_sandbox: Sandbox, paged: Pager, tmp_path: Path,
    eventually: Eventually,
) -> None:  # fmt: skip
    programs = tool("prometheus-alertmanager"), tool("prometheus")
    alertmanager = start_alertmanager(own_sandbox, programs[0], tmp_path / "alertmanager", paged.receiver.url)
    ports = {name: free_port() for name in HOSTS}
    prometheus = start_prometheus(own_sandbox, programs[1], tmp_path / "prometheus", ports, alertmanager)
    await ready(alertmanager, prometheus)
    shared = FAST | {"MONITORD_POSTGRES__DSN": fleet_database, "MONITORD_NOTIFY__ALERTMANAGER_URL": alertmanager}

    async def scraped() -> bool:
        return await asked(prometheus, "up", "instance", "fleet", "job") == {(n, "shop", "monitord"): 1 for n in HOSTS}

    async def seen_by_both() -> bool:
        firing = await asked(prometheus, "monitord_alert_firing", "rule", "subject", "instance", "fleet")
        return firing == {("postgres_unreachable", "postgres", name, "shop"): 1 for name in HOSTS}

    async def one_problem() -> bool:
        return await asked(prometheus, "fleet:monitord_problems:count", "fleet", "severity") == {
            ("shop", "critical"): 1
        }

    async def is_paged() -> bool:
        return bool(paged.about("postgres_unreachable"))

    async def is_over() -> bool:
        return bool(paged.about("postgres_unreachable", "resolved"))

    async def is_watched() -> bool:
        return paged.hears_that_they_live

    async with AsyncExitStack() as running:
        for name in HOSTS:
            own = {
                "MONITORD_STATE_DIR": str(tmp_path / name / "state"),
                "MONITORD_INSTANCE": name,
                "MONITORD_HTTP__LISTEN": f"127.0.0.1:{ports[name]}",
            }
            await running.enter_async_context(Watched(shared | own, tmp_path / name))
        await eventually(scraped)
        assert await asked(prometheus, "monitord_build_info", "instance", "host", "exported_fleet") == {
            (name, name, "shop"): 1 for name in HOSTS
        }
        await postgres.kill()
        try:
            await eventually(seen_by_both)
            await eventually(one_problem)
            assert await asked(prometheus, drawn("Problems")) == {(): 1}
            assert await asked(prometheus, drawn("Status"), "instance") == dict.fromkeys([(n,) for n in HOSTS], 3)
            assert await asked(prometheus, drawn("Hosts that answer")) == {(): 1}
            await eventually(is_paged)
            await said_and_nothing_more(Alertmanager(alertmanager, Origin("box-1", "shop")), paged, eventually)
        finally:
            await postgres.start()
        await eventually(is_over)
        await eventually(is_watched)

    page, *later = paged.about("postgres_unreachable")
    # Where one host sees it back a group interval before the other, its end is told while the other still fires.
    assert all({"resolved", "firing"} == {alert["status"] for alert in each["alerts"]} for each in later)
    assert instances(page) == set(HOSTS)
    assert page["groupLabels"] == {"fleet": "shop", "alertname": "postgres_unreachable", "subject": "postgres"}
    assert {p["groupLabels"]["alertname"] for p in paged.pages} == {"postgres_unreachable", "monitord_test"}


async def said_and_nothing_more(channel: Alertmanager, paged: Pager, eventually: Eventually) -> None:
    """A page about something else comes through, which takes several turns of every group; and no other has."""
    before = len(paged.pages)

    async def is_told() -> bool:
        return bool(paged.about("monitord_test"))

    test = replace(message("test", at=datetime.now(UTC)), severity="critical")
    await channel.send([test], datetime.now(UTC))
    await channel.close()
    await eventually(is_told)
    assert len(paged.pages) == before + 1


async def test_what_is_sent_again_and_again_is_told_once_and_its_end_once(
    own_sandbox: Sandbox, paged: Pager, tmp_path: Path, eventually: Eventually
) -> None:
    program = tool("prometheus-alertmanager")
    address = start_alertmanager(own_sandbox, program, tmp_path / "one", paged.receiver.url, wait="1s")
    await ready(address)
    channels = [Alertmanager(address, Origin(name, "shop")) for name in HOSTS]

    async def is_paged() -> bool:
        return bool(paged.about("postgres_unreachable"))

    async def is_over() -> bool:
        return bool(paged.about("postgres_unreachable", "resolved"))

    for channel in channels:
        await channel.send([postgres_away()], datetime.now(UTC))
    await eventually(is_paged)
    for channel in channels:
        await channel.send([postgres_away()], datetime.now(UTC))
    await said_and_nothing_more(Alertmanager(address, Origin("box-1", "shop")), paged, eventually)
    (page,) = paged.about("postgres_unreachable")
    assert instances(page) == set(HOSTS)
    for channel in channels:
        await channel.send([postgres_away("resolved")], datetime.now(UTC))
        await channel.close()
    await eventually(is_over)
    assert len(paged.about("postgres_unreachable", "resolved")) == 1


async def test_a_member_of_the_cluster_that_dies_costs_no_page_and_makes_none(
    own_sandbox: Sandbox, paged: Pager, tmp_path: Path, eventually: Eventually
) -> None:
    program = tool("prometheus-alertmanager")
    peers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    members = [
        start_alertmanager(
            own_sandbox, program, tmp_path / f"member-{number}", paged.receiver.url,
            f"--cluster.listen-address={peers[number]}", f"--cluster.peer={peers[1 - number]}",
            "--cluster.peer-timeout=1s", "--cluster.settle-timeout=2s", "--cluster.gossip-interval=50ms",
            wait="1s",
        )
        for number in range(2)
    ]  # fmt: skip
    await ready(*members)

    async def is_paged() -> bool:
        return bool(paged.about("postgres_unreachable"))

    async def is_known_to_the_other() -> bool:
        return await shown(members[1], "alertmanager_cluster_messages_received_total", 'msg_type="update"') > 0

    async def are_two() -> bool:
        return all([await shown(member, "alertmanager_cluster_members") == 2 for member in members])

    await eventually(are_two)
    first, second = (Alertmanager(address, Origin("box-1", "shop")) for address in members)
    await first.send([postgres_away()], datetime.now(UTC))
    await first.close()
    await eventually(is_paged)
    await eventually(is_known_to_the_other)
    doomed = next(p for p in own_sandbox.processes() if str(tmp_path / "member-0") in " ".join(p.cmdline()))
    doomed.kill()
    await second.send([postgres_away()], datetime.now(UTC))
    await second.close()
    await said_and_nothing_more(Alertmanager(members[1], Origin("box-1", "shop")), paged, eventually)
    assert len(paged.about("postgres_unreachable")) == 1
