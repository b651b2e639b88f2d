"""How far a worker is behind: the records of its own partitions that are not done.

A record is done when it is acknowledged with everything it caused: after a crash the worker goes on
behind it. No request is needed for this. Each fetch, even an empty one, tells the end of its
partition; before the first fetch the end is known from the start of the assignment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.engine.flush_loop import FlushLoop
from stream_app.kafka.records.fetch_states import Fetched
from stream_app.kafka.state.state_table import StateTable
from stream_app.metrics import Metrics


class LagMeter:
    """Keeps the metrics of records consumed, lost, and not done; `look` is called regularly."""

    def __init__(self, app: StreamApp, names: TopicNames, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        #: Full name -> base name, the label.
        self._labels = {names(topic): str(topic) for topic in ROLE_SOURCES[app.role]}
        self._loops = {topic: loop for loop in app.flush_loops for topic in loop.topics}
        self._tables = {topic: t for t in app.state_tables for topic in t.source_topics}
        self._counted: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def look(self, *, is_broker_away: bool = False) -> None:
        """Bring the metrics up to date.

        A topic whose lag is not known has no sample: before its partitions are assigned and their
        state is read, while partitions move, and if the worker has none of them. While the broker
        is silent, records that waited before still wait; but a lag of 0 may be out of date.
        """
        for topic, label in self._labels.items():
            done = self._loops[topic].done[topic]
            self._metrics.consumed.labels(label).inc(done - self._counted[topic])
            self._counted[topic] = done
        self._count_lost()
        lags = self._lags()
        for topic, label in self._labels.items():
            lag = lags.get(topic)
            self._metrics.consumer_lag.labels(label).set((lag or None) if is_broker_away else lag)

    def _count_lost(self) -> None:
        consumer = self._app.consumer
        if not self._app.started or consumer is None:
            return
        consumer.note_lost()
        for topic, label in self._labels.items():
            lost = consumer.lost.total[topic]
            self._metrics.lost_records.labels(label).inc(lost - self._lost[topic])
            self._lost[topic] = lost

    def _lags(self) -> Mapping[str, int]:
        """Return the lag of each topic that this worker has partitions of, where it is known."""
        app = self._app
        if not app.started or app.consumer is None or app.rebalancing:
            return {}
        lags: Counter[str] = Counter()
        for tp, fetched in (app.consumer.fetched() or {}).items():
            if tp.topic not in self._labels:
                continue
            table = self._tables[tp.topic]
            if table.known_states() is None or tp not in app.consumer.start_positions:
                return {}
            lags[tp.topic] += partition_lag(tp, fetched, app.consumer, table, self._loops[tp.topic])
        return lags


def partition_lag(
    tp: TP, fetched: Fetched, consumer: Any, table: StateTable[Any], loop: FlushLoop
) -> int:
    """Return the number of records of a partition that are not done.

    Args:
        tp: the partition.
        fetched: how far it is fetched, and where it ends.
        consumer: Faust's consumer.
        table: holds its progress.
        loop: takes its batches.
    """
    end = max(fetched.end or 0, consumer.end_offsets.get(tp, 0))
    done_to = consumer.start_positions.get(tp, 0)
    if (state := table.states.get(tp.partition)) is not None:
        done_to = max(done_to, state.progress_of(tp.topic) + 1)
    if loop.is_idle and not consumer.waiting.number[tp.topic] and fetched.position is not None:
        # All that was fetched is done. The marker that ends a transaction is no record.
        done_to = max(done_to, fetched.position)
    return int(max(0, end - done_to))
