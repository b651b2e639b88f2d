"""The versions before episodes read a state that has some, without harm."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.episodes.episode import FiredWindow, Series
from stream_app.domain.episodes.episode_log import SeriesState, take_window
from stream_app.domain.episodes.partition_episodes import PartitionEpisodes
from tests.integration.upgrade.previous_version import PREVIOUS_COMMIT, previous_version

#: The last commit before episodes.
BEFORE_EPISODES = "14e1699c1ec9bbbb8493d788358341235ca939f4"
OPTIONS = RepeatOptions(Deduplicate.EPISODE)


def previous_state(commit: str) -> Any:
    """Return an empty state of a partition of `routed`, by the code of a commit."""
    path = previous_version(commit) / "stream_app/domain/state/progress.py"
    spec = importlib.util.spec_from_file_location("previous_progress", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PartitionProgress()


@pytest.mark.parametrize("commit", [PREVIOUS_COMMIT, BEFORE_EPISODES])
def test_the_progress_stays_what_it_is(commit: str) -> None:
    state, old = PartitionEpisodes(), previous_state(commit)
    taken, _ = take_window(SeriesState(), FiredWindow(600, 660), OPTIONS, 7, 40)
    state.change(Series(1111, 61, "r1", 521), taken)
    state.advance(40)
    cut = state.cut()
    records = [*state.records(cut), state.progress_record(cut)]
    series = records[0]
    for key, value in [*records, series, (series[0], None)]:
        old.restore(key, value)
        assert old.progress_of("alerts") in {-1, 40}
    assert (old.offset, old.progress_of("alerts")) == (40, 40)
    # On the way back this version finds the progress of the older one beside the series.
    back = PartitionEpisodes()
    for key, value in [*records, old.progress_record(90)]:
        back.restore(key, value)
    assert (back.offset, len(back)) == (90, 1)
