"""The demo's customer: a client, an integration and triggers, applied with `stream-app apply`."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from importlib import resources
from typing import Any

import orjson
import yaml

from stream_app.domain.errors import StreamAppError
from stream_app.opsgenie.endpoints import ALERTS_PATH

OBJECTS = "objects"
#: The integration of these files, as commands name it.
INTEGRATION_ID = 521
#: The trigger of these files that fires first.
TRIGGER_ID = 61


def sample_objects(sandbox_url: str) -> list[dict[str, Any]]:
    """Return the objects of the files beside this one; integrations point at the sandbox."""
    found: list[dict[str, Any]] = []
    folder = resources.files("stream_app.demo") / OBJECTS
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        found += yaml.safe_load_all(file.read_text(encoding="utf-8"))
    for obj in found:
        if "target" in obj:
            obj["target"]["api"] = f"{sandbox_url}{ALERTS_PATH}"
    return found


def api_keys(objects: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the integrations; the sandbox accepts only these."""
    return [obj["target"]["token"] for obj in objects if "target" in obj]


async def apply(objects: list[dict[str, Any]], environ: Mapping[str, str]) -> None:
    """Run `stream-app apply` on the objects.

    Raises:
        StreamAppError: it refused them, with its reasons.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "apply", "-f", "-", "--json"),
        env=environ,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        # YAML may have keys that are no texts; JSON has only texts.
        content = orjson.dumps(objects, option=orjson.OPT_NON_STR_KEYS)
        _, errors = await process.communicate(content)
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        why = errors.decode(errors="replace").strip()
        raise StreamAppError(f"the sample customer cannot be applied: {why}")
