"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings
from tests.support import examples

examples.register()
settings.load_profile("everyday")  # --hypothesis-profile chooses another afterwards


def pytest_configure() -> None:
    """Have programs that tests start end at Ctrl-C: a script's background hands on that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
