"""What a shell offers at TAB: topics, which are known, and ids, if Kafka tells them at once.

A shell asks by running the command anew. Nothing may appear between its lines and nothing may
hang: errors are silent, and the process ends without an offer when Kafka takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.foreign_text.printable import printable
from stream_app.kafka.configuration.records import read_stored
from stream_app.kafka.history.alert_history import Bounds, read_alert_history
from stream_app.settings import Settings, load_settings

if TYPE_CHECKING:
    from click import Context, Parameter

#: Text that is offered, and what it is.
Offer = tuple[str, str]
#: Longest time that a person waits for ids.
MOST_SECONDS = 1.5
#: Most alerts and objects that are offered: more cannot be looked through.
MOST = 200


class ObjectId(click.types.IntParamType):
    """The id of a configured object; of which kind may be said by an argument before it.

    It is no `click.IntRange`, whose help would show a range where there is none.
    """

    name = "integer"

    def __init__(self, kind: Kind | None = None, minimum: int | None = None) -> None:
        self._kind = kind
        self._minimum = minimum

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> int:
        """Return the number, or end with a usage error."""
        number = int(super().convert(value, param, ctx))
        if self._minimum is not None and number < self._minimum:
            self.fail(f"{number} is not an id: ids begin at {self._minimum}", param, ctx)
        return number

    def shell_complete(
        self,
        ctx: Context,
        param: Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the ids that are configured, each with the name of its object."""
        kind = self._kind or next((k for k in Kind if f"{k}s" == ctx.params.get("kind")), None)
        return _offers(incomplete, lambda settings: _ids(settings, kind))


def id_option(kind: Kind, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that selects an object by its id, such as `--client`, with this help."""
    return click.option(f"--{kind}", f"{kind}_id", metavar="ID", type=ObjectId(kind), help=text)


def offer_alerts(_ctx: Context, _param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the last parts of the newest alerts' ids: shells take a colon for a word's end."""
    return _offers(incomplete, _alerts)


def offer(*words: str) -> Callable[[Context, Parameter, str], list[CompletionItem]]:
    """Return what offers these words, such as the names of topics."""
    return lambda _ctx, _param, incomplete: [
        CompletionItem(word) for word in words if word.startswith(incomplete)
    ]


async def _ids(settings: Settings, kind: Kind | None) -> list[Offer]:
    stored = await read_stored(settings)
    return [
        (str(number), str(record.get("name")))
        for number, record in sorted(stored[kind].items() if kind else ())
    ]


async def _alerts(settings: Settings) -> list[Offer]:
    histories, _ = await read_alert_history(
        settings, Bounds(MOST), lambda _alert: True, lambda _done, _total: None
    )
    newest = sorted(histories.by_id.values(), key=lambda history: -history.fired_ms)
    return [
        (history.alert.id.rpartition(":")[2], f"client {history.alert.client_id}")
        for history in newest
    ]


def _offers(
    incomplete: str, read: Callable[[Settings], Coroutine[Any, Any, list[Offer]]]
) -> list[CompletionItem]:
    """Return what a coroutine finds in time and what begins as typed; nothing if it fails."""
    with _in_time(), contextlib.suppress(Exception):
        found = asyncio.run(read(load_settings()))
        return [
            CompletionItem(text, help=printable(name))
            for text, name in found
            if text.startswith(incomplete)
        ][:MOST]
    return []


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """End the process, with nothing to offer, when this takes too long."""
    logging.disable(logging.CRITICAL)
    end = threading.Timer(MOST_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()
    try:
        yield
    finally:
        end.cancel()
        logging.disable(logging.NOTSET)
