"""A Prometheus registry that knows how its metrics are declared, and shows those of one role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from stream_app.domain.topics import Role

Metric = TypeVar("Metric", bound=MetricWrapperBase)


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


#: What Prometheus calls each kind of metric.
_TYPES = {Counter: "counter", Gauge: "gauge", KnownGauge: "gauge", Histogram: "histogram"}


class MetricRegistry:
    """Declares metrics and creates all their label values.

    Args:
        role: the role whose metrics are shown; None shows all of them.
    """

    def __init__(self, role: Role | None) -> None:
        self.registry = CollectorRegistry()
        self.rows: list[MetricRow] = []
        self._role = role
        #: The role whose metrics are being declared; None: both have them.
        self._declared_for: Role | None = None

    def _counter(
        self,
        name: str,
        text: str,
        combinations: Iterable[Sequence[str]] = (),
        **labels: Iterable[str],
    ) -> Counter:
        """Declare a counter; `combinations` are its sets of label values, by default all."""
        return self._add(Counter, name, text, labels, combinations=combinations)

    def _gauge(self, name: str, text: str, **labels: Iterable[str]) -> Gauge:
        return self._add(Gauge, name, text, labels)

    def _known_gauge(self, name: str, text: str, **labels: Iterable[str]) -> KnownGauge:
        return self._add(KnownGauge, name, text, labels)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], **labels: Iterable[str]
    ) -> Histogram:
        return self._add(Histogram, name, text, labels, buckets=buckets)

    def _add(
        self,
        kind: type[Metric],
        name: str,
        text: str,
        labels: Mapping[str, Iterable[str]],
        combinations: Iterable[Sequence[str]] = (),
        **options: Any,
    ) -> Metric:
        """Declare a metric with all its label values: a rate is right from the first event on."""
        is_shown = self._role is None or self._declared_for in (None, self._role)
        full_name = f"stream_app_{name}"
        metric = kind(
            full_name, text, list(labels), registry=self.registry if is_shown else None, **options
        )
        found = [tuple(map(str, row)) for row in combinations or product(*labels.values())]
        if labels:
            for row in found:
                metric.labels(*row)
        self.rows.append(
            MetricRow(
                f"{full_name}_total" if kind is Counter else full_name,
                _TYPES[kind],
                tuple(labels),
                tuple(found),
                text,
                self._declared_for,
                kind is not KnownGauge,
            )
        )
        return metric
