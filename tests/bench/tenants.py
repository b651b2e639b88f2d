"""Does the detector keep its speed when many clients have many triggers?

The same number of hits three times: of 20 clients with a trigger each; of 200 clients with five
each, so that a hit is counted in some three windows and a flush has fifty times the cells to
write; and of these with five whose filters take different hits, so that a hit is counted once,
as with 20 triggers. The requirement is held against the harsher one, of three windows a hit.

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
VARIANTS = {
    "20_triggers": data.TWENTY,
    "1000_triggers": data.THOUSAND,
    "1000_triggers_apart": data.THOUSAND_APART,
}


def measure(bootstrap: str) -> dict[str, Any]:
    """Return the events a second with 1,000 triggers, and ratios: medians of rounds by turns."""
    rows: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for name, tenants in VARIANTS.items():
            prefix = asyncio.run(filled(bootstrap, tenants, EVENTS))
            figures = run("detector", bootstrap, prefix, EVENTS)
            rows[name].append(figures["events_per_s"])
            say(f"  {name:19} {json.dumps(figures)}")
    few, *others = rows.values()
    report: dict[str, Any] = {}
    for name, many in zip(list(VARIANTS)[1:], others, strict=True):
        ratios = [one / other for one, other in zip(many, few, strict=True)]
        report |= {
            f"detector_{name}_events_per_s": round(statistics.median(many)),
            f"detector_{name}_vs_20": round(statistics.median(ratios), 2),
            f"detector_{name}_vs_20_rounds": [round(ratio, 2) for ratio in ratios],
        }
    return report


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1]), indent=2))
