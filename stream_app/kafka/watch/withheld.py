"""Records that open transactions hold back: readers of committed records do not see them.

A transaction that is open for a moment is normal. One whose producer was killed holds back
everything behind it in its partition until it times out, which may be never.
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

#: A transaction that is open for longer is logged.
LONG_SECONDS = 60.0
#: Most that is counted between two looks: after a longer pause the worker itself was suspended.
MAX_STEP_SECONDS = 2.0


@dataclass
class _HeldBack:
    """The records held back in a partition, and for how long its stable end has not moved."""

    stable_end: int
    records: int
    fetched_at_ms: int | None
    seconds: float = 0.0


class WithheldRecords:
    """Finds from a consumer's fetches what is held back; `look` is called regularly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_look = clock()
        self._held: dict[TP, _HeldBack] = {}
        self._reported: set[TP] = set()
        #: Topic -> records held back, and seconds that the longest waiting partition has waited.
        self.by_topic: Mapping[str, tuple[int, float]] = {}

    def look(self, fetched: Mapping[TP, Fetched]) -> None:
        """Bring `by_topic` up to date. It has no topic of which no partition was fetched yet."""
        now = self._clock()
        step, self._last_look = min(now - self._last_look, MAX_STEP_SECONDS), now
        by_topic: dict[str, tuple[int, float]] = {}
        held: dict[TP, _HeldBack] = {}
        for tp, at in fetched.items():
            if at.end is None or at.log_end is None:
                continue
            records = max(0, at.log_end - at.end)
            seconds = 0.0
            if records:
                held[tp] = one = _HeldBack(at.end, records, at.at_ms)
                before = self._held.get(tp)
                if before is not None and before.stable_end == at.end:
                    # Without a fetch since then, nobody knows whether it is still held back.
                    is_fetched = at.at_ms != before.fetched_at_ms
                    one.seconds = before.seconds + (step if is_fetched else 0.0)
                seconds = one.seconds
            all_records, longest = by_topic.get(tp.topic, (0, 0.0))
            by_topic[tp.topic] = all_records + records, max(longest, seconds)
        self._held, self.by_topic = held, by_topic
        self._report()

    def forget(self) -> None:
        """Note that nothing is known any more."""
        self._held, self.by_topic = {}, {}

    def _report(self) -> None:
        long = {tp for tp, one in self._held.items() if one.seconds >= LONG_SECONDS}
        for tp in sorted(long - self._reported):
            one = self._held[tp]
            log.warning(
                "records_withheld", topic=tp.topic, partition=tp.partition, offset=one.stable_end,
                records=one.records, seconds=round(one.seconds), why="a transaction is open",
            )  # fmt: skip
        for tp in sorted(self._reported - long):
            log.info("records_withheld_no_more", topic=tp.topic, partition=tp.partition)
        self._reported = long


class WithheldMeter:
    """Keeps the metrics of records held back from a worker; `look` is called regularly.

    For the configuration's topics it uses the fetches of their reader, which every worker has.
    """

    def __init__(
        self, app: StreamApp, reader: ConfigurationReader, names: TopicNames, metrics: Metrics
    ) -> None:
        self._app = app
        self._reader = reader
        self._metrics = metrics
        sources = (topic for topic in ROLE_SOURCES[app.role] if topic not in VIEW_TOPICS)
        self._sources = WithheldRecords(), {names(topic): str(topic) for topic in sources}
        self._views = WithheldRecords(), {names(topic): str(topic) for topic in VIEW_TOPICS}

    def look(self, *, is_broker_away: bool) -> None:
        """Bring the metrics up to date. A topic for which nothing is known has no sample."""
        app = self._app
        is_known = app.started and app.consumer is not None and not app.rebalancing
        own = app.consumer.fetched() if is_known else None
        self._show(*self._sources, own, is_silent=is_broker_away)
        is_silent = self._reader.last_error is not None
        self._show(*self._views, self._reader.fetched(), is_silent=is_silent)

    def _show(
        self,
        withheld: WithheldRecords,
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
            known = withheld.by_topic.get(topic)
            # While the broker is silent, records that were held back still are; but a count of 0
            # may be out of date.
            if is_silent and known is not None and not known[0]:
                known = None
            records, seconds = (None, None) if known is None else known
            self._metrics.withheld_records.labels(label).set(records)
            self._metrics.withheld_seconds.labels(label).set(seconds)
