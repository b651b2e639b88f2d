"""The chart as helm renders it: its own packages do, in a program that `make helm` builds."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.deploy.chart.written_files import CHART
from tests.tools import tool

#: What everybody must say; the rest has defaults.
MINIMAL: Mapping[str, Any] = yaml.safe_load((CHART / "ci" / "minimal-values.yaml").read_text())
NOTES = "NOTES.txt"


@dataclass(frozen=True)
class Rendering:
    """The manifests of one installation in their order, and the text that a person sees."""

    text: str
    manifests: tuple[dict[str, Any], ...]
    notes: str

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Return the manifests of this kind."""
        return [one for one in self.manifests if one["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """Return the manifest of this kind and name; there must be one."""
        (found,) = [one for one in self.of_kind(kind) if one["metadata"]["name"] == name]
        return found


class ChartError(Exception):
    """Helm refuses the values."""


class Chart:
    """A running renderer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def render(self, values: Mapping[str, Any] = MINIMAL, name: str = "stream-app") -> Rendering:
        """Render the chart in the namespace `alerts`.

        Raises:
            ChartError: the schema or a template refuses the values.
        """
        found = self._ask(name=name, values=values)
        if found["error"]:
            raise ChartError(found["error"])
        texts = {path.rpartition("/")[2]: text for path, text in found["manifests"].items()}
        notes = texts.pop(NOTES)
        documents = tuple(one for text in texts.values() for one in _documents(text))
        return Rendering("\n---\n".join(texts.values()), documents, notes)

    def lint(self, values: Mapping[str, Any]) -> list[str]:
        """Return what `helm lint --strict` would not let pass."""
        messages = self._ask(values=values, lint=True)["messages"]
        return [text for text in messages if not text.startswith("[INFO]")]

    def _ask(self, *, name: str = "stream-app", **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"name": name, "namespace": "alerts", **question}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice, of which YAML's readers take one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys} {node.start_mark}"
        return super().construct_mapping(node, deep)


@functools.lru_cache(maxsize=64)
def _documents(text: str) -> tuple[dict[str, Any], ...]:
    """Return the manifests of a text; most texts of the next rendering are the same."""
    return tuple(one for one in yaml.load_all(text, _Loader) if one is not None)


@contextmanager
def renderer() -> Iterator[Chart]:
    """Start the program that renders the chart."""
    with subprocess.Popen(
        [tool("render-chart"), str(CHART)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Its memory is soon given back: less collecting saves a third of its time.
        env=os.environ | {"GOGC": "800"},
    ) as process:
        yield Chart(process)
        assert process.stdin is not None
        process.stdin.close()


def with_value(values: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the values with another one at a path, such as ("detector", "replicas")."""
    result = copy.deepcopy(dict(values))
    inner = result
    for part in path[:-1]:
        inner = inner.setdefault(part, {})
    inner[path[-1]] = value
    return result


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with more of them, as helm merges its files: maps by key, the rest whole."""
    result = copy.deepcopy(dict(values))
    for key, value in more.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        result[key] = merged(old or {}, value) if both else copy.deepcopy(value)
    return result
