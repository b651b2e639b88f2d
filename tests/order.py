"""The order of the tests of a run: long ones first, those with Kafka next, quick ones last.

pytest-randomly has shuffled them before. With pytest-xdist each process gets an equal part of the
list, and takes from the end of another part when it is done. So each part begins with long tests
and ends with quick ones: no process is left alone with a long one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Folders of tests that share more than a broker: in each file, or in the whole folder.
FILES, FOLDER = "tests/integration/", "tests/page/"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests, and deal them out."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long: list[list[pytest.Item]] = []
    sharing: dict[Path, list[pytest.Item]] = {}
    quick: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("long"):
            long.append([item])
        elif item.nodeid.startswith((FILES, FOLDER)):
            place = item.path if item.nodeid.startswith(FILES) else item.path.parent
            sharing.setdefault(place, []).append(item)
        else:
            quick.append(item)
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for number, block in enumerate([*long, *sorted(sharing.values(), key=len, reverse=True)]):
        parts[number % processes] += block
    left = len(items)
    for number, part in enumerate(parts):
        size = left // (processes - number)  # as pytest-xdist cuts the list
        take = max(0, size - len(part))
        part.extend(quick[:take])
        del quick[:take]
        left -= size
    items[:] = [item for part in parts for item in part]
