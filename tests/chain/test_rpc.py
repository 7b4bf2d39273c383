"""One node of the chain: what it says, how often it is asked, and what is wrong with it, without its key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitord.chain.rpc import MOST_READ, NodeError, RpcNode
from monitord.core.channel_account import read
from monitord.core.solana import LOADER, SYSTEM
from monitord.testing.servers.solana import ChainFaults, LocalChain

Serve = Callable[[LocalChain], Awaitable[str]]
PROGRAM = "GnGzNdsQMxMpJfMeqnkGPsvHm8kwaDidiKjNU2dCVZop"
MILO = "AAHd7u22jCMgmbF7ATkiY3BhkifD4MN3Vbsy4eYQGWN5"
CLS = "FZnUPK6eRWSQFEini3Go11JmVEqRNAQZgDP7q1DhyaKo"
LABEL = 1_762_308_000


def node(url: str, timeout: float = 60.0) -> RpcNode:
    return RpcNode(url, pace=0.0, timeout=timeout)


async def trouble(one: RpcNode, ask: Callable[[RpcNode], Awaitable[object]] = RpcNode.slot) -> tuple[str, str]:
    """The kind and what is said after the node's place."""
    with pytest.raises(NodeError) as caught:
        await ask(one)
    assert "planted" not in caught.value.error
    assert caught.value.error.startswith(one.place)
    return caught.value.kind, caught.value.error.removeprefix(f"{one.place} ")


async def test_health_slot_and_accounts_are_those_of_the_chain(serve: Serve) -> None:
    chain = LocalChain(379_000_000)
    chain.put_wallet(SYSTEM, 2.5)
    chain.put_mint(MILO, 5_000)
    address = chain.publish(PROGRAM, MILO, bytes(32), LABEL, b"r" * 32)
    one = node(await serve(chain))
    await one.health()
    assert 379_000_000 <= await one.slot() < 379_000_999
    slot, found = await one.accounts([SYSTEM, address, CLS])
    assert slot >= 379_000_000
    assert found[CLS] is None
    wallet, channel = found[SYSTEM], found[address]
    assert wallet is not None
    assert (wallet.lamports, wallet.owner) == (2_500_000_000, SYSTEM)
    assert channel is not None
    assert (channel.owner, read(channel.data).ring) == (PROGRAM, {LABEL: (b"r" * 32).hex()})
    assert chain.asked == ["getHealth", "getSlot", "getMultipleAccounts"]


async def test_of_a_long_account_only_the_beginning_is_asked_for(serve: Serve) -> None:
    chain = LocalChain()
    chain.deploy(PROGRAM, 377_000_001)
    (where,) = [address for address in chain.accounts if address != PROGRAM]
    _, found = await node(await serve(chain)).accounts([where], 45)
    data = found[where]
    assert data is not None
    assert (len(data.data), data.owner, int.from_bytes(data.data[4:12], "little")) == (45, LOADER, 377_000_001)


async def test_a_node_that_knows_no_request_for_several_is_asked_one_by_one(serve: Serve) -> None:
    chain = LocalChain()
    chain.faults.unknown = frozenset({"getMultipleAccounts"})
    chain.put_wallet(SYSTEM, 1)
    chain.put_wallet(CLS, 2)
    one = node(await serve(chain))
    for _ in range(2):
        found = (await one.accounts([SYSTEM, CLS]))[1]
        assert [account and account.lamports for account in found.values()] == [1_000_000_000, 2_000_000_000]
    assert chain.asked == ["getMultipleAccounts", *["getAccountInfo"] * 4]


async def test_more_accounts_than_one_request_may_name_are_asked_for_in_several(serve: Serve) -> None:
    chain = LocalChain()
    addresses = [chain.publish(PROGRAM, MILO, bytes((n,)) * 32, LABEL, b"r" * 32, bitmap=128) for n in range(120)]
    _, found = await node(await serve(chain)).accounts(addresses)
    assert list(found) == addresses
    assert chain.asked == ["getMultipleAccounts"] * 2


