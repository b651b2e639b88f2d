"""The files of the image, and whom they belong to: the Dockerfile's steps make it."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stream_app import __version__
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import Image, image
from tests.deploy.containers.test_dockerfile import PINS

#: Prints for each folder who tries to write there, and why that is refused.
TRY_TO_WRITE = """
import os
for place in ("/", "/opt", "/opt/stream-app", "/tmp", "/etc", "/usr"):
    try:
        os.close(os.open(f"{place}/x", os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        print(os.getuid(), place, error.strerror)
"""


@pytest.fixture(scope="module")
def built() -> Image:
    return image()


def packages(built: Image) -> Path:
    (found,) = built.layers.glob("opt/stream-app/lib/python3.*/site-packages")
    return found


def run(built: Image, *args: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    container = Container(built.layers, built.environment, user or built.user)
    return container.run(args)


def test_the_image_has_the_pinned_packages_and_the_project_and_no_other(built: Image) -> None:
    entries = re.findall(r"^([\w.-]+==.*?) *\\$", PINS.read_text(), re.MULTILINE)
    wanted = {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in map(Requirement, entries)
        if requirement.marker is None or requirement.marker.evaluate()
    }
    installed = {
        canonicalize_name(name): version
        for folder in packages(built).glob("*.dist-info")
        for name, version in [folder.name.removesuffix(".dist-info").rsplit("-", 1)]
    }
    assert installed == wanted | {"stream-app": __version__}


def test_what_the_image_adds_to_its_base_is_below_one_folder(built: Image) -> None:
    assert [entry.name for entry in built.layers.iterdir()] == ["opt"]
    assert [entry.name for entry in (built.layers / "opt").iterdir()] == ["stream-app"]
    programs = {entry.name for entry in (built.layers / "opt/stream-app/bin").iterdir()}
    assert "stream-app" in programs
    assert not programs & {"pip", "pip3", "gcc", "cc", "ld", "java", "hatchling", "uv", "jgo"}


def test_the_image_has_no_tests_no_repository_and_no_build(built: Image) -> None:
    project = packages(built) / "stream_app"
    assert project.is_dir()
    assert not [file for file in built.files() if file.name in (".git", "constraints.txt", "dist")]
    assert not [file for file in packages(built).iterdir() if file.name in ("tests", "deploy")]


def test_every_file_is_root_s_and_nobody_else_can_write_it(built: Image) -> None:
    files = list(built.files())
    assert len(files) > 1000
    for file in files:
        found = file.lstat()
        assert (found.st_uid, found.st_gid) == (0, 0), file
        assert stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o022, file
        assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID), file


def test_each_module_has_its_bytecode_whatever_its_time(built: Image) -> None:
    modules = list((packages(built) / "stream_app").rglob("*.py"))
    assert modules
    for module in modules:
        (compiled,) = module.parent.glob(f"__pycache__/{module.stem}.*.pyc")
        # PEP 552: the lowest bit says that a hash takes the place of a time, the next one unset
        # that it is not compared with the source.
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1, compiled


def test_a_container_is_user_10001_and_can_write_nowhere(built: Image) -> None:
    assert run(built, "stream-app", "--version").stdout == f"stream-app, version {__version__}\n"
    places = ("/", "/opt", "/opt/stream-app", "/tmp", "/etc", "/usr")  # noqa: S108 - inside
    refused = run(built, "python", "-c", TRY_TO_WRITE).stdout.splitlines()
    assert [line.split()[:2] for line in refused] == [["10001", place] for place in places]
    by_root = run(built, "python", "-c", TRY_TO_WRITE, user="0:0").stdout.splitlines()
    assert by_root == [f"0 {place} Read-only file system" for place in places]


def test_a_container_without_a_worker_is_healthy(built: Image) -> None:
    assert run(built, "python", "-S", "/opt/stream-app/health_check.py").returncode == 0
