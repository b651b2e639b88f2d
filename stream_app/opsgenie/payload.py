"""The body of a "create alert" request, within the service's limits.

Why cut and never fail: a message that is one character too long must still wake somebody.
What is cut stays readable elsewhere: the whole message then opens the description.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypedDict

import msgspec
import orjson

from stream_app.domain.alerts.flat_details import flattened_details
from stream_app.domain.configuration.alert_options import (
    ENTITY_LIMIT,
    RESPONDERS_LIMIT,
    SOURCE_LIMIT,
    TAG_LIMIT,
    TAGS_LIMIT,
    UNSENDABLE,
    AlertOptions,
    Priority,
    ResponderType,
)
from stream_app.domain.delivery.records import Delivery
from stream_app.opsgenie.text import ELLIPSIS, clean, clean_lines, cut, length

MESSAGE_LIMIT = 130
DESCRIPTION_LIMIT = 15_000
ALIAS_LIMIT = 512
#: Keys and values of all details together.
DETAILS_LIMIT = 8_000
RESPONDER_FIELDS = ("id", "name", "type", "username")
RESPONDER_TYPES = tuple(ResponderType)
ALIAS_DIGEST_LENGTH = 32
TRUNCATED = ("truncated", "true")
#: A detail whose name has no text that can be shown.
NAMELESS = "detail"
#: Of a longer text only the beginning is looked at, and of more details only the first ones:
#: nearly all of it is cut, and the loop waits for it.
READ_LIMIT = 100_000
READ_DETAILS = 4_000
#: The service refuses an empty message.
NO_MESSAGE = "(no message)"
#: Who sends an alert, unless its integration says otherwise.
SOURCE = "stream-app"


class OptionalFields(TypedDict):
    """The optional arguments of `build_payload`."""

    priority: Priority | None
    tags: Sequence[str]
    entity: str
    source: str
    responders: Sequence[Mapping[str, str]]


def build_payload(
    message: str,
    description: str,
    alias: str,
    details: Mapping[str, object],
    *,
    priority: Priority | None = None,
    tags: Sequence[str] = (),
    entity: str = "",
    source: str = "",
    responders: Sequence[Mapping[str, str]] = (),
) -> dict[str, object]:
    """Return a request body; what is empty or unset is left out.

    Tags, entity, source and responders are configured texts that route: they go out as written.

    Args:
        message: one line, the title of the alert.
        description: text of many lines.
        alias: what makes two requests one alert. One that does not fit ends in a digest of the
            whole, so that two long ones that begin alike stay two alerts.
        details: nested names are joined by `_`, the most useful ones first: those at the end
            are dropped when there are too many. Nulls are left out.
        priority: left out when None, since the service refuses a null.
        tags: a comma would make one tag two, so commas are taken out.
        entity: what the alert is about.
        source: who sends it.
        responders: objects with `type` and one of `id`, `name`, `username`; others are left out.

    Raises:
        ValueError: `alias` is empty. The service would invent one, and each resend would page.
    """
    if not alias:
        raise ValueError("alias is empty: resends of the alert could not be told from new ones")
    title, text = clean(_beginning(message)) or NO_MESSAGE, clean_lines(_beginning(description))
    shown = cut(title, MESSAGE_LIMIT)
    if shown != title:
        text = f"{title}\n\n{text}".rstrip()
    payload: dict[str, object] = {
        "message": shown,
        "alias": _fit_alias(alias),
        "description": cut(text, DESCRIPTION_LIMIT),
        "details": _fit_details(details),
        "tags": _fit_tags(tags),
        "entity": cut(_as_written(entity), ENTITY_LIMIT),
        "source": cut(_as_written(source), SOURCE_LIMIT),
        "responders": _fit_responders(responders),
        "priority": priority,
    }
    return {name: value for name, value in payload.items() if value}


def optional_fields(options: AlertOptions) -> OptionalFields:
    """Return the arguments of `build_payload` that an integration's options make."""
    return {
        "priority": options.priority,
        "tags": options.tags,
        "entity": options.entity,
        "source": options.source or SOURCE,
        "responders": [msgspec.to_builtins(responder) for responder in options.responders],
    }


def encode_payload(payload: Mapping[str, object]) -> bytes:
    """Return the body as JSON; equal payloads give equal bytes."""
    return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)


def alert_body(
    message: str,
    description: str,
    alias: str,
    details: Mapping[str, object],
    options: AlertOptions,
) -> bytes:
    """Return the body of a request that creates an alert."""
    return encode_payload(
        build_payload(message, description, alias, details, **optional_fields(options))
    )


def request_body(delivery: Delivery) -> bytes:
    """Return the body of a delivery's request: every resend has the same."""
    return alert_body(
        delivery.message,
        delivery.description,
        delivery.alert_id,
        delivery.details,
        delivery.options,
    )


def _as_written(text: str) -> str:
    """Return a configured text as it is; one that `apply` refuses now, as it was sent before."""
    return clean(text) if UNSENDABLE.search(text) or not text.strip() else text


def _beginning(text: str) -> str:
    return text if len(text) <= READ_LIMIT else text[:READ_LIMIT] + ELLIPSIS


def _fit_alias(alias: str) -> str:
    fitted = clean(alias)
    if fitted == alias and length(alias) <= ALIAS_LIMIT:
        return alias
    whole = alias.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(whole).hexdigest()[:ALIAS_DIGEST_LENGTH]
    return f"{cut(fitted, ALIAS_LIMIT - len(digest) - 1)}:{digest}"


def _fit_tags(tags: Sequence[str]) -> list[str]:
    fitted = (cut(_as_written(tag.replace(",", " ")), TAG_LIMIT) for tag in tags)
    return list(dict.fromkeys(tag for tag in fitted if tag))[:TAGS_LIMIT]


def _fit_responders(responders: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return those that say who they are: one that does not would fail the whole request."""
    fitted: list[dict[str, str]] = []
    for item in responders:
        texts = {name: _as_written(item.get(name, "")) for name in RESPONDER_FIELDS}
        kept = {name: text for name, text in texts.items() if text}
        if kept.get("type") in RESPONDER_TYPES and len(kept) > 1 and kept not in fitted:
            fitted.append(kept)
    return fitted[:RESPONDERS_LIMIT]


def _fit_details(details: Mapping[str, object]) -> dict[str, str]:
    """Return flat details within the limit: whole keys are dropped, from the end.

    A value that alone is too long is dropped first: it must not cost all that precede it.
    """
    fitted: dict[str, str] = {}
    room = DETAILS_LIMIT - sum(map(len, TRUNCATED))
    size = 0
    is_whole = len(details) <= READ_DETAILS
    for name, text in _clean_details(details):
        taken = length(name) + length(text)
        if taken > room:
            is_whole = False
            continue
        fitted[name] = text
        size += taken
        if size > DETAILS_LIMIT:
            break
    if is_whole and size <= DETAILS_LIMIT:
        return fitted
    while size > room:
        name, text = fitted.popitem()
        size -= length(name) + length(text)
    return fitted | dict([TRUNCATED])


def _clean_details(details: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield names and texts fit to be shown, one by one: there may be a great many.

    Of several with one name the first stays. Names that only become equal here get a number, and
    one of which nothing is left is called `detail`.
    """
    names: set[str] = set()
    taken: set[str] = set()
    for name, value in islice(flattened_details(details), READ_DETAILS):
        if name not in names and (text := clean_lines(_beginning(value))):
            names.add(name)
            shown = base = clean(name) or NAMELESS
            number = 1
            while shown in taken:
                number += 1
                shown = f"{base}_{number}"
            taken.add(shown)
            yield shown, text
