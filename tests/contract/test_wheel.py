"""`validate` works from an installed package, far from this folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_validate_works_from_a_wheel(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    script = (
        "import stream_app, sys\n"
        f"assert stream_app.__file__.startswith({str(installed)!r}), stream_app.__file__\n"
        "from stream_app.cli import main\n"
        "from stream_app.contract.records import RecordName\n"
        "from stream_app.contract.schema_files import part_schema\n"
        "assert all(part_schema(name)['type'] == 'object' for name in RecordName)\n"
        "main(['validate', '-f', '-', '--schema', 'hit'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        input='{"client_id": 1, "sampled": "no"}',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert 'stdin:1: sampled: "no": must be boolean or null' in done.stdout
