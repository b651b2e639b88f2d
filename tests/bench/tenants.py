"""Does the detector keep its speed when many clients have many triggers?

The same number of hits, of 20 clients with a trigger each, and of 200 clients with five each:

- *live*: 100,000 of them happen in a second, about as many as are counted in a second. The
  requirement is about this case. A hit passes one of its client's triggers, in both variants; in
  `wide` it passes about three of five, so that it is counted three times.
- *backlog*: they have happened over ten minutes, at a 150th of the speed at which they are read.
  Then 200 clients have a window of a minute for every few hits, and most of the work is to write
  and to sum these windows; the 20 clients have a fiftieth of them.

`python -m tests.bench.tenants BOOTSTRAP` measures this alone.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from typing import Any, NamedTuple

from tests.bench import data
from tests.bench.programs import filled, run, say

EVENTS = 400_000
ROUNDS = 3
LIVE_SECONDS = EVENTS // 100_000


class Variant(NamedTuple):
    """Whose hits, over how many seconds of event time, and the variant that it is compared with."""

    tenants: data.Tenants
    span_seconds: int
    base: str = ""


VARIANTS = {
    "20_triggers": Variant(data.TWENTY, LIVE_SECONDS),
    "1000_triggers": Variant(data.THOUSAND_APART, LIVE_SECONDS, "20_triggers"),
    "1000_triggers_wide": Variant(data.THOUSAND, LIVE_SECONDS, "20_triggers"),
    "20_triggers_backlog": Variant(data.TWENTY, data.SPAN_SECONDS),
    "1000_triggers_backlog": Variant(data.THOUSAND, data.SPAN_SECONDS, "20_triggers_backlog"),
}


def measure(bootstrap: str) -> dict[str, Any]:
    """Return the events a second with 1,000 triggers, and ratios: medians of alternating rounds."""
    rows: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for name, variant in VARIANTS.items():
            prefix = asyncio.run(filled(bootstrap, variant.tenants, EVENTS, variant.span_seconds))
            figures = run("detector", bootstrap, prefix, EVENTS)
            rows[name].append(figures["events_per_s"])
            say(f"  {name:21} {json.dumps(figures)}")
    report: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        report[f"detector_{name}_events_per_s"] = round(statistics.median(rows[name]))
        if variant.base:
            pairs = zip(rows[name], rows[variant.base], strict=True)
            ratios = [one / other for one, other in pairs]
            report |= {
                f"detector_{name}_vs_20": round(statistics.median(ratios), 2),
                f"detector_{name}_vs_20_rounds": [round(ratio, 2) for ratio in ratios],
            }
    return report


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1]), indent=2))
