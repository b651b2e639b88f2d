"""The Dockerfile's text, and what it is given to build from."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.containers.dockerfile import DOCKERFILE, stages
from tests.deploy.containers.image import context
from tests.documentation.pages import ROOT

DEPLOY = ROOT / "deploy"
PINS = DEPLOY / "constraints.txt"
BUILD_PINS = DEPLOY / "image" / "build-constraints.txt"


def pins(file: Path) -> dict[str, str]:
    """Return the entry of each package that a file pins: version, marker and hashes."""
    entries = re.findall(r"^([\w.-]+)==(.*(?:\\\n.*)*)$", file.read_text(), re.MULTILINE)
    return {canonicalize_name(name): entry for name, entry in entries}


def needed(package: str, *, here: bool) -> set[str]:
    """Return what a package needs with the extra of AWS alone: here, or on any machine."""
    seen: set[tuple[str, str]] = set()
    to_see = [(package, ""), (package, "msk")]
    while to_see:
        seen.add(pair := to_see.pop())
        name, extra = pair
        with suppress(PackageNotFoundError):  # it is for other machines
            for requirement in map(Requirement, distribution(name).requires or ()):
                marker = requirement.marker
                is_of_extra = "extra ==" in str(marker)
                holds = marker is None or marker.evaluate({"extra": extra})
                if holds if here or is_of_extra else True:
                    asked = canonicalize_name(requirement.name)
                    to_see += {(asked, one) for one in ("", *requirement.extras)} - seen
    return {name for name, _ in seen} - {package}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_stage_starts_from_the_one_base_that_a_digest_pins() -> None:
    arguments, found = stages()
    assert {stage.base for stage in found} == {arguments["BASE"]}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", arguments["BASE"])


def test_the_image_says_how_a_container_starts_and_ends() -> None:
    final = stages()[1][-1]
    assert final.the("USER").value == "10001:10001"
    assert final.the("STOPSIGNAL").value == "SIGTERM"
    assert final.the("ENTRYPOINT").words() == ["stream-app"]
    assert final.values("ENV")["STREAM_APP_HTTP__HOST"] == "0.0.0.0"  # noqa: S104 - inside
    named = {name.removeprefix("org.opencontainers.image.") for name in final.values("LABEL")}
    assert named == {"title", "description", "version", "revision", "source", "base.name"}


def test_the_image_s_packages_are_those_of_production() -> None:
    everywhere = pins(ROOT / "tests/constraints.txt") | pins(ROOT / "constraints.txt")
    for file in (PINS, BUILD_PINS):
        assert {name: everywhere[name] for name in pins(file)} == pins(file), "make constraints"
    assert needed("stream-app", here=True) <= pins(PINS).keys(), "make constraints"
    assert pins(PINS).keys() <= needed("stream-app", here=False), "make constraints"


def test_the_builder_is_given_what_it_needs_and_nothing_else() -> None:
    tops = {name.partition("/")[0] for name in context()}
    assert tops == {"pyproject.toml", "README.md", "schemas", "stream_app", "deploy"}
    deploy = {name for name in context() if name.startswith("deploy/")}
    assert deploy == {
        "deploy/constraints.txt",
        "deploy/image/build-constraints.txt",
        "deploy/image/health_check.py",
    }
    assert not [name for name in context() if name.endswith((".pyc", ".pem", ".key", ".env"))]
