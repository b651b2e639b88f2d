"""Settings of Python's garbage collector for a process with many objects and few cycles.

A worker keeps hundreds of thousands of objects (cells, windows, triggers) and makes a few for each
record. Reference counting frees nearly all of them. The collector, which only finds cycles, runs so
often by default that it takes a fifth of the time or more.
"""

from __future__ import annotations

import gc

#: How many new objects start a collection of the youngest generation, and how many collections of
#: a generation start one of the next older generation.
THRESHOLDS = (50_000, 20, 50)


def collect_seldom() -> None:
    """Run the collector less often."""
    gc.set_threshold(*THRESHOLDS)


def freeze_existing_objects() -> None:
    """Exempt all objects that exist now, such as modules, metrics and the configuration."""
    gc.collect()
    gc.freeze()
