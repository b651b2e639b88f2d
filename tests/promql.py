"""What PromQL expressions and series name: metrics, labels and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stream_app.metrics import Metrics

SELECTOR = re.compile(r"\b((?:stream_app|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
#: What Prometheus itself adds to each series.
TARGET_LABELS = {"job", "instance", "role"}


@dataclass(frozen=True)
class Known:
    """A series that a worker shows: its labels with their values."""

    labels: Mapping[str, frozenset[str]]


def known_series() -> dict[str, Known]:
    """Return what a worker's scrape has, by the name of the sample."""
    found = {"up": Known({})}
    metrics = Metrics()
    for row in metrics.rows:
        values = {
            label: frozenset(combination[place] for combination in row.combinations)
            for place, label in enumerate(row.labels)
        }
        if row.kind == "histogram":
            found[f"{row.name}_bucket"] = Known({**values, "le": frozenset()})
            found[f"{row.name}_sum"] = found[f"{row.name}_count"] = Known(values)
        else:
            found[row.name] = Known(values)
    for family in metrics.registry.collect():
        if family.name.startswith("process_"):
            found |= {sample.name: Known({}) for sample in family.samples}
    return found


def problems(expression: str) -> Iterator[str]:
    """Yield what an expression names that no worker shows."""
    known, labels = known_series(), set(TARGET_LABELS)
    selectors = SELECTOR.findall(expression)
    if not selectors:
        yield f"no metric in {expression!r}"
    for name, matchers in selectors:
        if name in known:
            labels |= known[name].labels.keys()
            yield from _wrong_matchers(name, known[name], matchers)
        else:
            yield f"no metric {name}"
    for group in GROUPING.findall(expression):
        for label in group.replace(" ", "").split(","):
            if label not in labels:
                yield f"nothing to group by {label} in {expression!r}"


def _wrong_matchers(name: str, known: Known, matchers: str) -> Iterator[str]:
    for label, operator, text in MATCHER.findall(matchers):
        if label in TARGET_LABELS:
            continue
        if label not in known.labels:
            yield f"{name} has no label {label}"
            continue
        for value in text.split("|") if "~" in operator else [text]:
            if value not in known.labels[label]:
                yield f"{name} has no {label} {value!r}"
