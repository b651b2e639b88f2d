"""What the `dlq` commands share: the options that select dead letters, and how one is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from stream_app.cli.completing import id_option, offer
from stream_app.cli.output import text_of
from stream_app.cli.parameters import moments_of, time_options
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.dead_letters.dead_letter import DeadLetter, Place, parse_place
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.errors import DeadLetterReason, StreamAppError, UsageError
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES
from stream_app.kafka.dead_letters.reading import sources_of
from stream_app.settings import Settings

#: Types of a record's timestamp, as kcat names them.
_TIMESTAMP_TYPES = {0: "create", 1: "logappend"}

_OPTIONS = (
    click.argument(
        "topics", metavar="[TOPIC]...", nargs=-1, shell_complete=offer(*DEAD_LETTER_SOURCES)
    ),
    id_option(Kind.INTEGRATION, "Only deliveries and alerts for this integration."),
    id_option(Kind.CLIENT, "Only those of this client, where that can be read."),
    click.option(
        "--reason", "reasons", metavar="R", multiple=True,
        type=click.Choice([reason.value for reason in DeadLetterReason]),
        help="Only those with this x-error-reason; may be given several times.",
    ),
    time_options("Only those that became dead letters"),
)  # fmt: skip

#: Further options of the commands that change dead letters.
place_option = click.option(
    "--place", "places", metavar="PLACE", multiple=True, help="Only the letter at this place."
)
all_option = click.option(
    "--all", "is_all", is_flag=True, help="All dead letters; needed if nothing else selects some."
)


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options that select dead letters to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selection_of(
    *,
    integration_id: int | None,
    client_id: int | None,
    reasons: Sequence[str],
    start: str | None,
    end: str | None,
    places: Sequence[Place] = (),
) -> Selection:
    """Return the selection of the options.

    Raises:
        UsageError: a time is malformed, or no time is left between the two.
    """
    since_ms, until_ms = moments_of(start, end)
    return Selection(
        integration_id=integration_id,
        client_id=client_id,
        reasons=frozenset(reasons),
        since_ms=since_ms,
        until_ms=until_ms,
        places=frozenset(places),
    )


def dead_letter_topics(settings: Settings, names: Sequence[str]) -> list[str]:
    """Return the full names of the dead-letter topics that are named; all, if none is.

    A source or its dead-letter topic may be named, with or without the installation's prefix.

    Raises:
        UsageError: one of them has no dead letters.
    """
    sources = sources_of(settings)
    known = {
        name: topic
        for topic, source in sources.items()
        for name in (source.value, f"{source}.dlq", topic, topic.removesuffix(".dlq"))
    }
    for name in names:
        if name not in known:
            raise UsageError(
                f"{name} has no dead letters: name one of {', '.join(sources.values())}"
            )
    return list(dict.fromkeys(known[name] for name in names)) or list(sources)


def place_of(settings: Settings, text: str) -> Place:
    """Return the place of a text, with the full name of its topic.

    Raises:
        UsageError: it is not the place of a dead letter.
    """
    place = parse_place(text)
    return place._replace(topic=dead_letter_topics(settings, [place.topic])[0])


def meant(
    settings: Settings,
    topics: Sequence[str],
    places: Sequence[str],
    *,
    is_all: bool,
    filters: Mapping[str, Any],
) -> tuple[Selection, list[str]]:
    """Return which dead letters a command is to change, and the topics that they lie in.

    Raises:
        UsageError: nothing selects some of them, and `--all` is not given; or an option is wrong.
    """
    selection = selection_of(**filters, places=[place_of(settings, text) for text in places])
    if selection.is_everything and not topics and not is_all:
        raise UsageError(
            "say which dead letters are meant: a TOPIC, --integration, --client, --reason, "
            "--from, --to, --place, or --all"
        )
    return selection, dead_letter_topics(settings, [*topics, *(p.topic for p in selection.places)])


def not_found(place: Place) -> StreamAppError:
    """Return the error for a place without a dead letter."""
    return StreamAppError(
        f"no dead letter lies at {place}: `stream-app dlq list` shows which there are; the topic "
        "keeps them for 30 days"
    )


def check_places(index: DeadLetterIndex) -> None:
    """Check that each place that was named has a dead letter.

    Raises:
        StreamAppError: one has none.
    """
    for place in sorted(index.selection.places):
        if place.offset not in index.entries.get(place.log, {}):
            raise not_found(place)


def envelope(letter: DeadLetter, broker: int) -> dict[str, object]:
    """Return a dead letter in the form of `kcat -J`; bytes that are not UTF-8 are replaced."""
    return {
        "topic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "tstype": _TIMESTAMP_TYPES.get(letter.timestamp_type, "unknown"),
        "ts": letter.timestamp_ms,
        "broker": broker,
        "headers": flat_headers(letter.headers),
        "key": text_of(letter.key),
        "payload": text_of(letter.value),
    }


def flat_headers(headers: Sequence[tuple[str, bytes]]) -> list[str | None]:
    """Return headers as kcat prints them: name, value, name, value."""
    return [text for name, value in headers for text in (name, text_of(value))]


def shown_bytes(value: bytes | None) -> str:
    r"""Return bytes as text for a person; bytes that are not UTF-8 are shown as `\xff`."""
    return "" if value is None else value.decode(errors="backslashreplace")
