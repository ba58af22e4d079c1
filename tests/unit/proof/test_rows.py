"""The rows of the proof, each in short; ``make proof`` runs them whole."""

from __future__ import annotations

import logging
import os
import random
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from proof import collection_races, fuzz, intruders, lost_replies, model, shell_names, storms
from proof.fuzz_targets import TARGETS, Target
from proof.rows import Ask, Outcome, Result, Row, all_rows, folder, main, seeded
from tests.support.agent_tree import eventually
from tests.support.busy_world import SETTINGS
from tests.support.canaries import Canaries, make

SEED = 1
URL = "opennebula_node_kvm_rhev_repo"  # one of the parameters that take much


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
        pytest.param(seeded(intruders.story), 1, id="intruders"),
        pytest.param(seeded(partial(shell_names.story, names=2, parameters=[URL])), 1, id="shell-names"),
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


@pytest.mark.parametrize(
    ("row", "seed"),
    [
        (collection_races, 707527),  # an answer asked for before the clock was set back made a second machine
        (collection_races, 701211),  # what failed for another agent's work on the host was written over READY
        (collection_races, 701428),
        (lost_replies, 706880),
        (lost_replies, 704364),  # a late message of the other agent stayed over READY
    ],
)
def test_what_long_runs_found_holds_now(row: ModuleType, seed: int) -> None:
    assert not row.story(seed).violations


# --- garbage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_takes_garbage(target: Target) -> None:
    fuzzer = fuzz.Fuzzer(target)
    fuzzer.mutate_for(seconds=60, seed=SEED, most=60)
    assert not fuzzer.found.failures, fuzzer.found.failures
    assert fuzzer.found.accepted > 0  # or nothing behind the first check was reached


def _bug(data: bytes) -> None:
    if b"-1" in data:
        raise KeyError("-1")


def _hang(data: bytes) -> None:
    while b"-1" in data:
        pass


@pytest.mark.parametrize(("reader", "told"), [(_bug, "KeyError"), (_hang, "TooSlow")])
def test_what_garbage_breaks_is_told_with_the_input(
    reader: Callable[[bytes], None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "LONGEST", 0.02)
    fuzzer = fuzz.Fuzzer(Target(name="x", run=reader, seeds=lambda: [b"a"], words="-1 b"))
    fuzzer.mutate_for(seconds=60, seed=SEED, most=25)
    failures = {what: data for what, data in fuzzer.found.failures.items() if what.startswith(told)}
    assert failures
    assert b"-1" in bytes.fromhex(next(iter(failures.values())))
    result = fuzz.told(Ask(runs=1, seed=SEED, workers=1), {"x": fuzzer.found})
    assert result.violations
    assert "python -m proof.fuzz x --input " in result.failures[0].trace


def test_a_name_that_a_shell_would_run_is_seen() -> None:
    with folder() as path:
        path.chmod(0o711)
        place = path / "here"
        place.mkdir()
        assert shell_names.touched(': "$(touch x)"', place)
        assert not shell_names.touched(": '$(touch x)'", place)


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_planted_canary_is_found_wherever_it_is(tmp_path: Path) -> None:
    """In a file, in its name, in argv and in an environment; as it is, in hexadecimal and in base64."""
    found = Canaries()
    secret = make("planted")
    found.add("secret", secret, allowed=[f"{tmp_path}/home"])
    for at, text in enumerate(
        (secret, secret.encode().hex(), *(b64encode(b"x" * n + secret.encode()).decode() for n in range(3)))
    ):
        (tmp_path / f"file{at}").write_text(f"some {text} more")
    (tmp_path / f"named-{secret}").touch()
    (tmp_path / "home").write_text(secret)
    found.look_at_tree("files", tmp_path)
    assert len(found.hits) == 6
    assert not [hit for hit in found.hits if hit.place.endswith("/home")]
    found.hits.clear()
    for arguments, environment in (([secret], {}), ([], {"TOKEN": secret})):
        with subprocess.Popen(
            ["sleep", "60", *arguments] if not arguments else ["sh", "-c", "sleep 60; :", *arguments],
            env={**os.environ, **environment},
        ) as process:
            eventually(lambda: looked(found, process.pid), "the process has become what it is")
            process.kill()
        found.hits.clear()


def looked(found: Canaries, pid: int) -> bool:
    found.look_at_processes(but=[os.getpid()])
    return bool(found.hits) and pid > 0
