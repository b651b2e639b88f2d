"""A Prometheus registry that knows how its metrics are declared, and shows those of one role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from stream_app.domain.topics import Role

Metric = TypeVar("Metric", bound=MetricWrapperBase)
Labels = dict[str, Iterable[str]]


@dataclass(frozen=True)
class MetricRow:
    """A metric as it is declared, for the table in the documentation and for tests.

    `combinations` are the sets of values that its labels have; `role` is the role that shows it.
    `is_known` says that it is shown from the start.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    combinations: tuple[tuple[str, ...], ...]
    help: str
    role: Role | None
    is_known: bool = True


class KnownGauge(Gauge):
    """A gauge that has no sample while its value is unknown; a 0 would say that all is well."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._known: Callable[[], float | None] = lambda: None

    def set(self, value: float | None) -> None:
        """Set the value; None means that it is no longer known."""
        self._known = lambda: value

    def set_function(self, f: Callable[[], float | None]) -> None:
        """Ask `f` for the value at each scrape."""
        self._known = f

    def _child_samples(self) -> Iterable[Sample]:
        value = self._known()
        return () if value is None else (Sample("", {}, float(value), None, None),)


class MetricRegistry:
    """Declares metrics and creates all their label values.

    Args:
        role: the role whose metrics are shown; None shows all of them.
    """

    def __init__(self, role: Role | None) -> None:
        self.registry = CollectorRegistry()
        self.rows: list[MetricRow] = []
        self._role = role

    def _counter(
        self,
        name: str,
        text: str,
        role: Role | None = None,
        combinations: Iterable[Sequence[str]] = (),
        **labels: Iterable[str],
    ) -> Counter:
        metric = Counter(
            f"stream_app_{name}", text, list(labels), registry=self._registry_for(role)
        )
        return self._with_labels(
            metric, f"{name}_total", "counter", text, role, labels, combinations
        )

    def _gauge(
        self, name: str, text: str, role: Role | None = None, **labels: Iterable[str]
    ) -> Gauge:
        metric = Gauge(f"stream_app_{name}", text, list(labels), registry=self._registry_for(role))
        return self._with_labels(metric, name, "gauge", text, role, labels)

    def _known_gauge(
        self, name: str, text: str, role: Role | None = None, **labels: Iterable[str]
    ) -> KnownGauge:
        metric = KnownGauge(
            f"stream_app_{name}", text, list(labels), registry=self._registry_for(role)
        )
        return self._with_labels(metric, name, "gauge", text, role, labels)

    def _histogram(
        self,
        name: str,
        text: str,
        buckets: Sequence[float],
        role: Role | None = None,
        **labels: Iterable[str],
    ) -> Histogram:
        metric = Histogram(
            f"stream_app_{name}",
            text,
            list(labels),
            registry=self._registry_for(role),
            buckets=buckets,
        )
        return self._with_labels(metric, name, "histogram", text, role, labels)

    def _registry_for(self, role: Role | None) -> CollectorRegistry | None:
        return self.registry if role is None or self._role in (None, role) else None

    def _with_labels(
        self,
        metric: Metric,
        name: str,
        kind: str,
        text: str,
        role: Role | None,
        labels: Labels,
        combinations: Iterable[Sequence[str]] = (),
    ) -> Metric:
        """Create all label values, so that a rate is right from the first event on."""
        found = [tuple(map(str, row)) for row in combinations or product(*labels.values())]
        if labels:
            for row in found:
                metric.labels(*row)
        self.rows.append(
            MetricRow(
                f"stream_app_{name}",
                kind,
                tuple(labels),
                tuple(found),
                text,
                role,
                not isinstance(metric, KnownGauge),
            )
        )
        return metric
