"""A chain of one's own: a server that answers as Solana's JSON-RPC does, its faults included, and keeps accounts.

`python -m monitord.testing.servers.solana PORT` runs one by itself. What a transaction does on the real chain is one
method here, `publishRoot`, which needs no signature.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from monitord.core.channel_account import SLOTS, ChannelAccount, RingSlot, channel_address, read, written
from monitord.core.solana import LOADER, SYSTEM, TOKENS, decode, derived, encode
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.testing.servers.base import PortServer

SLOT_SECONDS: Final = 0.4
# The wallet of whoever publishes, where a chain runs by itself.
WALLET: Final = "nick6zJc6HpW3kfBm4xS2dmbuVRyb5F3AnUvj5ymzR5"

_SUPPLY, _BALANCE = 1_000_000_000_000_000, 2.5
_SOL: Final = 1_000_000_000


@dataclass
class ChainFaults:
    """What a node can be told to do. `swaps`: accounts in whose place it gives another's."""

    behind: int = 0
    lag: int = 0
    is_still: bool = False
    retry_after: str | None = None
    status: int = 0
    is_truncated: bool = False
    is_oversize: bool = False
    is_silent: bool = False
    other_id: bool = False
    text: str = ""
    unknown: frozenset[str] = frozenset()
    swaps: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


