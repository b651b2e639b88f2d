"""The detector's Faust app: three `count` agents, `evaluate`, `match` and `announce`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from stream_app.detector.announce import AnnounceStage, BaselineWriter
from stream_app.detector.count import CountStage
from stream_app.detector.evaluate import EvaluateStage
from stream_app.detector.match import MatchStage
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.partition_windows import PartitionWindows
from stream_app.domain.events.model import EventKind
from stream_app.domain.notices.announced_objects import AnnouncedObjects
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, TOPIC_OF_KIND, Topic, TopicNames
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.configuration.records import TOPIC_OF, several_partitions
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.state_table import StateTable
from stream_app.key_ring import secret_keys_of
from stream_app.metrics import Metrics
from stream_app.settings import Settings

#: Topics that this role only writes to.
OUTPUTS = (Topic.ALERTS,)


def create_detector(
    settings: Settings,
    bootstrap_servers: str,
    partitions: Mapping[Topic, int],
    reader: ConfigurationReader,
    metrics: Metrics,
) -> StreamApp:
    """Build the app; nothing runs before `app.start()`.

    `partitions` holds the real partition counts of the topics that the role reads
    (`ROLE_SOURCES`): their owners may have chosen others than the setting.

    Raises:
        TopicMismatchError: a `config.*` topic has several partitions.
    """
    app = StreamApp("detector", settings, bootstrap_servers)
    signer = NoticeSigner(secret_keys_of(settings))
    names = TopicNames(settings.topic_prefix)
    for kind in EventKind:
        topic = TOPIC_OF_KIND[kind]
        new_state = partial(PartitionCounts, kind)
        cells = PackedTable(app, f"cells-{kind}", [names(topic)], partitions[topic], new_state)
        count = CountStage(
            kind,
            cells,
            partitions[Topic.COUNTS],
            reader.configuration,
            names,
            metrics,
            app.clock.now_ms,
        )
        app.batch_agent(f"count-{kind}", [names(topic)], count)
        metrics.events_expected.labels(kind).set(kind not in settings.detector.quiet_events)
    counts = [names(Topic.COUNTS)]
    windows = PackedTable(app, "windows", counts, partitions[Topic.COUNTS], PartitionWindows)
    app.batch_agent("evaluate", counts, EvaluateStage(windows, reader, names, metrics))
    account = [names(Topic.ACCOUNT)]
    matched = StateTable(app, "matched", account, partitions[Topic.ACCOUNT], PartitionProgress)
    app.batch_agent("match", account, MatchStage(matched, reader, names, metrics, signer))
    _add_announce(app, names, partitions, reader, signer)
    return app


def _add_announce(
    app: StreamApp,
    names: TopicNames,
    partitions: Mapping[Topic, int],
    reader: ConfigurationReader,
    signer: NoticeSigner,
) -> None:
    for topic in CONFIG_TOPICS:
        if partitions[topic] != 1:
            raise several_partitions(names(topic), partitions[topic])
    topics = {kind: names(topic) for kind, topic in TOPIC_OF.items()}
    sources = list(topics.values())
    table = StateTable(app, "announced", sources, 1, partial(AnnouncedObjects, topics))
    baselines = BaselineWriter(app, table, sources)
    app.batch_agent("announce", sources, AnnounceStage(table, baselines, reader, names, signer))
