"""Jobs report over HTTP in Healthchecks' convention, and are answered once what they say is on the disk."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from monitord.storage.inbox import JobReports, read_reports
from monitord.storage.schema import FILE

from .made import TOKEN, Source, client, night, recorded

CHECKS = json.dumps(
    {
        "backup": {"type": "checkin", "period": "1d"},
        "shop export": {"type": "checkin", "schedule": "0 3 * * *"},
        "load": {"type": "command", "command": ["check_load"]},
    }
)


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Source]:
    made = await recorded(tmp_path, night(0.1), MONITORD_CHECKS=CHECKS)
    yield made
    made.close()


@pytest.fixture
async def page(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    async with client(source, token=None) as found:
        yield found


def reports(source: Source, job: str = "backup") -> JobReports:
    return read_reports(source.settings.state_dir).get(job, JobReports())


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_every_method_reports_and_no_page_is_needed(page: httpx.AsyncClient, source: Source, method: str) -> None:
    answer = await page.request(method, "/ping/backup")
    assert (answer.status_code, answer.text) == (200, "" if method == "HEAD" else "OK")
    found = reports(source)
    assert (found.succeeded is not None, found.code) == (True, 0)


async def test_a_start_a_failure_and_an_exit_code_are_told_apart(page: httpx.AsyncClient, source: Source) -> None:
    for what, code in (("start", None), ("0", 0), ("start", 0), ("fail", None), ("137", 137)):
        assert (await page.post(f"/ping/backup/{what}")).status_code == 200
        assert reports(source).code == code, what
    found = reports(source)
    assert found.started is not None
    assert found.succeeded is not None
    assert found.failed is not None
    assert found.succeeded <= found.started <= found.failed
    assert (await page.post("/ping/shop%20export")).status_code == 200
    assert reports(source, "shop export").succeeded is not None


@pytest.mark.parametrize(
    "path",
    ["/ping/nothing", "/ping/load", "/ping/backup/stop", "/ping/backup/256", "/ping/backup/-1", "/ping/backup/0/0"],
)
async def test_what_nobody_waits_for_is_404_and_keeps_nothing(
    page: httpx.AsyncClient, source: Source, path: str
) -> None:
    assert (await page.post(path)).status_code == 404
    assert reports(source) == JobReports()


async def test_what_comes_along_is_passed_over_and_a_flood_is_refused(page: httpx.AsyncClient, source: Source) -> None:
    assert (await page.post("/ping/backup", content=b"secret" * 100_000)).status_code == 200
    assert b"secret" not in (source.settings.state_dir / FILE).read_bytes()
    assert (await page.post("/ping/backup", content=b"x" * 2_000_000)).status_code == 413


async def test_with_a_token_a_report_needs_it_as_a_header_or_as_the_password_of_the_address(source: Source) -> None:
    async with client(source) as page:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic !"}):
            assert (await page.post("/ping/backup", headers=headers)).status_code == 401
        assert (await page.post("/ping/backup", auth=("monitord", "wrong"))).status_code == 401
        assert (await page.get(f"/ping/backup?token={TOKEN}")).status_code == 401  # an address is logged on its way
        assert reports(source) == JobReports()
        assert (await page.post("/ping/backup", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
        assert (await page.post("/ping/backup", auth=("monitord", TOKEN))).status_code == 200
        assert (await page.post("/ping/backup", auth=(TOKEN, ""))).status_code == 200
        # The password of an address opens nothing else.
        assert (await page.post("/api/check", auth=("monitord", TOKEN))).status_code == 401


async def test_where_others_can_reach_the_page_a_job_is_not_sent_to_the_login(source: Source) -> None:
    async with client(source, host="0.0.0.0") as page:  # noqa: S104 - nothing listens
        answer = await page.get("/ping/backup")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="monitord"')
        assert (await page.get("/ping/backup", auth=("", TOKEN))).status_code == 200


async def test_a_page_elsewhere_cannot_report(page: httpx.AsyncClient, source: Source) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert (await page.get("/ping/backup", headers=headers)).status_code == 403
    assert (await page.get("/ping/backup", headers={"host": "evil.example"})).status_code == 421
    assert reports(source) == JobReports()


async def test_a_report_that_cannot_be_kept_is_not_accepted(page: httpx.AsyncClient, source: Source) -> None:
    for file in source.settings.state_dir.glob(f"{FILE}*"):
        file.unlink()
    answer = await page.post("/ping/backup")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "could not be kept" in answer.json()["error"]
