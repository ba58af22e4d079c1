"""The rows of the proof, each in short; ``make proof`` runs them whole."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from proof import collection_races, lost_replies, model, storms
from proof.rows import Ask, Outcome, Result, Row, all_rows, main, seeded
from tests.support.busy_world import SETTINGS

SEED = 1


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # thousands of lines nobody reads
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.mark.parametrize(
    ("run", "runs"),
    [
        pytest.param(seeded(lost_replies.story), 25, id="lost-replies"),
        pytest.param(seeded(collection_races.story), 30, id="collection-races"),
        pytest.param(seeded(partial(storms.story, hosts=8)), 6, id="storms"),
        pytest.param(storms.starts, 20, id="start-herd"),
        pytest.param(storms.restarts, 20, id="restart-herd"),
        pytest.param(seeded(partial(model.story, stories=8)), 1, id="model"),
    ],
)
def test_a_row_holds(run: Callable[[Ask], Result], runs: int) -> None:
    result = run(Ask(runs=runs, seed=SEED, workers=1))
    assert not result.violations, [(one.seed, one.violations, one.trace) for one in result.failures]


def test_every_file_has_rows_with_names_of_their_own() -> None:
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names) >= 6


# --- a proof that cannot fail is worse than none ----------------------------------------------------------------------


def story(seed: int) -> Outcome:
    wrong = ["doubled: m2"] if seed == 12 else []
    return Outcome(seed=seed, violations=wrong, figures={"made": 2, "most at once": seed}, trace="how it came")


def test_what_is_wrong_in_one_run_is_told_with_its_seed() -> None:
    result = seeded(story)(Ask(runs=5, seed=10, workers=1))
    assert (result.figures, result.violations) == ({"made": 10, "most at once": 14}, ["1 x doubled"])
    assert [one.seed for one in result.failures] == [12]


def test_a_violation_makes_the_command_fail_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["proof", "--seed", "10", "--workers", "1"])
    rows = (Row(name="some", what="nothing", runs=5, run=seeded(story)),)
    assert main(rows) == 1
    told = capsys.readouterr()
    assert "| some | nothing: 5 runs | 10 made, 14 most at once | VIOLATED: 1 x doubled |" in told.out
    assert "how it came" in told.err
    assert "python -m proof some --runs 1 --seed 12" in told.err
    monkeypatch.setattr("sys.argv", ["proof", "--seed", "10", "--runs", "2"])
    assert main(rows) == 0


def test_doubled_machines_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_replies, "SETTLE", 0.0)  # as if lists never lagged
    result = seeded(lost_replies.story)(Ask(runs=12, seed=SEED, workers=1))
    assert any("duplicates" in one for one in result.violations)


def test_machines_deleted_too_early_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_races, "SETTINGS", replace(SETTINGS, quarantine=1.0))
    result = seeded(collection_races.story)(Ask(runs=6, seed=SEED, workers=1))
    assert any("too young deleted" in one for one in result.violations)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_is_decided_by_its_seed(seed: int) -> None:
    assert lost_replies.story(seed) == lost_replies.story(seed)
