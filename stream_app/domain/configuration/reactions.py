"""What a trigger does: whom it notifies, and the reactions that are kept, but not carried out here.

Blocking and marking are the product's own work; its triggers are taken as they are, so that one
file holds for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream_app.domain.catalog.conditions import Reaction
from stream_app.domain.catalog.numbers import MAX_INTEGER, TOO_LARGE

if TYPE_CHECKING:
    from stream_app.domain.catalog.conditions import Condition
    from stream_app.domain.configuration.fields import Fields

#: Reactions that say for how many seconds an address stays on a list.
TIMED = (Reaction.BLOCK_IPS, Reaction.ADD_TO_GRAYLIST)


@dataclass(frozen=True)
class Reactions:
    """The integrations that a trigger notifies, and its other reactions, each once."""

    integration_ids: tuple[int, ...]
    others: tuple[str, ...]


def read_reactions(fields: Fields, condition: Condition | None, suffix: str) -> Reactions:
    """Read `actions`; those of an unknown condition may be any.

    Args:
        fields: of the trigger.
        condition: what its `template_id` names; None when that is unknown.
        suffix: names the condition in the message on a reaction that it does not have.
    """
    allowed = tuple(condition.reactions if condition is not None else Reaction)
    notified: dict[int, None] = {}
    others: dict[str, None] = {}
    for action in fields.children("actions"):
        name = action.choice("id", allowed, suffix)
        if name not in allowed:
            continue
        if name == Reaction.SEND_NOTIFICATION:
            notified |= dict.fromkeys(_integration_ids(action))
            continue
        others[name] = None
        if name in TIMED:
            action.child("params").integer("lock_time", 0)
        else:
            _check_no_params(action, name)
    return Reactions(tuple(notified), tuple(others))


def _integration_ids(action: Fields) -> list[int]:
    params = action.child("params")
    found = []
    for index, value in enumerate(params.items("integration_ids")):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            params.problem(f"integration_ids[{index}]", value, "must be an integration's id")
        elif value > MAX_INTEGER:
            params.problem(f"integration_ids[{index}]", value, TOO_LARGE)
        else:
            found.append(value)
    return found


def _check_no_params(action: Fields, name: str) -> None:
    """See that there are none; the API may write them as empty or null."""
    params = action.obj.get("params")
    if isinstance(params, Mapping) and all(value is None for value in params.values()):
        return
    if params is not None:
        action.problem("params", params, f"must not be given: {name} has none")
