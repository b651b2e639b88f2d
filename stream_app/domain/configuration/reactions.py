"""A trigger's reactions: which integrations it notifies, and what it does besides.

Only notifications are carried out here. Blocking and marking are left to the product; they are
read and kept, so that the same file can be used for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.domain.catalog.conditions import Condition, Reaction
from stream_app.domain.catalog.numbers import MAX_INTEGER, TOO_LARGE
from stream_app.domain.configuration.fields import Fields

#: Reactions with a `lock_time`: for how many seconds an address stays on a list.
TIMED_REACTIONS = (Reaction.BLOCK_IPS, Reaction.ADD_TO_GRAYLIST)

_ACTION = "{id: send_notification, params: {integration_ids: [521]}}"


@dataclass(frozen=True)
class Reactions:
    """The integrations that a trigger notifies, and its other reactions, each once."""

    integration_ids: tuple[int, ...]
    others: tuple[str, ...]


def read_reactions(fields: Fields, condition: Condition | None, suffix: str) -> Reactions:
    """Read `actions`. An unknown condition allows all reactions.

    Args:
        fields: the trigger's fields.
        condition: the condition of its `template_id`; None if it is unknown.
        suffix: ends the message on a reaction that the condition does not allow.
    """
    allowed = tuple(condition.reactions if condition is not None else Reaction)
    notified: dict[int, None] = {}
    others: dict[str, None] = {}
    for action in fields.children("actions", _ACTION):
        name = action.choice("id", allowed, suffix)
        if name not in allowed:
            continue
        if name == Reaction.SEND_NOTIFICATION:
            notified |= dict.fromkeys(_integration_ids(action))
            continue
        others[name] = None
        if name in TIMED_REACTIONS:
            action.child("params", "{lock_time: 3600}").integer("lock_time", 0)
        else:
            _check_no_params(action, name)
    return Reactions(tuple(notified), tuple(others))


def _integration_ids(action: Fields) -> list[int]:
    params = action.child("params", "{integration_ids: [521]}")
    found = []
    for index, value in enumerate(params.items("integration_ids")):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            params.add_problem(f"integration_ids[{index}]", value, "must be an integration's id")
        elif value > MAX_INTEGER:
            params.add_problem(f"integration_ids[{index}]", value, TOO_LARGE)
        else:
            found.append(value)
    return found


def _check_no_params(action: Fields, name: str) -> None:
    """Add a problem if there are parameters; the API may write them as empty or null."""
    params = action.obj.get("params")
    if isinstance(params, Mapping) and all(value is None for value in params.values()):
        return
    if params is not None:
        action.add_problem("params", params, f"must not be given: {name} has none")
