"""Reads the lines of `kcat -J` on stdin into batches, as a topic would give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

from stream_app.cli.output import say
from stream_app.cli.replay.selection import topic_of_line
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.replay.kcat_lines import KcatRecord, parse_line
from stream_app.domain.replay.ranges import Extent
from stream_app.kafka.cluster.topics import Topic

#: Lines that are read at a time.
CHUNK = 10_000


class LineRecords:
    """Reads records from lines; counts lines without one, and keeps the first for a message."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._number = 0
        self._good = 0
        self._bad = 0
        self._first = ""
        self._times: dict[tuple[Topic, int], tuple[int, int, int]] = {}

    def batches(self) -> Iterator[tuple[Topic, int, Sequence[Any]]]:
        """Yield (topic, partition, records), in the order of each partition."""
        while lines := list(islice(self._source, CHUNK)):
            found: dict[tuple[Topic, int], list[KcatRecord]] = {}
            for line in lines:
                self._number += 1
                if not line.isspace():
                    self._take(line, found)
            for (topic, partition), records in found.items():
                yield topic, partition, records

    def _take(self, line: bytes, found: dict[tuple[Topic, int], list[KcatRecord]]) -> None:
        try:
            record = parse_line(line)
            topic = topic_of_line(record.topic)
            if topic is None:
                raise UsageError(f"is of topic {quoted(record.topic[:100])}, which holds no events")  # noqa: TRY301 - one way for all reasons
        except UsageError as error:
            self._bad += 1
            self._first = self._first or f"line {self._number} {error}"
            return
        self._good += 1
        place = topic, record.partition
        offset, first, _ = self._times.get(place, (record.offset, record.timestamp, 0))
        self._times[place] = offset, first, record.timestamp
        found.setdefault(place, []).append(record)

    def extent(self, topic: Topic) -> Extent:
        """Return the time that the lines of a topic cover, as far as that is certain."""
        rows = [times for place, times in self._times.items() if place[0] is topic]
        return Extent(
            max((first for offset, first, _ in rows if offset), default=None),
            max((last + 1 for _, _, last in rows), default=None),
        )

    def finish(self) -> None:
        """Say which lines could not be used.

        Raises:
            StreamAppError: none could.
        """
        if not self._good:
            raise StreamAppError(
                f"stdin holds no record of an event topic: {self._first or 'it is empty'}: give "
                "what `kcat -C -t events.hits -e -J` prints"
            )
        if self._bad:
            say(f"{self._bad} of {self._number} lines left out; {self._first}")
