"""Python's garbage collector, set for a process that makes many objects and few cycles.

A worker keeps hundreds of thousands of objects (cells, windows, triggers) and makes a few for
each record. Nearly all of them go when nothing refers to them any more; the collector looks for
what refers to itself only, and by default so often that it takes a fifth of the time or more.
"""

from __future__ import annotations

import gc

#: New objects (made and still there) after which the young ones are looked through; how many such
#: looks after which the middle-aged are, and how many of those until all are.
THRESHOLDS = (50_000, 20, 50)


def collect_seldom() -> None:
    """Look for garbage less often."""
    gc.set_threshold(*THRESHOLDS)


def spare_what_is_there() -> None:
    """Leave all that exists now out of it for good: modules, metrics, the configuration."""
    gc.collect()
    gc.freeze()
