"""The collector leaves alone what a worker keeps anyway, and still finds garbage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from stream_app.worker import garbage


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_existing_objects_are_exempt_and_later_ones_are_not() -> None:
    frozen = gc.get_freeze_count()
    garbage.freeze_existing_objects()
    assert gc.get_freeze_count() > frozen
    gone = weakref.ref(Cycle())
    assert gone() is not None
    gc.collect()
    assert gone() is None


def test_garbage_is_still_found_without_being_asked_for() -> None:
    garbage.collect_seldom()
    gone = weakref.ref(Cycle())
    kept = [[number] for number in range(2 * garbage.THRESHOLDS[0])]
    assert gone() is None, len(kept)
