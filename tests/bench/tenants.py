"""Does the detector keep its speed when many clients have many triggers?

The same number of hits twice: of 20 clients with a trigger each, and of 200 clients with five
each, so that a hit is counted in some three windows and each flush writes fifty times the cells.

`python -m tests.bench.tenants BOOTSTRAP` measures this alone.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from typing import Any

from tests.bench import data
from tests.bench.programs import filled, run, say

EVENTS = 400_000
ROUNDS = 3
VARIANTS = {"20_triggers": data.TWENTY, "1000_triggers": data.THOUSAND}


def measure(bootstrap: str) -> dict[str, Any]:
    """Return the events a second of both, and their ratio: medians of rounds by turns."""
    rows: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for name, tenants in VARIANTS.items():
            prefix = asyncio.run(filled(bootstrap, tenants, EVENTS))
            figures = run("detector", bootstrap, prefix, EVENTS)
            rows[name].append(figures["events_per_s"])
            say(f"  {name:13} {json.dumps(figures)}")
    few, many = rows.values()
    ratios = [one / other for one, other in zip(many, few, strict=True)]
    return {
        "detector_1000_triggers_events_per_s": round(statistics.median(many)),
        "detector_1000_triggers_vs_20": round(statistics.median(ratios), 2),
        "detector_1000_triggers_vs_20_rounds": [round(ratio, 2) for ratio in ratios],
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1]), indent=2))
