"""A gauge without a sample while its value is not known: absent, and never a 0 that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Gauge
from prometheus_client.samples import Sample


class KnownGauge(Gauge):
    """A gauge that is shown once its value is known, and as long as it is."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._known: Callable[[], float | None] = lambda: None

    def set(self, value: float | None) -> None:
        """Set the value; None: it is not known any more."""
        self._known = lambda: value

    def set_function(self, f: Callable[[], float | None]) -> None:
        """Ask `f` for the value at each scrape."""
        self._known = f

    def _child_samples(self) -> Iterable[Sample]:
        value = self._known()
        return () if value is None else (Sample("", {}, float(value), None, None),)
