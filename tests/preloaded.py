"""Imports all that workers and commands import, before a process forks for each of them.

What each of them would work out anew is worked out here, too: Faust's plugins, and the modules by
their files. Their JSON is checked from then on.
"""

from __future__ import annotations

import gc
import importlib
import inspect

import faust.fixups
import faust.stores

from stream_app.cli import COMMANDS
from tests.contract import command_output

#: Modules that Faust imports by name when a worker starts.
LATE = (
    "faust.app.router",
    "faust.assignor.partition_assignor",
    "faust.fixups.django",
    "faust.stores.memory",
    "faust.tables.objects",
    "faust.tables.sets",
    "faust.topics",
    "faust.transport.drivers.aiokafka",
    "faust.transport.utils",
    "faust.worker",
)

for _place in COMMANDS.values():
    importlib.import_module(_place.partition(":")[0])
for _name in LATE:
    importlib.import_module(_name)
faust.fixups.by_name("django")
faust.stores.by_name("memory")
command_output.install()
# Faust asks for the module of each agent's frame: the first answer takes a look at every module.
inspect.getmodule(inspect.currentframe())
# A worker looks for garbage when it has started: not among what is here.
gc.collect()
gc.freeze()
