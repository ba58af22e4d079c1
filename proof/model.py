"""The model-based test for long: random actions of people, of the provider, and crashes, against a small model.

The rules and the model are ``tests/support/life_of_hosts.py``; hypothesis chooses, and makes what fails as short as it
can: keep that as a test in ``tests/unit/agent``. One run is a search of 100 stories of 50 steps.
"""

from __future__ import annotations

import sys
import traceback
from typing import ClassVar

from hypothesis import HealthCheck, Verbosity, settings
from hypothesis import seed as seeded_with
from hypothesis.stateful import run_state_machine_as_test
from proof.rows import Outcome, Row, main, seeded
from tests.support.life_of_hosts import LifeOfHosts

STORIES, STEPS = 100, 50


def story(seed: int, stories: int = STORIES) -> Outcome:
    """Do one search."""

    class Searched(LifeOfHosts):
        steps: ClassVar[int] = 0

    before = LifeOfHosts.steps
    how = settings(
        max_examples=stories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    violations, trace = [], ""
    try:
        run_state_machine_as_test(seeded_with(seed)(Searched), settings=how)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is what was looked for
        violations = [f"{type(exc).__name__}: {exc}"]
        trace = "".join(traceback.format_exception(exc))
    return Outcome(seed=seed, violations=violations, figures={"steps": LifeOfHosts.steps - before}, trace=trace)


ROWS = (
    Row(
        name="model",
        what="random actions of people, provider and crashes against a model",
        runs=235,  # a million steps
        run=seeded(story, f"searches of {STORIES} stories"),
    ),
)

if __name__ == "__main__":
    sys.exit(main(ROWS))
