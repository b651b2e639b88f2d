"""Converts answers of the security cloud's API to objects, and objects to answers.

    {"triggers": [{...}, ...]}                            the triggers of a client
    {"trigger": {...}}                                    one of them
    {"body": {"result": "...", "object": [{...}, ...]}}   the integrations of a client
    {"body": {"result": "...", "object": {...}}}          one of them

Items of `triggers` may be wrapped once more. The client may be named in each object or beside the
wrapper (`client_id`, `clientid`). An answer about integrations does not name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.kinds import Kind, kind_of
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import kind_of_value

#: `result` of the answers that this project writes.
RESULT = "success"


def unwrap_answer(obj: Mapping[str, object]) -> list[tuple[str, dict[str, object]]] | None:
    """Return the objects of an answer, each with its path; None: `obj` is an object itself.

    Raises:
        InvalidObjectError: it is an answer that holds anything but objects.
    """
    if not {"triggers", "body"} & obj.keys() or kind_of(obj) is not None:
        return None
    if "triggers" in obj:
        kind, path, found = Kind.TRIGGER, "triggers", obj["triggers"]
    elif isinstance(body := obj.get("body"), Mapping):
        kind, path, found = Kind.INTEGRATION, "body.object", body.get("object")
    else:
        return None
    if kind is Kind.TRIGGER and not isinstance(found, list):
        problem = f"is {kind_of_value(found)}: must be a list"
        raise InvalidObjectError(path, None, problem, shows_value=False)
    beside = stored_form({name: obj[name] for name in ("client_id", "clientid") if name in obj})
    objects: list[tuple[str, dict[str, object]]] = []
    for index, item in enumerate(found if isinstance(found, list) else [found]):
        where = f"{path}[{index}]" if isinstance(found, list) else path
        if not isinstance(item, Mapping):
            problem = f"is {kind_of_value(item)}: must have named fields"
            raise InvalidObjectError(where, None, problem, shows_value=False)
        own = _without_empty_threshold(stored_form(item))
        objects.append((where, {**beside, **own, "kind": kind.value}))
    return objects


def _without_empty_threshold(obj: dict[str, object]) -> dict[str, object]:
    """Return an object without its threshold if that is empty; `thresholds` may have another."""
    return stored_form({**obj, "threshold": None}) if obj.get("threshold") == {} else obj


def with_client(obj: Mapping[str, object], client_id: int) -> Mapping[str, object]:
    """Return an object; if it is a trigger or integration without a client, with this client."""
    flat = stored_form(obj)
    if kind_of(obj) in (None, Kind.CLIENT) or flat.get("client_id") is not None:
        return obj
    return {**flat, "client_id": client_id}


def wrap_answer(
    kind: Kind, objects: Sequence[Mapping[str, object]], *, is_one: bool = False
) -> dict[str, object]:
    """Return the answer by which the API gives objects of one kind, with its field names.

    An integration keeps `alert`, which the API does not have: without it `apply` would drop it.

    Args:
        kind: of the objects; there is no answer with clients.
        objects: as `get` shows them.
        is_one: whether one object was asked for by its id, so that the answer has no list.
    """
    client_id = "client_id" if kind is Kind.TRIGGER else "clientid"
    spelled = [
        {client_id if name == "client_id" else name: v for name, v in obj.items() if name != "kind"}
        for obj in objects
    ]
    one = spelled[0] if is_one and spelled else None
    if kind is Kind.TRIGGER:
        return {"triggers": spelled} if one is None else {"trigger": one}
    return {"body": {"result": RESULT, "object": spelled if one is None else one}}
