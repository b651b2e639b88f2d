"""Finds where a record breaks the contract: its decoder or its schema refuses it.

Where both do, the schema's findings are shown, except for configured objects: their decoders say
more. API keys are never shown: neither the value of a field with the name of a key, nor the same
text in another field.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from stream_app.contract.decoders import decoder_of
from stream_app.contract.records import EVENT_KINDS, RecordName, Schema, part_schema
from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.fields import HIDDEN, LEAST_KEY_CHARACTERS
from stream_app.domain.events.model import TIME_FIELDS
from stream_app.domain.events.time_units import unit_hint

#: Names of fields that hold keys; their values are not shown.
KEY_NAMES = frozenset({"token", "key", "api_key", "apikey", "password", "secret", "authorization"})
#: Records of configured objects. They are brought into their stored form before they are read, and
#: their key is an id.
CONFIGURED = frozenset({RecordName.CLIENT, RecordName.TRIGGER, RecordName.INTEGRATION})
#: Record -> the field whose id must be the record's key.
ID_FIELDS = {
    RecordName.CLIENT: "client_id",
    RecordName.TRIGGER: "id",
    RecordName.INTEGRATION: "id",
    RecordName.INTEGRATION_STATUS: "integration_id",
}
#: Most characters of a value that are shown.
_MAX_SHOWN_CHARACTERS = 80
#: Most breaches of one object that are shown.
MAX_BREACHES = 20
#: The path at the end of msgspec's messages.
_PATH_AT_END = re.compile(r" - at `\$\.?(.*)`$")


class Breach(NamedTuple):
    """Where a record breaks the contract.

    `part` is the index of the object in the record's array or lines; `value` is the beginning of
    the value as JSON; `allowed` says what is allowed.
    """

    part: int | None
    path: str
    value: str
    allowed: str


class Checker:
    """Checks values of one record.

    Args:
        name: the record.
        allowed_periods: the periods that the installation's triggers may have.
    """

    def __init__(self, name: RecordName, allowed_periods: Collection[int]) -> None:
        self.name = name
        self._schema = part_schema(name)
        self._validator = jsonschema_rs.Draft202012Validator(self._schema)
        self._decode = decoder_of(name, allowed_periods)

    def check(
        self, value: bytes | None, key: bytes | None = None, timestamp: int | None = None
    ) -> list[Breach]:
        """Return where a value breaks the contract; for configured objects the key is checked, too.

        A value of None deletes a configured object. A key or a timestamp of None is unknown; the
        timestamp is the record's in Unix ms (-1: it has none), and bounds the time of an event.
        """
        if value is None and self.name in ID_FIELDS:
            return []
        found: list[Breach] = []
        for index, part, refusals in self._decode(value or b"", timestamp):
            obj = _parsed(part)
            if self.name in CONFIGURED and isinstance(obj, dict):
                obj = stored_form(obj)
            breaches = list(self._breaches(index, obj))
            # A list is a whole record, or the rest of one, that was refused without being read.
            is_unread = isinstance(obj, list)
            if refusals and (not breaches or is_unread or self.name in CONFIGURED):
                # Decoders of configured objects find every problem, and suggest a correct value.
                breaches = [Breach(index, *_shown_refusal(*refusal)) for refusal in refusals]
            breaches += self._wrong_key(index, obj, key)
            breaches += self._wrong_unit(index, obj) if timestamp is None else []
            if breaches:
                keys = list(_keys_in(obj))
                found += [_without_keys(breach, keys) for breach in breaches]
        return found

    def _breaches(self, index: int | None, obj: object) -> Iterator[Breach]:
        if obj is _UNREADABLE:
            return
        # The validator raises for deep nesting; the decoder decides about such a value.
        with contextlib.suppress(ValueError):
            if self._validator.is_valid(obj):
                return
            for number, error in enumerate(self._validator.iter_errors(obj)):
                if number == MAX_BREACHES:
                    return
                yield self._breach(index, error)

    def _breach(self, index: int | None, error: jsonschema_rs.ValidationError) -> Breach:
        path, at = list(error.instance_path), list(error.schema_path)
        keyword, limit = at[-1], _value_at(self._schema, at)
        parent = _value_at(self._schema, at[:-1])
        if keyword == "required":
            missing = str(getattr(error.kind, "property", ""))
            return Breach(index, _path([*path, missing]), "", "is missing")
        if "propertyNames" in at:
            # Whatever is wrong with a name, the comment on all names says what is allowed.
            keyword = "propertyNames"
            parent = _value_at(self._schema, at[: at.index(keyword) + 1])
        return Breach(index, _path(path), _shown(error.instance), _allowed(keyword, limit, parent))

    def _wrong_key(self, index: int | None, obj: object, key: bytes | None) -> list[Breach]:
        field = ID_FIELDS.get(self.name)
        if key is None or field is None or not isinstance(obj, dict):
            return []
        own = obj.get(field)
        text = key.decode(errors="replace")
        if text == str(own):
            return []
        return [Breach(index, "(key)", _shown(text), f"must be the {field}, {own}")]

    def _wrong_unit(self, index: int | None, obj: object) -> list[Breach]:
        """Return the times of an event whose size says that they are not in seconds."""
        if self.name not in EVENT_KINDS or not isinstance(obj, dict):
            return []
        return [
            Breach(index, field, _shown(obj[field]), f"is far in the future{hint}")
            for field in (TIME_FIELDS[EVENT_KINDS[self.name]], "create_time", "time")
            if isinstance(obj.get(field), int | float) and (hint := unit_hint(obj[field]))
        ]


#: Stands for a value that is not JSON.
_UNREADABLE = object()


def _parsed(part: bytes) -> object:
    try:
        return orjson.loads(part)
    except orjson.JSONDecodeError:
        return _UNREADABLE


def _shown_refusal(path: str, value: object, problem: str) -> tuple[str, str, str]:
    """Return path, value and text of a refusal; msgspec puts the path at the end of its text."""
    if (found := _PATH_AT_END.search(problem)) is not None:
        return found[1], "", problem[: found.start()]
    return path, "" if value is None else _shown(value), problem


def _value_at(schema: Schema, path: Sequence[str | int]) -> Any:
    found: Any = schema
    for step in path:
        found = found[step]
    return found


def _path(steps: Sequence[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


_LIMIT_TEXTS = {
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must be a text of at least {} characters",
    "maxLength": "must be a text of at most {} characters",
    "maxItems": "must be a list of at most {}",
    "const": "must be {!r}",
}


def _allowed(keyword: str | int, limit: Any, parent: Any) -> str:
    """Say what is allowed, from the broken keyword, its value and the schema that it is part of."""
    if keyword == "type":
        types = [limit] if isinstance(limit, str) else limit
        return "must be " + " or ".join(types)
    if keyword == "enum":
        return "must be one of " + ", ".join("null" if one is None else str(one) for one in limit)
    if keyword in _LIMIT_TEXTS:
        return _LIMIT_TEXTS[str(keyword)].format(limit)
    comment = parent.get("$comment") if isinstance(parent, dict) else None
    return f"must be {comment}" if comment else f"is not allowed by {keyword} of the schema"


def _shown(value: object) -> str:
    """Return the beginning of a value as JSON, or the size of an object or a list."""
    if isinstance(value, dict):
        return f"(object of {len(value)} fields)"
    if isinstance(value, list | tuple):
        return f"(list of {len(value)})"
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"


def _keys_in(obj: object) -> Iterator[str]:
    """Yield the texts in fields with the names of keys."""
    waiting = [obj]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for name, value in found.items():
                if name.lower() in KEY_NAMES and isinstance(value, str):
                    yield value
                waiting.append(value)
        elif isinstance(found, list):
            waiting += found


def _without_keys(breach: Breach, keys: Sequence[str]) -> Breach:
    names = {name.lower() for name in re.split(r"[.\[\]]+", breach.path)}
    value = breach.value
    if value and (names & KEY_NAMES or breach.path.startswith("target")):
        value = HIDDEN
    texts = [breach.path, value, breach.allowed]
    for key in keys:
        if len(key) < LEAST_KEY_CHARACTERS:
            continue
        # A long value is cut, so only the beginning of the key may be there.
        for number, text in enumerate(texts):
            if key[:LEAST_KEY_CHARACTERS] in text:
                texts[number] = text.replace(key, HIDDEN) if key in text else HIDDEN
    return Breach(breach.part, *texts)