@pytest.mark.parametrize(
    ("faults", "kind", "said"),
    [
        ({"behind": 42}, "refused", "says that it is behind by 42 slots"),
        ({"retry_after": "30"}, "refused", "says that it is asked too often; it is left alone for 30 s"),
        ({"retry_after": ""}, "refused", "says that it is asked too often; it is left alone for 10 s"),
        ({"status": 401}, "auth", "answers 401: the key in its address is not accepted"),
        ({"status": 403}, "auth", "answers 403: the key in its address is not accepted"),
        ({"status": 503}, "refused", "answers getHealth with the status 503"),
        ({"status": 404}, "protocol", "answers getHealth with the status 404"),
        ({"status": 302}, "protocol", "answers getHealth with the status 302"),
        ({"is_truncated": True}, "protocol", "breaks its answer off"),
        ({"is_oversize": True}, "protocol", "answers with more than 2.1 MB"),
        ({"other_id": True}, "protocol", "answers another question than was asked"),
        ({"text": "ok"}, "protocol", "answers getHealth with something that is not JSON-RPC"),
        ({"text": "[" * 100_000}, "protocol", "answers getHealth with something that is not JSON-RPC"),
        ({"text": '{"id": 1}'}, "protocol", "answers getHealth with something that is not JSON-RPC"),
        ({"text": '{"result": "ok", "id": 1}'}, "protocol", "answers another question than was asked"),
        (
            {"text": '{"jsonrpc": "2.0", "id": 1, "error": {"code": 429}}'},
            "refused",
            "says that it is asked too often; it is left alone for 10 s",
        ),
        (
            {"text": '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32099, "message": "planted-key"}}'},
            "protocol",
            "answers with the error -32099 (getHealth)",
        ),
        ({"text": '{"jsonrpc": "2.0", "id": 1, "error": "no"}'}, "protocol", "answers with an error (getHealth)"),
        (
            {"text": '{"jsonrpc": "2.0", "id": 1, "result": "fine"}'},
            "protocol",
            "answers getHealth with something else than ok",
        ),
        ({"unknown": frozenset({"getHealth"})}, "protocol", "does not know the method (getHealth)"),
    ],
)
async def test_what_a_node_has_instead_of_an_answer(serve: Serve, faults: dict[str, Any], kind: str, said: str) -> None:
    chain = LocalChain()
    chain.faults = ChainFaults(**faults)
    assert await trouble(node(await serve(chain)), RpcNode.health) == (kind, said)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("-1", "answers getSlot with no number"),
        ('"379"', "answers getSlot with no number"),
        ("true", "answers getSlot with no number"),
        ("1e400", "answers getSlot with no number"),
        ("null", "answers getSlot with no number"),
    ],
)
async def test_a_slot_is_a_number(serve: Serve, result: str, said: str) -> None:
    chain = LocalChain()
    chain.faults.text = f'{{"jsonrpc": "2.0", "id": 1, "result": {result}}}'
    assert await trouble(node(await serve(chain))) == ("protocol", said)


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        "7",
        '{"data": ["!!", "base64"], "owner": "o", "lamports": 1, "executable": false}',
        '{"data": ["", "base58"], "owner": "o", "lamports": 1, "executable": false}',
        '{"data": "", "owner": "o", "lamports": 1, "executable": false}',
        '{"data": ["", "base64"], "owner": 3, "lamports": 1, "executable": false}',
        '{"data": ["", "base64"], "owner": "o", "lamports": -1, "executable": false}',
        '{"data": ["", "base64"], "owner": "o", "lamports": 1, "executable": "no"}',
    ],
)
async def test_an_account_is_one_or_the_answer_is_wrong(serve: Serve, value: str) -> None:
    chain = LocalChain()
    chain.faults.text = f'{{"jsonrpc": "2.0", "id": 1, "result": {{"context": {{"slot": 1}}, "value": {value}}}}}'
    asked = await trouble(node(await serve(chain)), lambda one: one.accounts([MILO]))
    assert asked == ("protocol", "gives an account that is none")


async def test_an_answer_without_its_slot_or_about_fewer_accounts_is_wrong(serve: Serve) -> None:
    chain = LocalChain()
    one = node(await serve(chain))
    chain.faults.text = '{"jsonrpc": "2.0", "id": 1, "result": {"value": null}}'
    said = "answers getAccountInfo without the slot that it is of"
    assert await trouble(one, lambda one: one.accounts([MILO])) == ("protocol", said)
    chain.faults.text = '{"jsonrpc": "2.0", "id": 2, "result": {"context": {"slot": 1}, "value": [null]}}'
    said = "answers getMultipleAccounts with other accounts than were asked for"
    assert await trouble(one, lambda one: one.accounts([MILO, CLS])) == ("protocol", said)


async def test_a_node_that_says_nothing_is_given_up_at_its_deadline(serve: Serve) -> None:
    chain = LocalChain()
    chain.faults.is_silent = True
    assert await trouble(node(await serve(chain), timeout=0.05)) == ("timeout", "did not answer in time")


async def test_a_node_that_is_not_there_refuses(serve: Serve) -> None:
    one = node("http://127.0.0.1:1/v2/planted-key")
    assert await trouble(one) == ("refused", "refuses the connection: nothing listens there")


async def test_requests_are_so_far_apart_as_they_must_be_whoever_asks() -> None:
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(loop.time())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(noted, "127.0.0.1", 0) as server:
        one = RpcNode(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", pace=0.03)
        await asyncio.gather(*(one.slot() for _ in range(4)), return_exceptions=True)
    # The begin of each request is set apart; what the connection takes may lie before it is accepted.
    assert len(times) == 4
    assert times[-1] - times[0] >= 0.075


async def test_a_node_that_was_asked_too_often_is_left_alone_for_as_long_as_it_says(serve: Serve) -> None:
    chain = LocalChain()
    chain.faults.retry_after = "3600"
    one = node(await serve(chain))
    await trouble(one)
    chain.faults.retry_after = None
    kind, said = await trouble(one)
    assert (kind, said[:50]) == ("refused", "was asked too often; it is left alone for 59 min 5"[:50]) or "1 h" in said
    assert chain.asked == ["getSlot"]


def test_an_answer_may_be_as_long_as_a_hundred_accounts() -> None:
    assert MOST_READ > 100 * 9676 * 4 / 3
