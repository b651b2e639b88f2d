"""Records that open transactions hold back: nobody who reads what is committed sees them.

A transaction that is open for a moment is normal. One that nobody ends, since its producer was
killed, holds back all that comes behind it in its partition until it times out, which may be never.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from faust.types import TP

from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.cluster.topics import VIEW_TOPICS, TopicNames
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.records.fetch_states import Fetched
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: A transaction that is open for longer is worth a line in the log.
LONG_SECONDS = 60.0
#: A pause between two looks that is longer says nothing: the worker was stopped, perhaps.
MAX_STEP_SECONDS = 2.0


@dataclass
class _Open:
    """What holds a partition's records back: since when its end has not moved, by fetches."""

    end: int
    records: int
    at_ms: int | None
    seconds: float = 0.0


class Withheld:
    """Sees by the fetches of a consumer what is held back; `look` is called now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_look = clock()
        self._open: dict[TP, _Open] = {}
        self._said: set[TP] = set()
        #: Topic -> records held back, and for how long those of the partition that waits longest.
        self.found: Mapping[str, tuple[int, float]] = {}

    def look(self, fetched: Mapping[TP, Fetched]) -> None:
        """Bring it up to date; of a topic that no partition is fetched of yet, nothing is known."""
        now = self._clock()
        step, self._last_look = min(now - self._last_look, MAX_STEP_SECONDS), now
        found: dict[str, tuple[int, float]] = {}
        still: dict[TP, _Open] = {}
        for tp, at in fetched.items():
            if at.end is None or at.log_end is None:
                continue
            records = max(0, at.log_end - at.end)
            seconds = 0.0
            if records:
                still[tp] = one = _Open(at.end, records, at.at_ms)
                before = self._open.get(tp)
                if before is not None and before.end == at.end:
                    # Where nothing was fetched since, nobody knows whether it is still so.
                    one.seconds = before.seconds + (step if at.at_ms != before.at_ms else 0.0)
                seconds = one.seconds
            all_records, longest = found.get(tp.topic, (0, 0.0))
            found[tp.topic] = all_records + records, max(longest, seconds)
        self._open, self.found = still, found
        self._tell()

    def forget(self) -> None:
        """Note that nothing is known any more."""
        self._open, self.found = {}, {}

    def _tell(self) -> None:
        long = {tp for tp, one in self._open.items() if one.seconds >= LONG_SECONDS}
        for tp in sorted(long - self._said):
            one = self._open[tp]
            log.warning(
                "records_withheld", topic=tp.topic, partition=tp.partition, offset=one.end,
                records=one.records, seconds=round(one.seconds), why="a transaction is open",
            )  # fmt: skip
        for tp in sorted(self._said - long):
            log.info("records_withheld_no_more", topic=tp.topic, partition=tp.partition)
        self._said = long


class WithheldMeter:
    """Keeps the metrics of what is held back from a worker; `look` is called now and then.

    Of the configuration's topics it goes by the reader, which every worker has.
    """

    def __init__(
        self, app: StreamApp, reader: ConfigurationReader, names: TopicNames, metrics: Metrics
    ) -> None:
        self._app = app
        self._reader = reader
        self._metrics = metrics
        sources = (topic for topic in ROLE_SOURCES[app.role] if topic not in VIEW_TOPICS)
        self._sources = Withheld(), {names(topic): str(topic) for topic in sources}
        self._views = Withheld(), {names(topic): str(topic) for topic in VIEW_TOPICS}

    def look(self, *, is_broker_away: bool) -> None:
        """Bring the metrics up to date; of a topic of which it is not known there is no sample."""
        app = self._app
        is_known = app.started and app.consumer is not None and not app.rebalancing
        own = app.consumer.fetched() if is_known else None
        self._show(*self._sources, own, is_silent=is_broker_away)
        is_silent = self._reader.last_error is not None
        self._show(*self._views, self._reader.fetched(), is_silent=is_silent)

    def _show(
        self,
        withheld: Withheld,
        labels: Mapping[str, str],
        fetched: Mapping[TP, Fetched] | None,
        *,
        is_silent: bool,
    ) -> None:
        if fetched is None:
            withheld.forget()
        else:
            withheld.look({tp: at for tp, at in fetched.items() if tp.topic in labels})
        for topic, label in labels.items():
            known = withheld.found.get(topic)
            # What was held back when a broker fell silent still is; that nothing was says nothing.
            if is_silent and known is not None and not known[0]:
                known = None
            records, seconds = (None, None) if known is None else known
            self._metrics.withheld_records.labels(label).set(records)
            self._metrics.withheld_seconds.labels(label).set(seconds)
