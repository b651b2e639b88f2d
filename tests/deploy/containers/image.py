"""The image: the Dockerfile's own steps, run as plain commands in a root that starts empty.

No engine and no registry of images is needed. This machine's Python stands in for the base image's,
and pip finds the pinned wheels in a folder instead of the network; all else is the text's. `image`
builds it once for what it is made of, in `.local/image`.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.deploy.containers.container import ENTER, Container
from tests.deploy.containers.dockerfile import DOCKERFILE, Instruction, Stage, expand, stages
from tests.documentation.pages import ROOT

IGNORED = DOCKERFILE.with_name("Dockerfile.dockerignore")
FOLDER = ROOT / ".local" / "image"
#: `make tools` fetches what `deploy/` pins.
WHEELS = ROOT / ".local" / "tools" / "wheels"
#: What every image of Python has.
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
SEALED = {"LABEL", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


@dataclass(frozen=True)
class Image:
    """What the Dockerfile makes: files beside those of the base, and how a container starts."""

    layers: Path
    environment: dict[str, str]
    user: str
    stage: Stage

    def files(self) -> Iterator[Path]:
        """Yield the places of all files and folders that the image has beside its base."""
        return self.layers.glob("opt/**/*")


def image() -> Image:
    """Return the image, built anew when anything that it is made of has changed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = FOLDER / _digest()
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "done").exists():
            for old in FOLDER.glob("*/"):
                shutil.rmtree(old)
            result = _build(made)
            (made / "done").touch()
            return result
    return _final(made)


def context() -> dict[str, Path]:
    """Return what the builder is given: place -> file. `.dockerignore` says what is left out."""
    rules = [
        (not line.startswith("!"), re.compile(_pattern(line.lstrip("!"))))
        for line in IGNORED.read_text().splitlines()
        if line and not line.startswith("#")
    ]

    def is_left_out(place: PurePosixPath) -> bool:
        names = [str(part) for part in (place, *place.parents)][:-1]
        verdicts = [out for out, rule in rules if any(map(rule.fullmatch, names))]
        return bool(verdicts and verdicts[-1])

    tops = sorted({line.lstrip("!").split("/")[0] for line in IGNORED.read_text().splitlines()
                   if line.startswith("!")})  # fmt: skip
    found = (file for top in tops for file in ((ROOT / top), *(ROOT / top).rglob("*")))
    places = {file.relative_to(ROOT).as_posix(): file for file in found if file.is_file()}
    return {name: file for name, file in places.items() if not is_left_out(PurePosixPath(name))}


def _pattern(rule: str) -> str:
    text = re.escape(rule).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    return text.rstrip("/")


def _digest() -> str:
    made_of = [DOCKERFILE, IGNORED, ENTER, Path(__file__), *context().values()]
    whole = hashlib.sha256(sys.version.encode())
    for file in sorted(made_of):
        whole.update(str(file).encode() + file.read_bytes())
    return whole.hexdigest()[:16]


def _build(folder: Path) -> Image:
    _, found = stages()
    for stage in found:
        builder = _Builder(folder / (stage.name or "image"), folder)
        for step in stage.steps:
            builder.do(step)
    for stage in found[:-1]:
        shutil.rmtree(folder / str(stage.name))
    return _final(folder)


def _final(folder: Path) -> Image:
    """Return the image whose layers are in a folder."""
    _, found = stages()
    environment, user = dict(BASE_ENVIRONMENT), "0:0"
    for step in found[-1].steps:
        if step.name == "ENV":
            environment |= {n: expand(v, environment) for n, v in step.pairs().items()}
        elif step.name == "USER":
            user = step.value
    return Image(folder / "image", environment, user, found[-1])


class _Builder:
    """Carries out the steps of a stage."""

    def __init__(self, layers: Path, others: Path) -> None:
        self.layers, self.others = layers, others
        self.environment = dict(BASE_ENVIRONMENT)
        self.folder = "/"
        (layers / "opt").mkdir(parents=True)

    def do(self, step: Instruction) -> None:
        if step.name == "WORKDIR":
            self.folder = step.value
            self._inside(step.value).mkdir(parents=True, exist_ok=True)
        elif step.name == "ENV":
            self.environment |= {n: expand(v, self.environment) for n, v in step.pairs().items()}
        elif step.name == "COPY":
            self._copy(step)
        elif step.name == "RUN":
            self._run(step)
        else:
            assert step.name in {"ARG", "USER", *SEALED}, f"no test carries out {step.name}"

    def _inside(self, place: str) -> Path:
        return self.layers / (PurePosixPath(self.folder) / place).relative_to("/")

    def _copy(self, step: Instruction) -> None:
        *sources, target = step.words()
        if stage := step.options.get("from"):
            (source,) = sources
            from_stage = self.others / stage / PurePosixPath(source).relative_to("/")
            # Nobody needs the stage again, so what is copied can as well be moved.
            from_stage.rename(self._inside(target))
            return
        for source in sources:
            chosen = {n: f for n, f in context().items()
                      if n == source or n.startswith(f"{source}/")}  # fmt: skip
            assert chosen, f"{IGNORED.name} leaves out what is copied: {source}"
            for name, file in chosen.items():
                # Of a folder the content is copied; a file goes into a folder that ends with /.
                tail = name.removeprefix(source).strip("/") or (
                    file.name if target.endswith("/") else ""
                )
                place = self._inside(target) / tail
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
                place.chmod(int(step.options.get("chmod", "0644"), 8))

    def _run(self, step: Instruction) -> None:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PYTHONPATH": "/pip"}
        (pip,) = Path(sys.prefix).glob("lib/python*/site-packages/pip")
        container = Container(
            self.layers,
            self.environment | offline,
            folder=self.folder,
            mounts={"/wheels": WHEELS, "/pip/pip": pip},
            mode="rw",
        )
        done = container.run(["/bin/sh", "-c", step.value], timeout=240)
        assert done.returncode == 0, f"{step.value}\n{done.stdout}\n{done.stderr}"
