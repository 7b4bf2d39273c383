"""`monitord verify` and `monitord proof` as somebody types them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from monitord.core.channel_account import streamer_key
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.keccak import load_keccak256
from monitord.testing.servers.solana import LocalChain
from tests.chain.conftest import serve
from tests.postgres.test_seals import EPOCH, OTHER_ROOT, root_of, run, sealed, second_keccak256, users

from .program import monitord

__all__ = ["serve"]


async def ask(directory: Path, dsn: str, *arguments: str, chain: str = "") -> tuple[int, str, str]:
    settings = {"MONITORD_STATE_DIR": str(directory / "state"), "MONITORD_POSTGRES__DSN": dsn}
    settings |= {"MONITORD_CHAIN__RPC_URLS": json.dumps([chain])} if chain else {}
    done = await asyncio.to_thread(monitord, *arguments, directory=directory, settings=settings)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def leads_to_root(proof: dict[str, Any], user: str) -> bool:
    """A verification of a proof of its own, by the rules of the chain's program."""
    at = second_keccak256(
        bytes.fromhex(user) + proof["channel"].encode() + proof["epoch"].to_bytes(8, "little", signed=False)
    )
    assert at.hex() == proof["leaf"]
    for sibling in map(bytes.fromhex, proof["proof"]):
        at = second_keccak256(at + sibling if at <= sibling else sibling + at)
    return bool(at.hex() == proof["root"])


async def test_every_seal_has_its_result_and_the_exit_code_is_that_of_the_worst(
    fleet_database: str, tmp_path: Path
) -> None:
    epoch = int(time.time()) // 3600 * 3600 - 7200
    await sealed(fleet_database, "good", root_of("good", users(5), epoch), users(5), epoch=epoch)
    code, out, err = await ask(tmp_path, fleet_database, "verify")
    assert (code, err) == (0, "")
    assert "MATCH" in out
    assert "1 seal: 1 MATCH" in out
    await sealed(fleet_database, "kept-nothing", OTHER_ROOT, [], epoch=epoch)
    assert (await ask(tmp_path, fleet_database, "verify"))[0] == 3
    await sealed(fleet_database, "rewritten", OTHER_ROOT, users(2), epoch=epoch, group="CLS")
    code, out, err = await ask(tmp_path, fleet_database, "verify", "--format", "json")
    assert (code, err) == (2, "")
    found = json.loads(out)
    assert {one["channel"]: one["result"] for one in found["seals"]} == {
        "good": "MATCH", "kept-nothing": "UNVERIFIABLE", "rewritten": "MISMATCH",
    }  # fmt: skip
    assert found["counts"] == {"MATCH": 1, "MISMATCH": 1, "UNVERIFIABLE": 1}
    assert all(set(one) >= {"group", "channel", "epoch", "result"} for one in found["seals"])
    code, out, _ = await ask(tmp_path, fleet_database, "verify", "--group", "milo", "--channel", "good")
    assert (code, "1 seal: 1 MATCH" in out) == (0, True)
    code, out, _ = await ask(tmp_path, fleet_database, "verify", "--epoch", str(epoch), "--sample", "2")
    assert "2 seals: " in out
    assert not any(user in out for user in users(5))


async def test_a_proof_leads_from_the_participant_to_the_stored_root(fleet_database: str, tmp_path: Path) -> None:
    hashes = users(628)
    await sealed(fleet_database, "marlon", root_of("marlon", hashes), hashes)
    for index in (0, 627):
        asked = ("proof", "--channel", "marlon", "--epoch", f"{EPOCH}", "--user-hash", hashes[index].upper())
        code, out, err = await ask(tmp_path, fleet_database, *asked, "--format", "json")
        assert (code, err) == (0, "")
        proof = json.loads(out)
        assert leads_to_root(proof, hashes[index])
        assert (proof["index"], proof["participants"], len(proof["proof"])) == (index, 628, 10)
        assert (proof["sealed"], proof["tree"], proof["chain"]) == (True, None, None)
        assert proof["root"] == root_of("marlon", hashes)
    await run(fleet_database, f"INSERT INTO l2_tree_cache VALUES ({EPOCH}, 'marlon', '{OTHER_ROOT}', '', 628)")  # noqa: S608
    code, out, _ = await ask(tmp_path, fleet_database, *asked)
    assert code == 2
    assert "Tree cache   has another root" in out
    assert "CRITICAL" in out


