"""The parts of the recovery bench, in the order in which they are measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from tests.bench.programs import say
from tests.bench.recovery import deliveries, handover, rates, rival, windows

Part = Callable[[str, Path], Coroutine[Any, Any, dict[str, Any]]]


PARTS: dict[str, Part] = {
    "windows": windows.measure,
    "rates": rates.measure,
    "notifier": deliveries.measure,
    "handover": handover.measure,
    "rival": rival.measure,
}


def measure(bootstrap: str, logs: Path, names: Iterable[str] = tuple(PARTS)) -> dict[str, Any]:
    """Return the figures of the parts with these names."""
    report: dict[str, Any] = {}
    for name in names:
        say(f"recovery: {name}")
        found = asyncio.run(PARTS[name](bootstrap, logs))
        say(f"  {json.dumps(found)}")
        report |= found
    return report
