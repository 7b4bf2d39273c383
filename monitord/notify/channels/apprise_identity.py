"""The alert's identity, as the parameters by which Apprise's services take one.

What a service takes is read from Apprise's own description of it, so that a service which Apprise learns is known here
too: a parameter that identifies, and an `action` that maps a success to the end of what was opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

# What Apprise calls an identity, service by service: the incident's, or that of a notification which the next replaces.
IDENTITIES: Final = frozenset(
    {"dedup", "alias", "entity", "entity_id", "external_id", "thirdparty", "nid", "notification_id"}
)
_ACTION: Final = "action"
_MAP: Final = "map"
_KNOWN: Final = "acknowledge"


@dataclass(frozen=True, slots=True)
class IdentityParameters:
    """What a service takes. `names` are the parameters that identify and that the address leaves open.

    `incidents`: it opens something for a message, which a later one of the same identity can close. `maps`: it has to
    be asked to. `closes`: what is opened there is closed, or replaced, by the message of the end. `acknowledges` is the
    action that says that somebody knows of it ("": there is none, or the address asks for one of its own).
    """

    names: tuple[str, ...] = ()
    incidents: bool = False
    maps: bool = False
    closes: bool = False
    acknowledges: str = ""

    def parameters(self, identity: str, action: str = "") -> dict[str, str]:
        """What the address of a message of this identity has beside its own ("": nothing), for this action or none."""
        asked = action or (_MAP if self.maps else "")
        return dict.fromkeys(self.names, identity) | ({_ACTION: asked} if asked else {}) if identity else {}


def taken(arguments: Mapping[str, Mapping[str, Any]], url: str) -> IdentityParameters:
    """What the service of this address takes. `arguments` is Apprise's description of its parameters."""
    given = {name.lower(): value.lower() for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    by_meaning: dict[str, list[str]] = {}
    for name, about in arguments.items():
        meaning = str(about.get("alias_of") or about.get("map_to") or name)
        if meaning in IDENTITIES:
            by_meaning.setdefault(meaning, []).append(name)
    names = tuple(each[0] for each in by_meaning.values() if given.keys().isdisjoint(each))
    action = arguments.get(_ACTION, {})
    can_map = _MAP in (action.get("values") or ())
    asked = given.get(_ACTION, str(action.get("default") or "")) if can_map else ""
    maps = can_map and _ACTION not in given and asked != _MAP
    # A key that the operator has set himself is the same for every alert: the end of one would close another.
    closes = bool(names) and (not can_map or maps or asked == _MAP)
    knows = next((word for word in action.get("values") or () if word.startswith(_KNOWN)), "") if names else ""
    return IdentityParameters(names, can_map and bool(by_meaning), maps, closes, "" if _ACTION in given else knows)
