"""What the chain says is published, beside what the database says: over a local chain and a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from monitord.config.loader import load, standing_orders
from monitord.core.channel_account import channel_address, streamer_key
from monitord.core.history.model import History
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.solana import SYSTEM, decode, encode
from monitord.core.subjects.chain_facts import ChainSettings, ChannelFacts, is_kept, published, standing, uncompared
from monitord.keccak import load_keccak256
from monitord.postgres.session import Session
from monitord.probes import Probes
from monitord.probes.base import Request, take
from monitord.probes.chain import ChainProbe
from monitord.testing.servers.solana import LocalChain
from tests.chain.conftest import serve

__all__ = ["serve"]

NOW = 1_762_315_000.0
LABEL = 1_762_308_000
ROOT = "6fce67da102af54283b0deb46e6d1880fb7670e6bbff240c149234f6333ee3b0"
OTHER = "0" * 63 + "1"
PATIENCE = 60.0
SETTINGS = ChainSettings()
WALLET = "nick6zJc6HpW3kfBm4xS2dmbuVRyb5F3AnUvj5ymzR5"
Serve = Callable[[LocalChain], Awaitable[str]]
Make = Callable[..., Awaitable[ChainProbe]]


def healthy() -> LocalChain:
    chain = LocalChain()
    chain.deploy(SETTINGS.program, 377_000_001)
    for mint in SETTINGS.tokens.values():
        chain.put_mint(mint, 5_000_000_000_000)
    return chain


def publish(chain: LocalChain, channel: str, epoch: int = LABEL, root: str = ROOT, **how: Any) -> str:
    key = streamer_key(channel, load_keccak256(), how.pop("prefix", "channel:"))
    return chain.publish(SETTINGS.program, SETTINGS.tokens["MILO"], key, epoch, bytes.fromhex(root), **how)


@pytest.fixture
async def make(serve: Serve) -> AsyncIterator[Make]:
    """Makes a probe that asks as fast as it may, of these nodes, and of the database of this DSN."""
    probes: list[ChainProbe] = []
    sessions: list[Session] = []

    async def made(*chains: LocalChain, dsn: str = "", also: tuple[str, ...] = (), **how: Any) -> ChainProbe:
        urls = tuple([await serve(chain) for chain in chains])
        if dsn:
            sessions.append(Session(dsn))
        probe = ChainProbe(
            ChainSettings(rpc_urls=urls, **how),
            StandingOrders(),
            sessions[-1] if dsn else None,
            PATIENCE,
            also=also,
            pace=0.0,
        )
        probes.append(probe)
        return probe

    yield made
    for probe in probes:
        await probe.close()
    for session in sessions:
        await session.close()


async def look(probe: ChainProbe, **how: Any) -> Reading:
    reading = await take(probe, Request(how.pop("now", NOW), PATIENCE, **how))
    assert "planted" not in repr(reading)
    return reading


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=30)
    yield connection
    await connection.close(timeout=5)


async def mark(
    admin: Any, *channels: str, epoch: int = LABEL, group: str = "MILO", root: str = ROOT, **how: Any
) -> None:
    """Marks seals as published, with their trees."""
    for channel in channels:
        await admin.execute(
            "INSERT INTO sealed_epochs (epoch, channel, root, token_group, published, published_at) "
            "VALUES ($1, $2, $3, $4, $5, to_timestamp($6))",
            epoch, channel, how.get("sealed", root), group, how.get("flag", 1), how.get("at"),
        )  # fmt: skip
        if how.get("tree", True):
            await admin.execute(
                "INSERT INTO l2_tree_cache (epoch, channel, root, participant_count) VALUES ($1, $2, $3, 628) "
                "ON CONFLICT DO NOTHING",
                epoch, channel, root,
            )  # fmt: skip


def states(reading: Reading) -> Mapping[str, str]:
    return {one.name: one.state for one in published(reading)}


async def test_without_a_database_the_rest_is_told_and_why_nothing_is_compared(make: Make) -> None:
    chain = healthy()
    chain.put_wallet(WALLET, 0.25)
    reading = await look(await make(chain, wallets={WALLET: 1.0, SYSTEM: 1.0}))
    assert reading.failure is None
    assert reading.word("chain_program") == "executable"
    assert reading.number("chain_deployed") == 377_000_001
    assert reading.word("chain_authority") == encode(bytes(range(32)))
    assert reading.values("chain_supply", "group") == {"MILO": 5000.0, "CLS": 5000.0}
    # Of an address that nobody has sent anything to there is no account, and its balance is nothing.
    assert reading.values("chain_balance", "wallet") == {WALLET: 0.25, SYSTEM: 0.0}
    assert uncompared(reading) == "Postgres is not watched, and so nothing is known of what is published"
    assert not is_kept(reading)
    assert chain.asked == ["getHealth", "getMultipleAccounts"]


@pytest.mark.servers
async def test_each_channel_stands_on_chain_as_its_account_says(make: Make, fleet_database: str, admin: Any) -> None:
    chain = healthy()
    await mark(admin, "behind", "different", "missing", "newer", "old", "right", "system", "twitch")
    await mark(admin, "right", epoch=LABEL - 3600, root=OTHER)
    publish(chain, "right")
    publish(chain, "old", bitmap=128)
    publish(chain, "different", root=OTHER)
    publish(chain, "behind", LABEL - 3600)
    publish(chain, "newer", LABEL + 3600)
    publish(chain, "twitch", prefix="twitch:")
    chain.put(publish(chain, "system"), b"", SYSTEM)
    reading = await look(await make(chain, dsn=fleet_database, channels=20))
    assert uncompared(reading) is None
    assert states(reading) == {
        "MILO/behind": "BEHIND",
        "MILO/different": "DIFFERENT",
        "MILO/missing": "MISSING",
        "MILO/newer": "SUPERSEDED",
        "MILO/old": "OK",
        "MILO/right": "OK",
        "MILO/system": "MISSING",
        "MILO/twitch": "MISSING",
    }
    assert [one.channel for one in published(reading) if one.is_elsewhere] == ["twitch"]
    # A request a second is allowed, and one reading must be able to give all of it.
    assert chain.asked == ["getHealth", "getMultipleAccounts"]


@pytest.mark.servers
async def test_the_root_is_the_trees_and_without_a_tree_the_seals(make: Make, fleet_database: str, admin: Any) -> None:
    chain = healthy()
    await mark(admin, "both", root=ROOT, sealed=OTHER)
    await mark(admin, "untreed", sealed=f"0x{ROOT.upper()}", tree=False)
    publish(chain, "both")
    publish(chain, "untreed")
    probe = await make(chain, dsn=fleet_database)
    assert states(await look(probe)) == {"MILO/both": "OK", "MILO/untreed": "OK"}
    await admin.execute("DROP TABLE l2_tree_cache")
    assert states(await look(probe, awaited=frozenset({"chain"}))) == {"MILO/both": "DIFFERENT", "MILO/untreed": "OK"}


@pytest.mark.servers
async def test_only_what_is_marked_and_has_had_time_to_arrive_is_waited_for(
    make: Make, fleet_database: str, admin: Any
) -> None:
    chain = healthy()
    await mark(admin, "old", epoch=LABEL - 3600)
    await mark(admin, "old", at=NOW - 60)
    await mark(admin, "unmarked", flag=0)
    await mark(admin, "unmarked", epoch=LABEL - 3600, flag=None)
    await mark(admin, "future", epoch=9_999_999_999)
    await mark(admin, "lower", group="milo")
    await mark(admin, "foreign", group="OTHER")
    publish(chain, "old", LABEL - 3600)
    publish(chain, "lower")
    reading = await look(await make(chain, dsn=fleet_database))
    assert states(reading) == {"MILO/old": "OK", "MILO/lower": "OK"}


@pytest.mark.servers
async def test_channels_take_turns_and_those_that_were_wrong_are_asked_again(
    make: Make, fleet_database: str, admin: Any
) -> None:
    chain = healthy()
    await mark(admin, *"abcdef")
    for channel in "acdef":
        publish(chain, channel)
    probe = await make(chain, dsn=fleet_database, channels=2, accounts={"f": publish(chain, "f")})
    asked = [sorted(states(await look(probe, awaited=frozenset({"MILO"})))) for _ in range(3)]
    assert asked == [
        ["MILO/a", "MILO/b", "MILO/f"],
        ["MILO/b", "MILO/c", "MILO/d", "MILO/f"],
        ["MILO/b", "MILO/e", "MILO/f"],
    ]
    publish(chain, "b")
    await look(probe, awaited=frozenset({"MILO"}))
    assert "MILO/b" not in states(await look(probe, awaited=frozenset({"MILO"})))


@pytest.mark.servers
async def test_the_account_of_a_test_case_is_read_however_long_ago_it_was_published(
    make: Make, fleet_database: str, admin: Any
) -> None:
    chain = healthy()
    await mark(admin, "other")
    await mark(admin, "marlon", epoch=LABEL - 26 * 3600)
    publish(chain, "other")
    publish(chain, "marlon", epoch=LABEL - 26 * 3600)
    reading = await look(await make(chain, dsn=fleet_database, also=("marlon",)))
    assert states(reading) == {"MILO/other": "OK"}
    history = History(readings={"chain": reading}, taken_at={"chain": NOW}, at=NOW)
    assert standing(history, StandingOrders(), "marlon", LABEL - 26 * 3600, ROOT).state == "OK"
    of_no_time = History(readings={"chain": reading}, at=NOW)  # when it was read is not known, nor what it shows
    assert standing(of_no_time, StandingOrders(), "marlon", LABEL - 26 * 3600, ROOT).state == "UNKNOWN"
    assert standing(history, StandingOrders(), "marlon", LABEL - 27 * 3600, ROOT).state == "SUPERSEDED"
    assert chain.asked == ["getHealth", "getMultipleAccounts"]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("ruin", "why"),
    [
        ("DROP TABLE sealed_epochs", "there is no table sealed_epochs in this database"),
        ("SELECT 1", "nothing was marked as published in the last 25 labels"),
        ("ALTER TABLE sealed_epochs DROP COLUMN published", "the database does not say what is published: "),
    ],
)
async def test_what_cannot_be_compared_says_why(
    make: Make, fleet_database: str, admin: Any, ruin: str, why: str
) -> None:
    await admin.execute(ruin)
    reading = await look(await make(healthy(), dsn=fleet_database))
    assert reading.failure is None
    assert (uncompared(reading) or "").startswith(why)
    assert reading.word("chain_program") == "executable"


async def test_a_database_that_is_away_costs_the_comparison_only(make: Make) -> None:
    reading = await look(await make(healthy(), dsn="postgresql://127.0.0.1:1/fleet"))
    assert "the database does not say what is published" in (uncompared(reading) or "")
    assert reading.number("chain_slot") is not None


async def test_in_between_what_was_found_last_is_told_and_the_chain_is_not_asked(make: Make) -> None:
    chain = healthy()
    probe = await make(chain)
    first = await look(probe)
    asked = list(chain.asked)
    kept = await look(probe, now=NOW + 30)
    assert is_kept(kept)
    assert kept.samples[: len(first.samples)] == first.samples
    assert chain.asked == asked
    assert not is_kept(await look(probe, now=NOW + 35, awaited=frozenset({"chain"})))


async def test_it_asks_again_once_it_is_due_and_at_once_after_a_failure(make: Make) -> None:
    chain = healthy()
    often = await make(chain, every=timedelta(microseconds=1))
    assert not is_kept(await look(often))
    assert not is_kept(await look(often))
    chain.faults.status = 503
    probe = await make(chain)
    assert (await look(probe)).failure is not None
    chain.faults.status = 0
    assert (await look(probe)).failure is None


async def test_what_takes_longer_than_a_reading_is_told_by_a_later_one(make: Make) -> None:
    chain = healthy()
    probe = await make(chain)
    chain.faults.is_silent = True
    measured = await probe.measure(Request(NOW, 0.05))
    assert [(gap.subject, gap.kind) for gap in measured.gaps] == [("chain", "timeout")]


async def lies(chain: LocalChain, what: str) -> None:
    """Gives another account in the place of one that is asked for."""
    mint = SETTINGS.tokens["MILO"]
    (data,) = [a for a in chain.accounts if a not in (SETTINGS.program, *SETTINGS.tokens.values(), WALLET)]
    match what:
        case "another program":
            chain.faults.swaps = {SETTINGS.program: data}
        case "another deployment":
            chain.faults.swaps = {data: mint}
        case "another mint":
            chain.faults.swaps = {mint: SETTINGS.program}
        case "an owner":
            chain.faults.owners = {mint: SYSTEM}


@pytest.mark.parametrize("what", ["another program", "another deployment", "another mint", "an owner"])
async def test_a_node_that_gives_another_account_is_not_believed(make: Make, what: str) -> None:
    true, liar = healthy(), healthy()
    await lies(liar, what)
    reading = await look(await make(liar, true))
    assert reading.failure is None
    assert reading.number("chain_deployed") == 377_000_001
    troubles = reading.values("chain_trouble", "node")
    assert len(troubles) == 1
    assert "gives another account than" in str(next(iter(troubles.values())))
    alone = await look(await make(liar))
    assert alone.failure is not None
    assert alone.failure.kind == "protocol"


@pytest.mark.servers
async def test_a_channels_account_that_is_anothers_is_a_lie(make: Make, fleet_database: str, admin: Any) -> None:
    true = healthy()
    await mark(admin, "right")
    liar = true.node()
    liar.faults.swaps = {publish(true, "right"): publish(true, "another")}
    reading = await look(await make(liar, true, dsn=fleet_database))
    assert states(reading) == {"MILO/right": "OK"}
    assert "gives another account than that of MILO/right" in str(reading.values("chain_trouble", "node").values())


async def test_what_every_node_says_is_not_there_is_not_there(make: Make) -> None:
    true = healthy()
    blind = true.node()
    blind.faults.missing = frozenset({SETTINGS.program})
    assert (await look(await make(blind, true))).word("chain_program") == "executable"
    reading = await look(await make(blind, blind.node()))
    assert reading.word("chain_program") == "executable"
    del true.accounts[SETTINGS.program]
    reading = await look(await make(blind, true))
    assert (reading.word("chain_program"), reading.number("chain_deployed")) == ("missing", None)


async def test_a_mint_that_is_nowhere_is_a_gap_of_its_group(make: Make) -> None:
    chain = healthy()
    del chain.accounts[SETTINGS.tokens["CLS"]]
    reading = await look(await make(chain))
    assert [(gap.subject, gap.kind) for gap in reading.gaps] == [("CLS", "missing")]
    assert reading.values("chain_supply", "group") == {"MILO": 5000.0, "CLS": None}


@pytest.mark.servers
async def test_an_account_that_is_set_and_is_no_channels_is_a_gap(make: Make, fleet_database: str, admin: Any) -> None:
    chain = healthy()
    await mark(admin, "right", "wrong")
    publish(chain, "right")
    reading = await look(await make(chain, dsn=fleet_database, accounts={"MILO/wrong": SETTINGS.tokens["CLS"]}))
    assert states(reading) == {"MILO/right": "OK"}
    assert [gap.subject for gap in reading.gaps] == ["MILO/wrong"]


async def test_closing_ends_what_runs(make: Make) -> None:
    chain = healthy()
    probe = await make(chain)
    chain.faults.is_silent = True
    await probe.measure(Request(NOW, 0.05))
    await probe.close()
    with suppress(asyncio.CancelledError):
        assert all(task.get_name() != "chain" for task in asyncio.all_tasks())


def test_unless_it_is_asked_for_there_is_no_probe(tmp_path: Any) -> None:
    settings = load({"MONITORD_PM2__HOME": "", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}, tmp_path)
    made = {probe.name for probe in Probes(settings, standing_orders(settings), frozenset).all}
    assert "postgres" in made
    assert "chain" not in made


def test_its_addresses_are_secret_and_their_hosts_are_not(tmp_path: Any) -> None:
    url = "https://rpc.example.com/v2/planted-key-5f0c81d2?api-key=planted-too"
    settings = load({"MONITORD_CHAIN__RPC_URLS": f'["{url}"]', "MONITORD_PM2__HOME": ""}, tmp_path)
    orders = standing_orders(settings)
    assert "chain" in orders.probes
    assert "planted" not in repr(orders)
    assert {"planted-key-5f0c81d2", "planted-too"} <= settings.secrets()
    assert not any(secret in "rpc.example.com:443" for secret in settings.secrets())
    (probe,) = [probe for probe in Probes(settings, orders, frozenset).all if probe.name == "chain"]
    assert isinstance(probe, ChainProbe)


def test_where_a_channels_account_is_follows_from_its_mint_and_name() -> None:
    one = ChannelFacts("MILO", "marlon", LABEL, ROOT, "", None, {}, is_elsewhere=False)
    assert one.state == "MISSING"
    key = streamer_key("marlon", load_keccak256())
    addresses = {channel_address(SETTINGS.program, mint, key)[0] for mint in SETTINGS.tokens.values()}
    assert len(addresses) == 2
    assert all(decode(encode(address)) == address for address in addresses)
