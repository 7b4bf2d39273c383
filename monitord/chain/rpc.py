"""One node of Solana's JSON-RPC: what is asked of it, how often, and what is wrong where no answer comes."""

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import h11

from monitord import __version__
from monitord.connections import connected, explained, target_of
from monitord.core import humanize
from monitord.core.model import Kind
from monitord.failures import FailureError
from monitord.http_exchange import HttpAnswer, exchange

MOST_READ: Final = 2 * 1024 * 1024
# So long a node that is asked too often is left alone where it does not say for how long, and at most.
BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 10.0, 3600.0
PACE_SECONDS: Final = 1.0
REQUEST_SECONDS: Final = 3.0
# What a node may be asked in one request.
MOST_ACCOUNTS: Final = 100
NO_SUCH_METHOD: Final = -32601
_BEHIND: Final = -32005
_TOO_OFTEN: Final = 429
_CODES: Final = {
    NO_SUCH_METHOD: "does not know the method",
    -32602: "finds the question wrong",
    -32603: "failed inside",
    -32016: "has not come to the slot that was asked for",
}


class NodeError(FailureError):
    """A node gave no answer that can be used; `code` is what JSON-RPC calls its error (0: it gave none)."""

    def __init__(self, kind: Kind, error: str, code: int = 0) -> None:
        super().__init__(kind, error)
        self.code = code


@dataclass(frozen=True, slots=True)
class Account:
    """An account as a node tells it; `data` may be the slice of it that was asked for."""

    owner: str
    lamports: int
    executable: bool
    data: bytes


