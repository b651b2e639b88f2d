"""Imports all that workers and commands import, before a process forks for each of them.

Their JSON is checked from then on.
"""

from __future__ import annotations

import importlib

from stream_app.cli import COMMANDS
from tests.contract import command_output

#: Modules that Faust imports by name when a worker starts.
LATE = ("faust.app.router", "faust.topics", "faust.transport.drivers.aiokafka", "faust.worker")

for _place in COMMANDS.values():
    importlib.import_module(_place.partition(":")[0])
for _name in LATE:
    importlib.import_module(_name)
command_output.install()
