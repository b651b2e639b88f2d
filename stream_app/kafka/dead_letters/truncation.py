"""Truncating a dead letter that its topic refuses for its size.

A dead-letter topic may take smaller records (`max.message.bytes`) than what is to be put there.
The value is halved until nothing is left of it. Then the record's own headers go, then the error
message. A dead letter that says only where its record lies and why it was refused is still worth
more than none.
"""

from __future__ import annotations

import msgspec
from aiokafka.errors import KafkaError

from stream_app.domain.formats import LETTER_FORMAT_HEADER
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, TopicNames
from stream_app.kafka.dead_letters.writing import HEADERS, REASON_HEADER, SIZE_HEADER
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: A shorter value is of no use to anybody.
LEAST_VALUE_BYTES = 64
#: The headers that are kept to the last.
COORDINATES = (
    "x-original-topic",
    "x-original-partition",
    "x-original-offset",
    SIZE_HEADER,
    "x-event-index",
    REASON_HEADER,
    LETTER_FORMAT_HEADER,
)


def is_dead_letter(send: Send) -> bool:
    """Tell whether a record is a dead letter, which may be truncated."""
    return any(name == REASON_HEADER for name, _ in send.headers)


def truncated(send: Send) -> Send | None:
    """Return a dead letter with less of its record; None: nothing more can be left out."""
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


class OversizedRecords:
    """Decides what is sent in place of a record that its topic refuses for its size."""

    def __init__(self, names: TopicNames) -> None:
        #: Dead-letter topic -> the topic it is for.
        self._sources = {names.dead_letters(topic): topic for topic in DEAD_LETTER_SOURCES}
        self._reported: set[str] = set()
        self._metrics: Metrics | None = None

    def report_to(self, metrics: Metrics) -> None:
        """Count in these metrics what is lost."""
        self._metrics = metrics

    def _in_place_of(self, topic: str, dead_letter: Send, error: KafkaError) -> Send:
        reason = dict(dead_letter.headers)[REASON_HEADER].decode()
        if self._metrics is not None:
            self._metrics.dead_letters.labels(self._sources[dead_letter.topic], reason).inc()
        log.warning("record_refused", topic=topic, why=str(error), then="it is a dead letter")
        return dead_letter

    def refused(self, send: Send, error: KafkaError) -> Send | None:
        """Return what is sent in place of a refused record; None: nothing can be.

        Raises:
            KafkaError: the record is no dead letter, and has none that could replace it.
        """
        if send.if_too_large is not None:
            return self._in_place_of(send.topic, send.if_too_large(), error)
        if not is_dead_letter(send):
            raise error
        found = truncated(send)
        if found is None:
            if self._metrics is not None:
                self._metrics.lost_dead_letters.labels(self._sources[send.topic]).inc()
            facts = {name: value.decode(errors="replace") for name, value in send.headers}
            log.error("dead_letter_lost", topic=send.topic, why=str(error), letter=facts)
        elif send.topic not in self._reported:
            self._reported.add(send.topic)
            log.warning(
                "dead_letters_cut",
                topic=send.topic,
                why=str(error),
                then="as much as the topic takes is written",
            )
        return found
