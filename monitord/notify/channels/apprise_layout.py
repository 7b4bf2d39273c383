"""How a message is laid out for one of Apprise's services: whole where it is read at a desk, short on a phone.

What a service takes is read from Apprise's own description of it: the longest text, and parameters for an address to
open and for actions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def is_phone(scheme: str, most: int) -> bool:
    """Whether a service is of phones, by its scheme and the longest text that it takes."""
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
    """An address with these parameters beside its own."""
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
