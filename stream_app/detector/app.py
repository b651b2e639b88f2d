"""The detector's Faust app: three `count` agents and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from stream_app.detector.count import TOPICS, CountStage
from stream_app.detector.evaluate import EvaluateStage
from stream_app.domain.counting import PartitionCounts
from stream_app.domain.evaluation import PartitionWindows
from stream_app.domain.events import EventKind
from stream_app.kafka.configuration import ConfigurationReader
from stream_app.kafka.faust_app import StreamApp
from stream_app.kafka.topics import EVENT_TOPICS, Topic, TopicNames
from stream_app.metrics import Metrics
from stream_app.settings import Settings

#: Topics whose partitions the state of this role depends on.
SOURCES = (*EVENT_TOPICS, Topic.COUNTS)


def create_detector(
    settings: Settings,
    bootstrap_servers: str,
    partitions: Mapping[Topic, int],
    reader: ConfigurationReader,
    metrics: Metrics,
) -> StreamApp:
    """Build the app; nothing runs before `app.start()`.

    `partitions` are the real partition counts of `SOURCES`: their owners may have chosen others
    than the setting.
    """
    app = StreamApp("detector", settings, bootstrap_servers)
    names = TopicNames(settings.topic_prefix)
    for kind in EventKind:
        topic = TOPICS[kind]
        cells = app.state_table(
            f"cells-{kind}", [names(topic)], partitions[topic], partial(PartitionCounts, kind)
        )
        count = CountStage(kind, cells, reader.configuration, names, metrics)
        app.batch_agent(f"count-{kind}", [names(topic)], count)
    counts = [names(Topic.COUNTS)]
    windows = app.state_table("windows", counts, partitions[Topic.COUNTS], PartitionWindows)
    app.batch_agent("evaluate", counts, EvaluateStage(windows, reader, names, metrics))
    return app
