"""Commands whose exit code 2 means something: their mistakes of use end with 1."""

from __future__ import annotations

import click

FAILED = 1  # exit code


class Misused(click.UsageError):
    """A mistake of use that ends with 1."""

    exit_code = FAILED


class Command(click.Command):
    """A command whose mistakes of use end with 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise Misused(error.format_message(), ctx) from error
