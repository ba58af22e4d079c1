"""What to do when something fails: OneProvision's fail modes, asked for or set beforehand."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hybrid_drivers.errors import ConfigError


class Mode(str, enum.Enum):
    """A fail mode, by OneProvision's name."""

    RETRY = "retry"
    SKIP = "skip"
    CLEANUP = "cleanup"
    QUIT = "quit"


class Quit(Exception):
    """Stop here and leave everything as it is; a later ``resume`` goes on."""


class CleanUp(Exception):
    """Stop here and take everything away again."""


ENDS = (Mode.SKIP, Mode.CLEANUP, Mode.QUIT)
Ask = Callable[[str, Sequence[Mode]], Mode]  # what failed -> what to do


@dataclass
class Failures:
    """Decides, for each thing that fails on its own.

    ``modes`` is the chain to go through in batch mode: ``retry`` stands for ``retries`` tries in a row. ``ask`` puts
    the question to a person instead. ``pause`` is the number of seconds before each further step of the chain.
    """

    modes: Sequence[Mode] = (Mode.QUIT,)
    retries: int = 0
    pause: float = 0.0
    ask: Ask | None = None
    _done: dict[str, int] = field(default_factory=dict)

    @property
    def batch(self) -> bool:
        """Tell whether nobody is asked."""
        return self.ask is None

    def decide(self, what: str, sentence: str) -> Mode:
        """Return what to do about a failure of ``what`` (its name among the things that can fail)."""
        if self.ask is not None:
            return self.ask(f"{what}: {sentence}", tuple(Mode))
        chain = [one for mode in self.modes for one in ([mode] * self.retries if mode is Mode.RETRY else [mode])]
        at = self._done.get(what, 0)
        self._done[what] = at + 1
        return chain[at] if at < len(chain) else Mode.QUIT

    def forget(self, what: str) -> None:
        """Begin the chain anew for ``what``: it has worked."""
        self._done.pop(what, None)


def chain(words: Sequence[str], *, retry: int, cleanup: bool, skip: bool, quit_: bool) -> tuple[Mode, ...]:
    """Return the modes that options ask for, in the order to go through; ``quit`` is always the last resort.

    Raises:
        ConfigError: an unknown mode, or several ends are named outside of an order.
    """
    ends = [mode for mode, given in ((Mode.CLEANUP, cleanup), (Mode.SKIP, skip), (Mode.QUIT, quit_)) if given]
    if len(ends) > 1 or (words and ends):
        raise ConfigError("give one of --fail-cleanup, --fail-skip and --fail-quit, or --fail-modes with an order")
    unknown = [word for word in words if word not in [mode.value for mode in Mode]]
    if unknown:
        raise ConfigError(f"unknown fail mode '{unknown[0][:40]}': known are {', '.join(mode.value for mode in Mode)}")
    named = [Mode(word) for word in words] or ends
    if retry and Mode.RETRY not in named:
        named.insert(0, Mode.RETRY)
    return tuple(named) or (Mode.QUIT,)
