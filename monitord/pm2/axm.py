"""PM2's words for what an app shows of itself and what may be asked of it (`axm:`): messages in and out, no I/O.

As PM2 7.0 was seen to take them, on the channel of `ipc`:

| message | what PM2 does with it |
|---|---|
| `axm:monitor`, `{name: {value, unit}}` | adds it to what it has; `pm2 describe` prints `value unit` |
| `axm:action`, `{action_name, …}` | keeps it, once; `pm2 trigger` refuses what it does not have |
| `axm:reply`, `{action_name, return}` | hands it to whoever waits in `pm2 trigger`, as one line of JSON |

`pm2 trigger NAME ACTION` sends the action's name as a text, with a parameter `{"msg": ACTION, "opts": …}`. It waits for
ever, and takes any reply of the app for its own. All that was sent is forgotten when the process ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Action = Literal["check", "report", "status"]
Message = dict[str, object]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of `pm2 describe`. `value`: a number or a word; "-" is what is not known."""

    value: float | int | str
    unit: str = ""


def registration(action: Action) -> Message:
    return _message("axm:action", {"action_name": action, "action_type": "custom", "arity": 0})


def monitor(metrics: Mapping[str, Metric]) -> Message:
    """Sends PM2 what to show under these names. What it was sent before stays under the others."""
    data = {
        name: {"value": metric.value, "unit": metric.unit, "type": "monitord", "historic": False}
        for name, metric in metrics.items()
    }
    return _message("axm:monitor", data)


def reply(action: Action, answer: object) -> Message:
    return _message("axm:reply", {"action_name": action, "return": answer})


def asked(message: object) -> Action | None:
    """The action a message from PM2 asks for; None for whatever else it is."""
    if isinstance(message, dict):
        message = message.get("msg")
    for action in ACTIONS:
        if message == action:
            return action
    return None


def _message(kind: str, data: object) -> Message:
    return {"type": kind, "data": data}
