"""The order of the tests of a run: what takes longest first, with Kafka next, quick ones last.

pytest-randomly shuffles before. With pytest-xdist each process gets an equal part of the list, and
takes from the end of others' when it is done. So what must stay in one process is dealt out by how
long it takes, the longest first, each to the process with the least so far; and each part ends with
quick tests: no process is left alone with a long one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Folders of tests that share more than a broker: in each file, or in the whole folder.
FILES, FOLDER = "tests/integration/", "tests/page/"
#: A long test takes about as long as this many others with Kafka.
LONG = 12


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
    blocks = [(LONG, block) for block in long]
    blocks += [(len(block), block) for block in sharing.values()]
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    taken = [0] * processes
    for size, block in sorted(blocks, key=lambda one: one[0], reverse=True):
        number = taken.index(min(taken))
        parts[number] += block
        taken[number] += size
    left = len(items)
    for number, part in enumerate(parts):
        size = left // (processes - number)  # as pytest-xdist cuts the list
        take = max(0, size - len(part))
        part.extend(quick[:take])
        del quick[:take]
        left -= size
    items[:] = [item for part in parts for item in part]
