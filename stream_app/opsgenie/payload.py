"""The bodies of requests about alerts, within the service's limits.

A text that is too long is cut and never refused: it must still wake somebody. If the message is
cut, the description begins with the whole of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

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
    Responder,
    ResponderType,
)
from stream_app.domain.delivery.records import Delivery, ServiceAction
from stream_app.opsgenie.text import ELLIPSIS, clean, clean_lines, cut, length

MESSAGE_LIMIT = 130
DESCRIPTION_LIMIT = 15_000
ALIAS_LIMIT = 512
NOTE_LIMIT = 25_000
#: Of all names and values of details together.
DETAILS_LIMIT = 8_000
RESPONDER_FIELDS = ("id", "name", "type", "username")
RESPONDER_TYPES = tuple(ResponderType)
ALIAS_DIGEST_LENGTH = 32
TRUNCATED = ("truncated", "true")
#: Name of a detail whose own name has no character that can be shown.
NAMELESS = "detail"
#: At most so much of a text, and so many details, are read. The rest would be cut anyway, and the
#: event loop waits meanwhile.
READ_LIMIT = 100_000
READ_DETAILS = 4_000
#: The service refuses an empty message.
NO_MESSAGE = "(no message)"
#: Who sends an alert, unless its integration says otherwise.
SOURCE = "stream-app"


def alert_body(
    message: str,
    description: str,
    alias: str,
    details: Mapping[str, object],
    options: AlertOptions,
) -> bytes:
    """Return the body of a request that creates an alert, without the fields that are empty.

    Args:
        message: one line, the title of the alert.
        description: text of many lines.
        alias: requests with the same alias are one alert. An alias that is too long is cut and
            ends in a digest of the whole, so that long aliases that begin alike stay apart.
        details: the most useful ones first, because the last ones are dropped if there are too
            many. Nested names are joined by `_`, and nulls are left out.
        options: of the integration. They decide about routing, so they are sent as configured;
            only commas of tags are replaced, since the service would make two tags of one.

    Raises:
        ValueError: `alias` is empty. The service would make one up, and each resend would page.
    """
    if not alias:
        raise ValueError("alias is empty: resends of the alert could not be told from new ones")
    title, text = clean(_beginning(message)) or NO_MESSAGE, clean_lines(_beginning(description))
    shown = cut(title, MESSAGE_LIMIT)
    if shown != title:
        text = f"{title}\n\n{text}".rstrip()
    return _encoded(
        {
            "message": shown,
            "alias": fit_alias(alias),
            "description": cut(text, DESCRIPTION_LIMIT),
            "details": _fit_details(details),
            "tags": _fit_tags(options.tags),
            "entity": cut(_as_written(options.entity), ENTITY_LIMIT),
            "source": _source(options),
            "responders": _fit_responders(options.responders),
            "priority": options.priority,
        }
    )


def note_body(text: str, options: AlertOptions) -> bytes:
    """Return the body of a request that adds a note to an alert, or leaves one as it closes it."""
    note = cut(clean_lines(_beginning(text)), NOTE_LIMIT)
    return _encoded({"note": note, "source": _source(options)})


def request_body(delivery: Delivery) -> bytes:
    """Return the body of a delivery's request; each resend has the same one."""
    if delivery.action is not ServiceAction.CREATE:
        return note_body(delivery.note, delivery.options)
    return alert_body(
        delivery.message,
        delivery.description,
        delivery.alias,
        delivery.details,
        delivery.options,
    )


def fit_alias(alias: str) -> str:
    """Return an alias as it is sent, in each request about an alert."""
    fitted = clean(alias)
    if fitted == alias and length(alias) <= ALIAS_LIMIT:
        return alias
    whole = alias.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(whole).hexdigest()[:ALIAS_DIGEST_LENGTH]
    return f"{cut(fitted, ALIAS_LIMIT - len(digest) - 1)}:{digest}"


def _encoded(fields: Mapping[str, object]) -> bytes:
    """Return the fields that are not empty as JSON; equal ones give equal bytes."""
    kept = {name: value for name, value in fields.items() if value}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def _source(options: AlertOptions) -> str:
    return cut(_as_written(options.source or SOURCE), SOURCE_LIMIT)


def _as_written(text: str) -> str:
    """Return a configured text unchanged, or cleaned if it is one that `apply` now refuses."""
    return clean(text) if UNSENDABLE.search(text) or not text.strip() else text


def _beginning(text: str) -> str:
    return text if len(text) <= READ_LIMIT else text[:READ_LIMIT] + ELLIPSIS


def _fit_tags(tags: Sequence[str]) -> list[str]:
    fitted = (cut(_as_written(tag.replace(",", " ")), TAG_LIMIT) for tag in tags)
    return list(dict.fromkeys(tag for tag in fitted if tag))[:TAGS_LIMIT]


def _fit_responders(responders: Sequence[Responder]) -> list[dict[str, str]]:
    """Return the responders that say who they are; any other would fail the whole request."""
    fitted: list[dict[str, str]] = []
    for responder in responders:
        texts = {name: _as_written(getattr(responder, name)) for name in RESPONDER_FIELDS}
        kept = {name: text for name, text in texts.items() if text}
        if len(kept) > 1 and kept not in fitted:
            fitted.append(kept)
    return fitted[:RESPONDERS_LIMIT]


def _fit_details(details: Mapping[str, object]) -> dict[str, str]:
    """Return flat details within the limit; what does not fit is dropped, from the end.

    A value that is too long by itself is dropped first: it must not cost the others their place.
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
    """Yield names and texts fit to be shown, one by one, because there may be very many.

    Of several details with the same name the first stays. Names that become equal by cleaning get
    a number, and a name that becomes empty is replaced by `detail`.
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
