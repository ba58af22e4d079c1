"""Shows something again and again, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hybrid_drivers.cli.output.printable import printable
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import HybridError

Draw = Callable[[str], None]


def watch(render: Callable[[], str], terminal: Terminal, clock: Clock, delay: float) -> None:
    """Show what ``render`` returns every ``delay`` seconds: in place on a terminal, one below the other elsewhere.

    An error at the beginning is raised. A later one (oned restarts) is told below what was seen last, and the next
    try follows. Ctrl-C ends it, and is no error.
    """
    try:
        seen = render()
        with _screen(terminal) as draw:
            draw(seen)
            while True:
                clock.sleep(delay)
                try:
                    seen = render()
                    draw(seen)
                except HybridError as error:
                    draw(f"{seen}\n{printable(str(error))}")
    except KeyboardInterrupt:
        return


@contextmanager
def _screen(terminal: Terminal) -> Iterator[Draw]:
    if terminal.width is None:
        yield terminal.write
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=terminal.stream, width=terminal.width, force_terminal=True, no_color=not terminal.styled)
    with Live(console=console, auto_refresh=False) as live:
        yield lambda text: live.update(Text.from_ansi(text, no_wrap=True), refresh=True)
