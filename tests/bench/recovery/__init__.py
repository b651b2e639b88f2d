"""How long a restart takes, and what the state that it reads costs.

`python -m tests.bench.recovery BOOTSTRAP [PART ...]` measures this alone. Each part has an
installation and workers of its own. A restart is a `kill -9` and a new process; its seconds go
from the start of that process to its first `/readyz` that answers 200, so they include the
session of the killed worker.
"""
