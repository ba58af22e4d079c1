"""What the contract tests with oned share."""

from __future__ import annotations

from collections.abc import Callable

Undo = Callable[[Callable[[], object]], None]
