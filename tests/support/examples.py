"""How many examples property tests look at: few each time, other ones each time; ten times as many in `make long`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

EVERYDAY = 40


def register() -> None:
    """Make the two profiles. How long an example takes says how busy the computer is: no deadline, no too slow."""
    for name, number in (("everyday", EVERYDAY), ("long", 10 * EVERYDAY)):
        settings.register_profile(
            name, max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )


def examples(everyday: int) -> int:
    """Return how many examples a costly test looks at in the profile in use, which is ``everyday`` in `make test`."""
    return everyday * settings().max_examples // EVERYDAY