async def test_a_proof_of_what_is_not_there_is_exit_3_with_a_sentence(fleet_database: str, tmp_path: Path) -> None:
    await sealed(fleet_database, "marlon", root_of("marlon", users(2)), users(2))
    nobody = hashlib.sha256(b"nobody").hexdigest()
    for channel, epoch, user in (("marlon", EPOCH, nobody), ("marlon", EPOCH + 3600, users(1)[0])):
        code, out, err = await ask(
            tmp_path, fleet_database, "proof", "--channel", channel, "--epoch", f"{epoch}", "--user-hash", user
        )
        assert (code, out) == (3, "")
        assert err.startswith("monitord proof: ")
        assert user not in err


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        (("verify", "--since", "soon"), "--since: "),
        (("verify", "--sample", "0"), "--sample: it must be at least 1\n"),
        (("verify", "--epoch", "-5"), "--epoch: a label is a number of seconds since 1970\n"),
        (("proof", "--channel", "a", "--epoch", "0", "--user-hash", "abc"), "--user-hash: it must be 64 hex digits\n"),
        (("verify",), "monitord verify: MONITORD_POSTGRES__DSN (or DATABASE_URL) is not set\n"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...], mistake: str) -> None:
    done = monitord(*arguments, directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(mistake)


async def test_a_database_that_is_away_or_without_seals_is_exit_3(empty_database: str, tmp_path: Path) -> None:
    code, out, err = await ask(tmp_path, empty_database, "verify")
    assert (code, out) == (3, "")
    assert err == "monitord verify: there is no table sealed_epochs, or no sealed_participants, in this database\n"
    code, _, err = await ask(tmp_path, "postgresql://127.0.0.1:1/none", "verify")
    assert code == 3
    assert "refused the connection" in err


@pytest.mark.parametrize(
    ("epoch", "root", "flag", "chain", "state", "code"),
    [
        (EPOCH, None, 1, True, "OK", 0),
        (EPOCH, "0" * 63 + "1", 1, False, "DIFFERENT", 2),
        (EPOCH + 3600, None, 1, None, "SUPERSEDED", 0),
        (EPOCH - 3600, None, 1, False, "BEHIND", 2),
        (EPOCH - 3600, None, 0, None, "BEHIND", 0),
        (None, None, 1, False, "MISSING", 2),
    ],
)
async def test_a_proof_says_how_its_root_stands_on_chain(
    fleet_database: str,
    tmp_path: Path,
    serve: Callable[[LocalChain], Awaitable[str]],
    epoch: int | None,
    root: str | None,
    flag: int,
    chain: bool | None,
    state: str,
    code: int,
) -> None:
    hashes, own, node = users(5), ChainSettings(), LocalChain()
    await sealed(fleet_database, "fanfan", root_of("fanfan", hashes), hashes)
    await run(fleet_database, "UPDATE sealed_epochs SET published = 1" if flag else "SELECT 1")
    if epoch is not None:
        key = streamer_key("fanfan", load_keccak256())
        node.publish(own.program, own.tokens["MILO"], key, epoch, bytes.fromhex(root or root_of("fanfan", hashes)))
    url = await serve(node)
    asked = ("proof", "--channel", "fanfan", "--epoch", f"{EPOCH}", "--user-hash", hashes[2])
    found, out, err = await ask(tmp_path, fleet_database, *asked, "--format", "json", chain=url)
    assert (found, err) == (code, "")
    proof = json.loads(out)
    assert (proof["chain"], proof["chain_state"]) == (chain, state)
    assert node.asked == ["getHealth", "getAccountInfo"]


async def test_a_proof_is_one_where_the_chain_is_not_reached(fleet_database: str, tmp_path: Path) -> None:
    hashes = users(5)
    await sealed(fleet_database, "fanfan", root_of("fanfan", hashes), hashes)
    asked = ("proof", "--channel", "fanfan", "--epoch", f"{EPOCH}", "--user-hash", hashes[2])
    code, out, err = await ask(tmp_path, fleet_database, *asked, chain="http://127.0.0.1:1/planted-key-5f0c81d2")
    assert code == 0
    assert err.startswith("monitord proof: the chain was not asked: 127.0.0.1:1 refuses the connection")
    assert "unknown: it was not reached" in out
    assert "planted" not in out + err
