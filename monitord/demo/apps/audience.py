"""The invented audience: which channels there are, who watches them, and what they say in any second.

Everything follows from the second it happens in, so that a listener that was away can write exactly what it missed,
and writing it twice changes nothing.
"""

import random
from functools import cache
from typing import NamedTuple

from monitord.core import merkle
from monitord.keccak import load_keccak256

SIGNALS_PER_SECOND = 25
VIEWERS_PER_CHANNEL = 40

MILO = (
    *("emberlynx", "captain_quillon", "novapetal", "thornwick", "sablemoth", "junipergale"),
    *("okaribo", "velvetrook", "marrowbyte", "pixelfjord", "lumenhare", "dustharrow"),
)
CLS = (
    *("aldercroft", "bramblekey", "cinderfox_", "dovetailed", "echoplume", "fernwhistle", "gritandglow", "hollowpine"),
    *("inkwellian", "jadekestrel", "knotgarden", "larkspur77", "mossgambit", "nettlecap", "oatmilkknight", "peatsmoke"),
    *("quartzling", "rivetandrune", "saltmarsh", "tidepooler", "umberwolf", "vesperine", "willowisp__", "yarrowfield"),
)
CATEGORIES = ("Chatting", "Chess", "Speedruns", "Drawing", "Farming", "Music")
SIGNAL_TYPES = ("chat", "chat", "chat", "presence", "presence", "emote", "follow")

GROUPS = {"MILO": MILO, "CLS": CLS}


class Signal(NamedTuple):
    epoch: int
    channel: str
    user_hash: str
    signal_type: str
    value: float
    timestamp: int


keccak256 = load_keccak256()


@cache
def viewers(channel: str) -> dict[str, str]:
    """Hash in hex to user name."""
    names = [f"{channel[:5].strip('_')}_fan{number:02d}" for number in range(VIEWERS_PER_CHANNEL)]
    return {merkle.user_hash(name, keccak256).hex(): name for name in names}


def category(channel: str) -> str:
    """The premium channels are sealed together, the others by what they stream."""
    return "default" if channel in MILO else CATEGORIES[CLS.index(channel) % len(CATEGORIES)]


def on_air(epoch: int) -> list[str]:
    dice = random.Random(epoch)  # noqa: S311 - an invented audience needs no secrecy
    return [*dice.sample(MILO, 9), *dice.sample(CLS, 20)]


def signals(second: int, epoch_seconds: int) -> list[Signal]:
    """What the audience does in one second (seconds since 1970), always the same for the same second."""
    epoch = second - second % epoch_seconds
    channels = on_air(epoch)
    dice = random.Random(second)  # noqa: S311 - as above
    rows = []
    for _ in range(SIGNALS_PER_SECOND):
        channel = dice.choice(channels)
        viewer = dice.choice(list(viewers(channel)))
        kind = dice.choice(SIGNAL_TYPES)
        rows.append(Signal(epoch, channel, viewer, kind, round(dice.uniform(0.1, 1.0), 3), second))
    return rows
