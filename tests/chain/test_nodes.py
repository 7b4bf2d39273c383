"""Several nodes: the first that may be believed answers, and one that lags, stands still or lies is not it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitord.chain.nodes import Answer, Nodes, Told
from monitord.chain.rpc import NodeError, RpcNode
from monitord.core.solana import SYSTEM
from monitord.testing.servers.solana import ChainFaults, LocalChain

Serve = Callable[[LocalChain], Awaitable[str]]


async def balance(node: RpcNode) -> Told[int]:
    slot, found = await node.accounts([SYSTEM])
    account = found[SYSTEM]
    if account is None:
        raise NodeError("protocol", f"{node.place} has no such wallet")
    return Told(account.lamports, slot)


def several(count: int) -> list[LocalChain]:
    """Nodes of one chain; the wallet's balance on each tells them apart."""
    chains = [LocalChain() for _ in range(count)]
    for number, chain in enumerate(chains):
        chain.put_wallet(SYSTEM, number)
    return chains


async def asked(serve: Serve, chains: list[LocalChain], **how: Any) -> Nodes:
    return Nodes([await serve(chain) for chain in chains], **{"pace": 0.0, "timeout": 60.0, **how})


def troubles(answer: Answer) -> list[str]:
    return [report.trouble.partition(" ")[2] for report in answer.nodes]


async def test_the_first_answers_and_every_one_tells_how_it_stands(serve: Serve) -> None:
    chains = several(2)
    lamports, answer = await (await asked(serve, chains)).ask(balance)
    assert lamports == 0
    assert answer.by == answer.nodes[0].place
    assert troubles(answer) == ["", ""]
    assert answer.slot == answer.nodes[0].slot
    assert [chain.asked for chain in chains] == [["getHealth", "getAccountInfo"], ["getHealth", "getSlot"]]


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"behind": 42}, "says that it is behind by 42 slots"),
        ({"retry_after": "30"}, "says that it is asked too often; it is left alone for 30 s"),
        ({"status": 500}, "answers getHealth with the status 500"),
        ({"lag": 5_000}, "slots behind the others"),
        ({"missing": frozenset({SYSTEM})}, "has no such wallet"),
        ({"is_truncated": True}, "breaks its answer off"),
    ],
)
async def test_of_one_that_cannot_be_believed_the_next_is_asked(
    serve: Serve, faults: dict[str, Any], said: str
) -> None:
    chains = several(2)
    chains[0].faults = ChainFaults(**faults)
    lamports, answer = await (await asked(serve, chains)).ask(balance)
    assert lamports == 1_000_000_000
    assert answer.by == answer.nodes[1].place
    assert said in troubles(answer)[0]
    assert troubles(answer)[1] == ""


async def test_a_node_that_does_not_tell_its_health_is_judged_by_its_slot(serve: Serve) -> None:
    chains = several(1)
    chains[0].faults.unknown = frozenset({"getHealth"})
    assert (await (await asked(serve, chains)).ask(balance))[0] == 0


async def test_one_that_hangs_costs_its_own_deadline_only(serve: Serve) -> None:
    chains = several(2)
    chains[0].faults.is_silent = True
    nodes = await asked(serve, chains)
    nodes._nodes[0]._timeout = 0.05
    lamports, answer = await nodes.ask(balance)
    assert lamports == 1_000_000_000
    assert troubles(answer) == ["did not answer in time", ""]


async def test_the_first_is_asked_again_once_it_is_well(serve: Serve) -> None:
    chains = several(2)
    nodes = await asked(serve, chains)
    chains[0].faults.status = 503
    assert (await nodes.ask(balance))[0] == 1_000_000_000
    chains[0].faults.status = 0
    assert (await nodes.ask(balance))[0] == 0


async def test_where_none_can_be_believed_each_says_why(serve: Serve) -> None:
    chains = several(2)
    chains[0].faults.behind = 900
    chains[1].faults.status = 403
    with pytest.raises(NodeError) as caught:
        await (await asked(serve, chains)).ask(balance)
    assert caught.value.kind == "refused"
    assert caught.value.error.startswith("none of 2 addresses gives an answer that can be used: 127.0.0.1:")
    assert "behind by 900 slots; 127.0.0.1:" in caught.value.error
    assert "planted" not in caught.value.error


async def test_a_single_one_says_it_by_itself(serve: Serve) -> None:
    (chain,) = several(1)
    chain.faults.status = 503
    with pytest.raises(NodeError, match=r"^127\.0\.0\.1:\d+ answers getHealth with the status 503$"):
        await (await asked(serve, [chain])).ask(balance)


async def test_a_slot_that_stands_still_is_not_believed_until_it_moves(serve: Serve) -> None:
    chains = several(2)
    nodes = await asked(serve, chains, still=0.0)
    for chain in chains:
        chain.faults.is_still = True
    assert (await nodes.ask(balance))[0] == 0  # seen once, nobody can tell
    chains[1].first_slot += 1
    lamports, answer = await nodes.ask(balance)
    assert lamports == 1_000_000_000
    assert "stands still: its slot has been 379000000 for" in troubles(answer)[0]
    chains[0].first_slot += 10
    chains[1].first_slot += 10
    assert (await nodes.ask(balance))[0] == 0


async def test_one_of_three_that_claims_to_be_ahead_does_not_make_the_others_lag(serve: Serve) -> None:
    chains = several(3)
    chains[2].faults.lag = -1_000_000
    lamports, answer = await (await asked(serve, chains)).ask(balance)
    assert lamports == 0
    assert troubles(answer)[:2] == ["", ""]


async def test_how_far_the_chain_has_come_is_remembered_of_one_that_fails(serve: Serve) -> None:
    chains = several(2)
    chains[1].faults.lag = 100_000
    nodes = await asked(serve, chains)
    assert (await nodes.ask(balance))[0] == 0
    chains[0].faults.status = 500
    with pytest.raises(NodeError, match="slots behind the others"):
        await nodes.ask(balance)


async def test_an_answer_that_is_older_than_the_one_before_is_not_believed(serve: Serve) -> None:
    chains = several(2)
    nodes = await asked(serve, chains)
    assert (await nodes.ask(balance))[0] == 0
    chains[0].faults.lag = 10_000
    lamports, answer = await nodes.ask(balance)
    assert lamports == 1_000_000_000
    assert "slots older than what it gave before" in troubles(answer)[0]


async def test_what_every_node_doubts_is_so_as_the_first_says(serve: Serve) -> None:
    chains = several(2)

    async def doubtful(node: RpcNode) -> Told[int]:
        told = await balance(node)
        return Told(told.value, told.slot, "there is no such program")

    lamports, answer = await (await asked(serve, chains)).ask(doubtful)
    assert (lamports, answer.by) == (0, answer.nodes[0].place)
    assert troubles(answer) == ["", ""]


async def test_all_are_asked_at_once(serve: Serve) -> None:
    chains = several(4)
    nodes = await asked(serve, chains, pace=0.2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    _, answer = await nodes.ask(balance)
    assert loop.time() - began >= 0.2  # health and accounts of the first, a pace apart
    assert answer.health_ms < 4 * 200
