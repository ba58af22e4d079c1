"""The agent's real code against every trouble at once, in any order: what must hold, holds.

HYBRID_MODEL_EXAMPLES=1000 makes it look harder, with other stories each time; ``make proof`` harder still.
"""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.support.examples import examples
from tests.support.life_of_hosts import LifeOfHosts

EXAMPLES = int(os.environ.get("HYBRID_MODEL_EXAMPLES", "0"))


@pytest.mark.hypothesis
def test_whatever_happens_it_comes_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # thousands of lines nobody reads
    run_state_machine_as_test(
        LifeOfHosts,
        settings=settings(
            max_examples=EXAMPLES or examples(30),
            stateful_step_count=30,
            derandomize=not EXAMPLES,
            suppress_health_check=list(HealthCheck),
        ),
    )
