"""How the fleet publishes: what a signed transaction does on the real chain is one request to the local one."""

from monitord.chain.rpc import RpcNode
from monitord.core.channel_account import streamer_key
from monitord.core.subjects.chain_facts import ChainSettings
from monitord.demo.apps.audience import keccak256


async def publish(url: str, token_group: str, channel: str, epoch: int, root: str) -> None:
    """Put a root into a channel's account. NodeError: the chain did not take it."""
    own = ChainSettings()
    key = streamer_key(channel, keccak256).hex()
    node = RpcNode(url, pace=0.0)
    await node.ask("publishRoot", [own.program, own.tokens[token_group], key, epoch, root])
