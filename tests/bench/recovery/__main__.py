"""`python -m tests.bench.recovery BOOTSTRAP [PART ...]`: one or more of the parts, or all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.bench.recovery.parts import PARTS, measure

if __name__ == "__main__":
    names = sys.argv[2:] or list(PARTS)
    folder = Path(".local/bench") / f"logs-{os.getpid()}"
    folder.mkdir(parents=True)
    print(json.dumps(measure(sys.argv[1], folder, names), indent=2))
