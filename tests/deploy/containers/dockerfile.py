"""The Dockerfile, read into its stages and instructions."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.documentation.pages import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
_CONTINUED = re.compile(r"\\\n")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Instruction:
    """An instruction as it is written, without its `--options`."""

    name: str
    value: str
    options: dict[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Return the arguments: of the form in JSON, or as a shell parts them."""
        found: list[str] = (
            json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)
        )
        return found

    def pairs(self) -> dict[str, str]:
        """Return the `NAME=value` of ENV, ARG and LABEL."""
        parted = (word.partition("=") for word in self.words())
        return {name: value for name, _, value in parted}


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next one."""

    base: str
    name: str | None
    steps: list[Instruction]

    def values(self, name: str) -> dict[str, str]:
        """Return the pairs of all instructions of a name."""
        return {n: v for step in self.steps if step.name == name for n, v in step.pairs().items()}

    def the(self, name: str) -> Instruction:
        """Return the only instruction of a name."""
        (found,) = [step for step in self.steps if step.name == name]
        return found


def expand(text: str, variables: dict[str, str]) -> str:
    """Put the values of `${NAME}` in; a name without a value is an error."""
    return _VARIABLE.sub(lambda found: variables[found[1]], text)


def stages() -> tuple[dict[str, str], list[Stage]]:
    """Return the arguments before the first FROM, and the stages."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for step in _instructions(DOCKERFILE.read_text()):
        if step.name == "FROM":
            base, _, name = expand(step.value, arguments).partition(" AS ")
            found.append(Stage(base, name or None, []))
        elif found:
            found[-1].steps.append(step)
        else:
            assert step.name == "ARG", step
            arguments |= step.pairs()
    return arguments, found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    for line in _CONTINUED.sub(" ", "\n".join(lines)).splitlines():
        name, _, value = line.partition(" ")
        options = {}
        while value.startswith("--"):
            option, _, value = value.partition(" ")
            key, _, given = option[2:].partition("=")
            options[key] = given
            value = value.lstrip()
        yield Instruction(name, value, options)
