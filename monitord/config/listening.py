"""Where the page listens."""

from __future__ import annotations

import ipaddress


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8844` or `[::1]:8844`. ValueError with half a sentence for anything else."""
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        if host.startswith("[") != host.endswith("]") or host.startswith("[") != (":" in bare):
            raise ValueError(text)
        if ":" in bare:
            ipaddress.IPv6Address(bare)
        elif not bare or not all(part.isalnum() for part in bare.replace("-", "").replace("_", "").split(".")):
            raise ValueError(text)
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address to listen at; write 127.0.0.1:8844 or [::1]:8844") from None
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at `host`. A name other than localhost is not known to be."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