class LocalChain:
    """The accounts and the slot of a chain, and a node that tells of them. `asked` are the methods, in order."""

    def __init__(self, first_slot: int = 379_000_000, accounts: dict[str, dict[str, Any]] | None = None) -> None:
        """`accounts` are those of another node of the same chain."""
        self.accounts = {} if accounts is None else accounts
        self.faults = ChainFaults()
        self.asked: list[str] = []
        self.first_slot = first_slot
        self._began = time.monotonic()

    @property
    def slot(self) -> int:
        passed = 0 if self.faults.is_still else int((time.monotonic() - self._began) / SLOT_SECONDS)
        return self.first_slot + passed - self.faults.lag

    def node(self) -> LocalChain:
        return LocalChain(self.slot, self.accounts)

    def put(self, address: str, data: bytes, owner: str, *, lamports: int = 1, executable: bool = False) -> None:
        self.accounts[address] = {
            "data": data,
            "owner": owner,
            "lamports": lamports,
            "executable": executable,
            "rentEpoch": 2**64 - 1,
        }

    def put_wallet(self, address: str, sol: float) -> None:
        self.put(address, b"", SYSTEM, lamports=round(sol * _SOL))

    def put_mint(self, address: str, supply: int) -> None:
        data = bytes(36) + supply.to_bytes(8, "little") + bytes((9, 1)) + bytes(36)
        self.put(address, data, TOKENS[1])

    def deploy(self, program: str, slot: int) -> None:
        where = encode(derived((decode(program),), decode(LOADER))[0])
        self.put(program, (2).to_bytes(4, "little") + decode(where), LOADER, executable=True)
        authority, code = b"\1" + bytes(range(32)), b"\x7fELF" + bytes(4096)
        self.put(where, (3).to_bytes(4, "little") + slot.to_bytes(8, "little") + authority + code, LOADER)

    def publish(self, program: str, mint: str, streamer: bytes, epoch: int, root: bytes, bitmap: int = 1024) -> str:
        where, bump = channel_address(program, mint, streamer)
        address = encode(where)
        there = self.accounts.get(address)
        empty = (RingSlot(0, bytes(32), 0),) * SLOTS
        account = read(there["data"]) if there else ChannelAccount(1, bump, decode(mint), streamer, 0, empty, bitmap)
        slots = list(account.slots)
        slots[epoch % SLOTS] = RingSlot(epoch, root, 0)
        account = replace(account, latest=max(account.latest, epoch), slots=tuple(slots))
        self.put(address, written(account), program)
        return address

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            await self._answer(json.loads(await reader.readexactly(length)), writer)
        with suppress(OSError):
            writer.close()

    async def _answer(self, question: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        faults = self.faults
        self.asked.append(question["method"])
        if faults.is_silent:
            await asyncio.Event().wait()
        if faults.retry_after is not None:
            head = f"Retry-After: {faults.retry_after}" if faults.retry_after else "Server: local"
            await _send(writer, 429, b"Too many requests for a specific RPC call", head)
        elif faults.status:
            await _send(writer, faults.status, b"<html>no</html>")
        elif faults.text:
            await _send(writer, 200, faults.text.encode())
        else:
            envelope = {"jsonrpc": "2.0", **self._result(question), "id": question["id"] + int(faults.other_id)}
            body = json.dumps(envelope).encode() + b" " * (4 * 1024 * 1024 if faults.is_oversize else 0)
            await _send(writer, 200, body, is_truncated=faults.is_truncated)

    def _result(self, question: Mapping[str, Any]) -> dict[str, object]:
        method, params = question["method"], question.get("params") or []
        if method in self.faults.unknown:
            return {"error": {"code": -32601, "message": "Method not found"}}
        answers: dict[str, Callable[..., dict[str, object]]] = {
            "getHealth": self._health,
            "getSlot": lambda *_: {"result": self.slot},
            "getAccountInfo": lambda address, how: self._valued(self._shown(address, how)),
            "getMultipleAccounts": lambda some, how: self._valued([self._shown(one, how) for one in some]),
            "getBalance": lambda address, *_: self._valued(self.accounts.get(address, {}).get("lamports", 0)),
            "getTokenSupply": lambda mint, *_: self._valued(self._supply(mint)),
            "publishRoot": self._published,
        }
        if method not in answers:
            return {"error": {"code": -32601, "message": "Method not found"}}
        try:
            return answers[method](*params)
        except (TypeError, ValueError, KeyError) as error:
            return {"error": {"code": -32602, "message": f"Invalid params: {error}"}}

    def _health(self) -> dict[str, object]:
        if not self.faults.behind:
            return {"result": "ok"}
        message, data = f"Node is behind by {self.faults.behind} slots", {"numSlotsBehind": self.faults.behind}
        return {"error": {"code": -32005, "message": message, "data": data}}

    def _valued(self, value: object) -> dict[str, object]:
        return {"result": {"context": {"apiVersion": "2.3.13", "slot": self.slot}, "value": value}}

    def _shown(self, address: str, how: Mapping[str, Any]) -> dict[str, object] | None:
        decode(address)
        account = self.accounts.get(self.faults.swaps.get(address, address))
        if account is None or address in self.faults.missing:
            return None
        data, cut = account["data"], how.get("dataSlice")
        shown = data if cut is None else data[cut["offset"] : cut["offset"] + cut["length"]]
        owner = self.faults.owners.get(address, account["owner"])
        fields = {"data": [base64.b64encode(shown).decode(), "base64"], "owner": owner, "space": len(data)}
        return {**account, **fields}

    def _supply(self, mint: str) -> dict[str, object]:
        data = self.accounts[mint]["data"]
        amount, decimals = int.from_bytes(data[36:44], "little"), data[44]
        shown = amount / 10**decimals
        return {"amount": str(amount), "decimals": decimals, "uiAmount": shown, "uiAmountString": f"{shown:g}"}

    def _published(self, program: str, mint: str, streamer: str, epoch: int, root: str) -> dict[str, object]:
        return {"result": self.publish(program, mint, bytes.fromhex(streamer), epoch, bytes.fromhex(root))}


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, head: str = "", *, is_truncated: bool = False
) -> None:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *([head] if head else [])]
    writer.write("\r\n".join((*lines, "", "")).encode() + (body[: len(body) // 2] if is_truncated else body))
    await writer.drain()


class SolanaServer(PortServer):
    """The local chain as a process of its own, on a free TCP port of 127.0.0.1. It keeps nothing on disk."""

    title = "the local chain"
    folder = "solana"
    start_seconds = 30.0
    port_taken = "address already in use"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        await self._start(self._spawn)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", __name__, str(self.port)]
        from monitord.testing.sandbox import package_root

        env = {"PYTHONPATH": str(package_root())}
        return self._sandbox.spawn(command, log=self.directory / "log", cwd=self.directory, env=env)

    async def _ask(self) -> None:
        async with self._connected():
            pass


async def _main(port: int) -> None:
    chain, own = LocalChain(), ChainSettings()
    chain.deploy(own.program, chain.slot - 1_000_000)
    for mint in own.tokens.values():
        chain.put_mint(mint, _SUPPLY)
    chain.put_wallet(WALLET, _BALANCE)
    server = await asyncio.start_server(chain.serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
