"""The groups that are OpenNebula's programs too: whatever name they run under, a failure has exit code 255."""

from __future__ import annotations

from typing import IO, Any

import click

from hybrid_drivers.cli.lazygroup import LazyGroup
from hybrid_drivers.errors import HybridError

FAILURE = 255  # of OneProvision, for everything that went wrong


class OneGroup(LazyGroup):
    """A lazy group whose failures are one sentence and exit code 255."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = FAILURE  # type: ignore[misc] # declared of the class, read from the instance
            raise
        except HybridError as error:
            raise Failed(error) from error


class Failed(click.ClickException):
    """An error of ours on its way out."""

    exit_code = FAILURE

    def __init__(self, error: HybridError) -> None:
        super().__init__(str(error))

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on standard error, safe to show and without known secrets."""
        from hybrid_drivers.agent.logs import masked
        from hybrid_drivers.cli.output.printable import printable

        for number, line in enumerate(masked(self.message).splitlines()):
            click.echo(f"{'' if number else 'Error: '}{printable(line)}", file=file, err=True)
