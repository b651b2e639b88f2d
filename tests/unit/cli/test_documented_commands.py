"""The commands within the sentences of the pages are commands; those of blocks are run.

`tests/integration/test_pages.py` runs the blocks.
"""

from __future__ import annotations

import shlex

import pytest

from tests.documentation.pages import PAGES, inline_code
from tests.unit.cli.test_every_command import code_of

COMMANDS = sorted({code for text in PAGES.values() for code in inline_code(text, "stream-app ")})


@pytest.mark.usefixtures("_logs_stay")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_within_a_sentence_can_be_typed(command: str) -> None:
    _, *words = shlex.split(command)
    # An unknown command or option is found before the help is shown.
    assert code_of(*words, "--help") == 0


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert code_of("state", "forget", "--help") == 2
    assert code_of("state", "reset", "detector", "--sure", "--help") == 2
