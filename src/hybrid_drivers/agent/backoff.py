"""How long to wait after a failure that will pass."""

from __future__ import annotations

import random

FIRST = 2.0  # seconds
LONGEST = 300.0


def pause(retries: int, *, named: float | None = None, jitter: random.Random | None = None) -> float:
    """Return the seconds before try number ``retries`` + 1: doubled each time, with jitter, never before ``named``.

    The jitter (half to all of it) keeps many hosts that failed together from asking together again.
    """
    full = min(LONGEST, FIRST * 2.0 ** min(retries, 16))
    chance = jitter.random() if jitter else random.random()  # noqa: S311 - spreads load, hides nothing
    return max(named or 0.0, full * (0.5 + chance / 2))
