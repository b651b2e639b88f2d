"""Cutting a dead letter that its topic refuses for its size, down to where its record lies.

`max.message.bytes` of a dead-letter topic may be smaller than what is refused. The value goes
first, by halves, then what a record brought along, then the words; a letter that says where its
record lies, and why it is here, is still worth more than none.
"""

from __future__ import annotations

import msgspec
from aiokafka.errors import KafkaError

from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, TopicNames
from stream_app.kafka.dead_letters.writing import HEADERS, REASON_HEADER, SIZE_HEADER
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: A value that is shorter tells nothing any more.
LEAST_VALUE_BYTES = 64
#: What is left in the end.
COORDINATES = (
    "x-original-topic",
    "x-original-partition",
    "x-original-offset",
    SIZE_HEADER,
    "x-event-index",
    REASON_HEADER,
)


def is_letter(send: Send) -> bool:
    """Tell whether a record is a dead letter, which may be cut."""
    return any(name == REASON_HEADER for name, _ in send.headers)


def cut(send: Send) -> Send | None:
    """Return a dead letter with less of its record; None: nothing can be left out any more."""
    headers, value = list(send.headers), send.value or b""
    if value:
        if SIZE_HEADER not in dict(headers):
            headers.append((SIZE_HEADER, str(len(value)).encode()))
        kept = len(value) // 2 if len(value) > LEAST_VALUE_BYTES else 0
        return msgspec.structs.replace(send, value=value[:kept], headers=headers)
    for names in (HEADERS.keys(), HEADERS.keys() - {"x-error-message"}, COORDINATES):
        fewer = [(name, found) for name, found in headers if name in names]
        if len(fewer) < len(headers):
            return msgspec.structs.replace(send, headers=fewer)
    if send.key is not None:
        return msgspec.structs.replace(send, key=None, value=b"")
    return None


class RefusedLetters:
    """What becomes of records that a topic refuses for their size: dead letters are cut."""

    def __init__(self, names: TopicNames) -> None:
        #: Dead-letter topic -> the topic it is for.
        self._sources = {names.dead_letters(topic): topic for topic in DEAD_LETTER_SOURCES}
        self._said: set[str] = set()
        self._metrics: Metrics | None = None

    def report_to(self, metrics: Metrics) -> None:
        """Count there what is lost."""
        self._metrics = metrics

    def _in_place_of(self, topic: str, letter: Send, error: KafkaError) -> Send:
        reason = dict(letter.headers)[REASON_HEADER].decode()
        if self._metrics is not None:
            self._metrics.dead_letters.labels(self._sources[letter.topic], reason).inc()
        log.warning("record_refused", topic=topic, why=str(error), then="it is a dead letter")
        return letter

    def refused(self, send: Send, error: KafkaError) -> Send | None:
        """Return what is sent in the place of a record; None: nothing can be.

        Raises:
            KafkaError: it is no dead letter, and none is left in its place.
        """
        if send.otherwise is not None:
            return self._in_place_of(send.topic, send.otherwise(), error)
        if not is_letter(send):
            raise error
        found = cut(send)
        if found is None:
            if self._metrics is not None:
                self._metrics.lost_dead_letters.labels(self._sources[send.topic]).inc()
            facts = {name: value.decode(errors="replace") for name, value in send.headers}
            log.error("dead_letter_lost", topic=send.topic, why=str(error), letter=facts)
        elif send.topic not in self._said:
            self._said.add(send.topic)
            log.warning(
                "dead_letters_cut",
                topic=send.topic,
                why=str(error),
                then="as much as the topic takes is written",
            )
        return found
