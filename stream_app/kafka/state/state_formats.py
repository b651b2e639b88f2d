"""The formats of a role's states: a worker that meets a newer one ends before it writes anything.

They stand beside the ids of the topics (`topic_ids.py`). A worker writes its own before it joins
the group. It reads all of them at its start, and again at each rebalance with the changelogs. So an
older worker has read a newer one's before it writes anything beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from faust.types import TP

from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.formats import STATE_FORMATS, require_known_state
from stream_app.domain.state.keys import NEVER
from stream_app.kafka.records.unreadable_batches import UnreadableBatch

_CHANGELOG = "-changelog"


class KnownTopic(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a role keeps of a topic: its id and, of a changelog, the format of the state in it.

    0: it is no changelog, or the state is from before formats were kept.
    """

    id: str
    format: int = 0


_decode = msgspec.json.Decoder(KnownTopic).decode
encode_known = msgspec.json.Encoder().encode


def known_topics(records: Iterable[Any]) -> dict[str, KnownTopic]:
    """Return what records say of topics.

    One that cannot be read is passed over: each start writes what it misses.
    """
    known: dict[str, KnownTopic] = {}
    for record in records:
        with contextlib.suppress(*DECODE_ERRORS, AttributeError, TypeError):
            known[record.key.decode()] = _decode(record.value)
    return known


def ids_topic(app_id: str) -> str:
    """Return the name of the topic that keeps the ids and the formats."""
    return f"{app_id}-known-topics{_CHANGELOG}"


def own_format(topic: str, app_id: str) -> int:
    """Return the format in which this version keeps the state of a changelog; 0: it is none."""
    return STATE_FORMATS.get(_table(topic, app_id), 0)


def require_known_states(known: Mapping[str, KnownTopic], app_id: str) -> None:
    """Check that this version can read the states of a role.

    Raises:
        NewerFormatError: a newer version keeps one of them.
    """
    for topic, fact in known.items():
        if fact.format:
            require_known_state(topic, _table(topic, app_id), fact.format)


def _table(topic: str, app_id: str) -> str:
    """Return the table that a changelog is of; any other topic gives a name that no table has."""
    return topic.removeprefix(f"{app_id}-").removesuffix(_CHANGELOG)


class StateFormats:
    """The topic of the formats, read in its turn with the changelogs as if it were a table's."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._read_to = NEVER
        self.place = TP(ids_topic(app_id), 0)

    def persisted_offset(self, _tp: TP) -> int:
        """Return the offset up to which the topic has been read."""
        return self._read_to

    def begin_reading(self, _partition: int, _begin: int) -> None:
        """Prepare nothing."""

    def restore(self, _partition: int, records: Sequence[Any]) -> None:
        """Check the formats in some records.

        Raises:
            NewerFormatError: a newer version keeps a state.
        """
        require_known_states(known_topics(records), self._app_id)

    def note_unreadable(self, _partition: int, _batch: UnreadableBatch) -> None:
        """Pass over a batch that cannot be read: each start writes what it misses."""

    def finish_reading(self, _partition: int, _begin: int, end: int) -> Iterator[None]:
        """Note that the topic has been read to its end."""
        self._read_to = end - 1
        yield
