"""The formats in which workers and commands write for each other, and how a newer one is refused.

A format is a number. It is raised when an older version would misread what a newer one writes; a
new field that older versions ignore does not raise it. Records carry it in a header, which versions
from before formats ignore; a record without the header has format 1. What producers send
(`events.*`) has no format: that contract only grows.

The format of a state stands in the topic that keeps the ids of a role's topics, not in its records:
a state may have a million of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream_app import __version__
from stream_app.domain.errors import NewerFormatError
from stream_app.domain.topics import CONFIG_TOPICS, Topic

#: Header of a record that workers or commands have written.
FORMAT_HEADER = "x-format"
#: The same for the facts of a dead letter, whose source record keeps its own format.
LETTER_FORMAT_HEADER = "x-dead-letter-format"
#: Topic -> the newest format that this version reads. Format 2 of the deliveries and their results
#: has those of episodes.
RECORD_FORMATS: Mapping[Topic, int] = {
    **dict.fromkeys(CONFIG_TOPICS, 1),
    Topic.STATUS: 1,
    Topic.COUNTS: 1,
    Topic.ALERTS: 1,
    Topic.DELIVERIES: 2,
    Topic.RESULTS: 2,
}
#: Topic -> the format of the records that name no other. A version that knows no episodes can go on
#: until somebody has chosen them.
USUAL_FORMATS: Mapping[Topic, int] = {**RECORD_FORMATS, Topic.DELIVERIES: 1, Topic.RESULTS: 1}
LETTER_FORMAT = 1
#: Most digits of a format.
MAX_DIGITS = 9
#: Table -> the format of its state; format 2 has packed records (`packed_log.FORM`).
STATE_FORMATS: Mapping[str, int] = {
    "cells-attacks": 2,
    "cells-hits": 2,
    "cells-incidents": 2,
    "windows": 2,
    "matched": 1,
    "announced": 1,
    "routed": 1,
    "deliveries": 1,
}

Headers = tuple[tuple[str, bytes], ...]


def format_headers(topic: Topic, *, is_newest: bool = False) -> Headers:
    """Return the headers that say in which format this version writes to a topic.

    Args:
        topic: that is written to.
        is_newest: whether the record needs the newest format, and not the usual one.
    """
    known = (RECORD_FORMATS if is_newest else USUAL_FORMATS).get(topic)
    return () if known is None else ((FORMAT_HEADER, b"%d" % known),)


def with_format(headers: Sequence[tuple[str, bytes]], usual: Headers) -> list[tuple[str, bytes]]:
    """Return the headers of a record with the usual format of its topic, unless they name one."""
    if headers and usual and any(name == FORMAT_HEADER for name, _ in headers):
        return list(headers)
    return [*headers, *usual]


def require_known_formats(topic: str, partition: int, records: Iterable[Any]) -> None:
    """Check that this version can read the records of a topic, given by its full name.

    Raises:
        NewerFormatError: a newer version has written one of them.
    """
    rule = _rule(topic)
    if rule is None:
        return
    header, known = rule
    for record in records:
        for name, value in record.headers:
            if name == header and (found := _number(value)) > known:
                raise NewerFormatError(
                    f"{topic} partition {partition}, offset {record.offset} has format "
                    f"{found}, {reads_up_to(known)}. A newer stream-app has written it: run "
                    "that version (deploy/upgrading.md)"
                )


def require_known_state(changelog: str, table: str, found: int) -> None:
    """Check that this version can read the state that a changelog holds.

    Raises:
        NewerFormatError: a newer version keeps it.
    """
    known = STATE_FORMATS.get(table, 0)
    if found > known:
        raise NewerFormatError(
            f"{changelog} holds a state of format {found}, {reads_up_to(known)}. A newer "
            "stream-app keeps it: run that version (deploy/upgrading.md)"
        )


def reads_up_to(known: int) -> str:
    """Say which formats this version reads."""
    return f"and this version ({__version__}) reads formats up to {known}"


def _number(value: bytes | None) -> int:
    """Return the format in a header; 1 if it holds none."""
    return int(value) if value and value.isdigit() and len(value) <= MAX_DIGITS else 1


@functools.lru_cache(maxsize=1000)
def _rule(topic: str) -> tuple[str, int] | None:
    """Return the header to look at, and the newest known format; None: the topic has none."""
    if topic.endswith(".dlq"):
        return LETTER_FORMAT_HEADER, LETTER_FORMAT
    base = next((base for base in RECORD_FORMATS if topic.endswith(base)), None)
    return None if base is None else (FORMAT_HEADER, RECORD_FORMATS[base])
