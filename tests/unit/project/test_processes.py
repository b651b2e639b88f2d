"""Programs that are forked for the tests behave as those of a new interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import STREAM_APP, Program, run

SCRIPT = """\
import os, sys
print(sys.argv[1:], sys.stdin.read(), os.getcwd(), sorted(os.environ), __name__)
print("an error", file=sys.stderr)
{end}
"""


def script(folder: Path, end: str) -> str:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(end=end))
    return str(path)


@pytest.mark.parametrize(
    "end", ["", "sys.exit(3)", "sys.exit('why')", "1 / 0", "os.kill(os.getpid(), 15)"]
)
def test_a_program_is_what_a_new_interpreter_makes_of_it(tmp_path: Path, end: str) -> None:
    args, env = (script(tmp_path, f"sys.stdout.flush(); {end}"), "--flag", "x"), {"A": "b"}
    forked = run(args, env, "given", cwd=tmp_path)
    new = subprocess.run(
        [sys.executable, *args], env=env, cwd=tmp_path, input="given", capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    # Python sets this one where no locale is given.
    assert forked.stdout == new.stdout.replace(", 'LC_CTYPE'", "")
    assert forked.returncode == new.returncode
    assert forked.stderr.splitlines()[0] == "an error"
    assert forked.stderr.splitlines()[-1] == new.stderr.splitlines()[-1]


def test_a_module_is_found_and_its_usage_error_told() -> None:
    done = run((*STREAM_APP, "nothing"), {})
    assert done.returncode == 2
    assert "No such command 'nothing'" in done.stderr


def test_a_program_can_be_waited_for_stopped_and_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program((script(tmp_path, "import time; time.sleep(60)"),), {}, log, log)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.05)
    assert program.poll() is None
    program.send_signal(signal.SIGSTOP)
    program.kill()
    assert program.wait(30) == -signal.SIGKILL
    program.terminate()  # of one that has ended nothing comes
    assert program.returncode == -signal.SIGKILL