class RpcNode:
    """One address. It is asked at most once a second, over a new connection each time, and only there."""

    def __init__(self, url: str, pace: float = PACE_SECONDS, timeout: float = REQUEST_SECONDS) -> None:
        """Args: url: With whatever key. pace: The least seconds between two requests. timeout: Of each, in seconds."""
        headers = {
            "User-Agent": f"monitord/{__version__}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        self._target = target_of(url, headers)
        self._pace, self._timeout = pace, timeout
        self._turn = asyncio.Lock()
        self._next = self._barred_until = float("-inf")
        self._last_id = 0
        self._takes_many = True

    @property
    def place(self) -> str:
        return self._target.place

    async def health(self) -> None:
        """Return where the node holds itself healthy. NodeError: it does not, or gives no answer."""
        if await self.ask("getHealth") != "ok":
            raise NodeError("protocol", f"{self.place} answers getHealth with something else than ok")

    async def slot(self) -> int:
        """The slot that the node has come to. NodeError: it gives none."""
        slot = await self.ask("getSlot", [{"commitment": "confirmed"}])
        if not _is_count(slot):
            raise NodeError("protocol", f"{self.place} answers getSlot with no number")
        return cast("int", slot)

    async def accounts(self, addresses: list[str], length: int | None = None) -> tuple[int, dict[str, Account | None]]:
        """The accounts at these addresses, None where there is none, and the oldest slot that they are of.

        `length`: only so many bytes of each. They are asked for in one request, or one by one from a node that does
        not know how to give several. NodeError: it gives no answer, or one that is none.
        """
        how: dict[str, object] = {"encoding": "base64", "commitment": "confirmed"}
        if length is not None:
            how["dataSlice"] = {"offset": 0, "length": length}
        slots: list[int] = []
        found: dict[str, Account | None] = {}
        wanted = list(dict.fromkeys(addresses))
        while wanted:
            some = wanted[: MOST_ACCOUNTS if self._takes_many and len(wanted) > 1 else 1]
            method = "getMultipleAccounts" if len(some) > 1 else "getAccountInfo"
            try:
                result = await self.ask(method, [some if len(some) > 1 else some[0], how])
            except NodeError as error:
                if error.code != NO_SUCH_METHOD or len(some) == 1:
                    raise
                self._takes_many = False
                continue
            slot, values = self._valued(method, result)
            if len(some) == 1:
                values = [values]
            if not isinstance(values, list) or len(values) != len(some):
                raise NodeError("protocol", f"{self.place} answers {method} with other accounts than were asked for")
            slots.append(slot)
            found |= {address: self._account(value) for address, value in zip(some, values, strict=True)}
            wanted = wanted[len(some) :]
        return min(slots, default=0), found

    async def ask(self, method: str, params: list[object] | None = None) -> object:
        """The result of one question, in this node's turn. NodeError: none; half a sentence after its place, a code."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if (left := self._barred_until - loop.time()) > 0:
                raise NodeError("refused", f"{self.place} was asked too often; it is left alone for {_seconds(left)}")
            await asyncio.sleep(max(0.0, self._next - loop.time()))
            self._next = loop.time() + self._pace
            self._last_id += 1
            question = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or []}
            try:
                async with asyncio.timeout(self._timeout):
                    reply = await self._exchange(json.dumps(question).encode())
            except NodeError:
                raise
            except Exception as error:  # noqa: BLE001 - what is no problem of the node is raised again there
                problem = explained(error)
                raise NodeError(cast("Kind", problem.kind), f"{self.place} {problem.what}") from None
            return self._result(method, reply, self._last_id)

    async def _exchange(self, body: bytes) -> HttpAnswer:
        to = self._target
        async with connected(to.host, to.port, tls=to.scheme == "https", within=self._timeout) as connection:
            headers = [("Host", to.host_header), *to.headers.items(), ("Content-Length", str(len(body)))]
            request = h11.Request(method="POST", target=to.path, headers=headers)
            reply = await exchange(connection, request, body, most=MOST_READ)
        if not reply.is_whole:
            raise NodeError("protocol", f"{self.place} answers with more than {humanize.size(MOST_READ)}")
        return reply

    def _result(self, method: str, reply: HttpAnswer, identity: int) -> object:
        status = reply.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._too_often(reply.header(b"retry-after"))
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NodeError("auth", f"{self.place} answers {status}: the key in its address is not accepted")
        try:
            envelope = json.loads(reply.body)
        except (ValueError, RecursionError):
            envelope = None
        if not isinstance(envelope, dict) or not ("result" in envelope or "error" in envelope):
            if status != HTTPStatus.OK:
                kind: Kind = "refused" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "protocol"
                raise NodeError(kind, f"{self.place} answers {method} with the status {status}")
            raise NodeError("protocol", f"{self.place} answers {method} with something that is not JSON-RPC")
        error = envelope.get("error")
        if error is not None:
            raise self._refused(method, error)
        if envelope.get("jsonrpc") != "2.0" or envelope.get("id") != identity:
            raise NodeError("protocol", f"{self.place} answers another question than was asked")
        return envelope["result"]

    def _refused(self, method: str, error: Any) -> NodeError:
        """What an error of JSON-RPC says, in words of our own: the node's may hold what it was sent."""
        code = error.get("code") if isinstance(error, dict) else None
        if code == _TOO_OFTEN:
            return self._too_often("")
        if code == _BEHIND:
            data = error.get("data")
            slots = data.get("numSlotsBehind") if isinstance(data, dict) else None
            far = f"by {humanize.plural(slots, 'slot')}" if isinstance(slots, int) else "or not healthy"
            return NodeError("refused", f"{self.place} says that it is behind {far}", _BEHIND)
        known = code if isinstance(code, int) else 0
        reason = _CODES.get(known, f"answers with the error {known}" if known else "answers with an error")
        return NodeError("protocol", f"{self.place} {reason} ({method})", known)

    def _too_often(self, retry_after: str) -> NodeError:
        waits = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else BACKOFF_SECONDS
        waits = min(waits, MOST_BACKOFF_SECONDS)
        self._barred_until = asyncio.get_running_loop().time() + waits
        return NodeError(
            "refused",
            f"{self.place} says that it is asked too often; it is left alone for {_seconds(waits)}",
            _TOO_OFTEN,
        )

    def _valued(self, method: str, result: Any) -> tuple[int, object]:
        context = result.get("context") if isinstance(result, dict) else None
        slot = context.get("slot") if isinstance(context, dict) else None
        if not _is_count(slot) or "value" not in result:
            raise NodeError("protocol", f"{self.place} answers {method} without the slot that it is of")
        return cast("int", slot), result["value"]

    def _account(self, value: Any) -> Account | None:
        if value is None:
            return None
        try:
            (text, encoding), owner = value["data"], value["owner"]
            lamports, executable = value["lamports"], value["executable"]
            data = base64.b64decode(text, validate=True) if encoding == "base64" else None
        except (KeyError, TypeError, ValueError, binascii.Error):
            data = owner = lamports = executable = None
        if data is None or not isinstance(owner, str) or not _is_count(lamports) or not isinstance(executable, bool):
            raise NodeError("protocol", f"{self.place} gives an account that is none")
        return Account(owner, cast("int", lamports), executable, data)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _seconds(seconds: float) -> str:
    return humanize.duration(max(1.0, seconds))
