"""What Apprise's services take: how a message is laid out for one, and by which parameters an alert is identified.

It is read from Apprise's own description of a service, so that one which Apprise learns is known here too: the longest
text, parameters for an address to open and for actions, one that identifies, and an `action` that maps a success to
the end of what was opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from monitord.core.humanize import short

# Services of phones whose texts may be long. All that take no more than PHONE_AT_MOST characters are of phones, too.
PHONES: Final = frozenset(
    {"ntfy", "ntfys", "pover", "tgram", "bark", "barks", "join", "prowl", "pbul", "pushed", "pushy", "spush", "signal"}
    | {"signals", "whatsapp", "threema", "gotify", "gotifys", "fcm"}
)
PHONE_AT_MOST: Final = 1024
# What has no title and takes so little is one line, and never several messages.
LINE_AT_MOST: Final = 640
_CLICK: Final = ("click", "supplemental_url")
_ACTIONS: Final = "actions"
ACKNOWLEDGE: Final = "Acknowledge"
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

    `incidents`: a message opens what a later one of the same identity can close; `maps`: it has to be asked to.
    `closes`: the end closes it, or replaces it. `acknowledges`: the action for that ("": none, or the address has one).
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


def is_phone(scheme: str, most: int) -> bool:
    return scheme.lower() in PHONES or most <= PHONE_AT_MOST


def laid_out(
    note: Mapping[str, Any], arguments: Mapping[str, Mapping[str, object]], url: str, most: int, title_most: int
) -> tuple[str, str, dict[str, str]]:
    """Title, text, and the parameters that carry addresses. The alert's id is in the text, however short that is."""
    link, ack, title = note.get("link") or "", note.get("ack") or "", note["title"]
    given = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    parameters = {}
    click = next((name for name, about in arguments.items() if name in _CLICK or about.get("map_to") in _CLICK), "")
    if link and click and click not in given:
        parameters[click] = link
    if ack and _ACTIONS in arguments and _ACTIONS not in given:
        parameters[_ACTIONS] = f"http, {ACKNOWLEDGE}, {ack}, method=POST, clear=true"
    phone = is_phone(url.partition("://")[0], most)
    if phone and title_most == 0 and most <= LINE_AT_MOST:
        return "", _line(title, note.get("id") or "", link, most), parameters
    lines = [note["short"] if phone and note.get("short") else note["body"]]
    if ack and _ACTIONS not in parameters and not has_button(url, ack):
        lines.append(f"{ACKNOWLEDGE}: {ack}")
    if link and not (phone and parameters.get(click) == link):
        lines.append(link)
    return title, "\n".join(filter(None, lines)), parameters


def has_button(url: str, ack: str) -> bool:
    """Whether a service shows a button that opens this address; Telegram refuses one that is not public."""
    scheme = url.partition("://")[0].lower()
    return scheme == "slack" or (scheme == "tgram" and ack.startswith("https://"))


def with_button(content: str | bytes | None, ack: str) -> str | None:
    """The JSON that a plugin sends to Slack or Telegram, with a button; None where it is of another kind."""
    try:
        asked = json.loads(content or "")
    except (ValueError, TypeError):
        return None
    match asked:
        case {"attachments": [{"blocks": [*blocks]} as first, *rest]}:
            text = {"type": "plain_text", "text": ACKNOWLEDGE}
            actions = {"type": "actions", "elements": [{"type": "button", "text": text, "url": ack}]}
            asked["attachments"] = [first | {"blocks": [*blocks, actions]}, *rest]
        case {"attachments": [{"text": _} as first, *rest]}:
            button = {"type": "button", "text": ACKNOWLEDGE, "url": ack}
            asked["attachments"] = [first | {"actions": [button]}, *rest]
        case {"chat_id": _, "text": _} | {"chat_id": _, "rich_message": _}:
            asked["reply_markup"] = {"inline_keyboard": [[{"text": ACKNOWLEDGE, "url": ack}]]}
        case _:
            return None
    return json.dumps(asked)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    if not parameters:
        return url
    extra = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{extra}"


def _line(title: str, alert_id: str, link: str, most: int) -> str:
    """One line: the sentence, cut where it must be, the whole id, and the address where half of the room is left."""
    tail = f" alert {alert_id}" if alert_id else ""
    if link and len(tail) + 1 + len(link) <= most // 2:
        tail += f" {link}"
    return short(title, most - len(tail)) + tail
