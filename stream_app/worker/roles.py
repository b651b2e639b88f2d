"""The roles of workers: which app each one runs, which topics it only writes, and its port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_app.detector.app import OUTPUTS as DETECTOR_OUTPUTS
from stream_app.detector.app import create_detector
from stream_app.domain.topics import Role
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.metrics import Metrics
from stream_app.notifier.app import create_notifier
from stream_app.settings import Settings

#: Builds the app of a role, which does not run yet, from the settings, the brokers' addresses, the
#: partition counts of topics, the reader of the configuration, and the metrics.
CreateApp = Callable[[Settings, str, Mapping[Topic, int], ConfigurationReader, Metrics], StreamApp]


@dataclass(frozen=True)
class WorkerRole:
    """What a worker of a role is made of.

    Attributes:
        outputs: topics that it only writes to.
        own: topics that it reads and writes; dead letters and its state's topics come on top.
    """

    create_app: CreateApp
    outputs: Sequence[Topic]
    own: Sequence[Topic]
    default_port: int


WORKER_ROLES: Mapping[Role, WorkerRole] = {
    "detector": WorkerRole(create_detector, DETECTOR_OUTPUTS, (Topic.COUNTS, Topic.ACCOUNT), 9464),
    "notifier": WorkerRole(
        create_notifier, (Topic.ACCOUNT,), (Topic.DELIVERIES, Topic.RESULTS, Topic.STATUS), 9465
    ),
}
