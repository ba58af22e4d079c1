"""The row of the proof in which every credential is a canary, in short."""

from __future__ import annotations

import pytest
from proof.canaries import story


@pytest.mark.long  # what can be found is tried in tests/unit/proof
def test_no_credential_comes_out_of_a_host_s_life() -> None:
    outcome = story(2, short=True)
    assert not outcome.violations
    assert outcome.figures["errors that repeated them"] >= 3
    for place in ("argv and environments", "oned's documents", "messages to monitord", "files of the front-end"):
        assert outcome.figures[place] > 20, place
