"""The options of listings and pages as click decorators.

Letters and names are those of OpenNebula's ``src/cli/cli_helper.rb`` and ``one_helper.rb`` (``CLIHelper::OPTIONS``,
``FORMAT``, ``DESCRIBE``); ``--watch`` and ``--delimiter`` (for ``--csv-del``) are added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from hybrid_drivers.cli.output import filters, table
from hybrid_drivers.cli.output.columns import Listing, R
from hybrid_drivers.cli.output.listed import ListOutput, ShowOutput
from hybrid_drivers.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
PREFIX = "output_"  # of our parameters' names, so that none meets one of the command's


def show_options(element: str) -> Callable[[F], F]:
    """Give a command ``--json --yaml --xml`` and the keyword argument ``output``, a :class:`ShowOutput`."""
    return _decorator(_forms(), lambda *, form: ShowOutput(element=element, form=form))


def listing_options(listing: Listing[R]) -> Callable[[F], F]:
    """Give a command the options of a list and the keyword argument ``output``, a :class:`ListOutput`."""
    watching = _option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
    return _decorator([*_forms(), *_columns(listing), watching, _delay()], functools.partial(_output, listing))


def top_options(listing: Listing[R]) -> Callable[[F], F]:
    """Give a command what :func:`listing_options` gives; it always watches."""
    make = functools.partial(_output, listing, watch=True)
    return _decorator([*_forms(), *_columns(listing), _delay()], make)


def _decorator(options: Sequence[Callable[[F], F]], make: Callable[..., object]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            ours = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith(PREFIX)}
            output = make(**{name.removeprefix(PREFIX): value for name, value in ours.items()})
            return function(*args, output=output, **kwargs)

        decorated: Any = wrapped
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return] # the same signature but for our parameters

    return decorate


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    given = next((name for name in names if not name.startswith("-")), "")
    long = next(name for name in names if name.startswith("--"))
    parameter = PREFIX + (given or long.removeprefix("--").replace("-", "_"))
    return click.option(*[name for name in names if name.startswith("-")], parameter, **settings)


def _forms() -> list[Callable[[F], F]]:
    said = "Print all there is as {}."
    return [
        _option("--json", "-j", "form", flag_value="json", default=None, help=said.format("JSON")),
        _option("--yaml", "-y", "form", flag_value="yaml", default=None, help=said.format("YAML")),
        _option("--xml", "-x", "form", flag_value="xml", default=None, help=said.format("XML")),
    ]


def _columns(listing: Listing[R]) -> list[Callable[[F], F]]:
    operators = "= != < <= > >= ~ (contains)"
    return [
        _option("--csv", "form", flag_value="csv", default=None, help="Print the columns as CSV."),
        _option("--csv-del", "--delimiter", metavar="CHARACTER", default=",", help="What parts the columns of --csv."),
        _option("--list", "-l", "columns", metavar="COLUMN,...", multiple=True, help="Show these columns."),
        _option(
            "--filter", "-f", "terms", metavar="COLUMN=VALUE,...", multiple=True, help=f"Show some rows; {operators}."
        ),
        _option(
            "--operator",
            type=click.Choice(["AND", "OR"], case_sensitive=False),
            default="AND",
            help="Whether rows must meet all filters, or one.",
        ),
        _option("--no-header", is_flag=True, help="Leave out the header."),
        _option("--no-pager", is_flag=True, help="Accepted: no pager is used."),
        _option("--adjust", metavar="COLUMN,...", multiple=True, help="Never cut these columns."),
        _option("--size", "-s", metavar="COLUMN=PLACES,...", multiple=True, help="Give columns these widths."),
        _option(
            "--expand",
            metavar="[COLUMN[=SHARE],...]",
            is_flag=False,
            flag_value="",
            default=None,
            help="Fill the terminal with all columns, or these.",
        ),
        _option("--no-expand", is_flag=True, help="Keep to the columns' own widths."),
        _option(
            "--describe",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=functools.partial(_describe, listing),
            help="List the columns there are.",
        ),
    ]


def _delay() -> Callable[[F], F]:
    return _option(
        "--delay", "-d", metavar="SECONDS", type=click.FloatRange(min=0.1), default=1.0, help="Between two looks (1)."
    )


def _describe(listing: Listing[R], ctx: click.Context, _parameter: click.Parameter, given: bool) -> None:
    if given:
        for column in listing.columns:
            click.echo(f"{column.name:<20}: {column.help}")
        ctx.exit()


def _output(
    listing: Listing[R],
    *,
    form: str | None,
    csv_del: str,
    columns: Sequence[str],
    terms: Sequence[str],
    operator: str,
    delay: float,
    watch: bool,
    **layout: Any,
) -> ListOutput[R]:
    if len(csv_del) != 1 or csv_del in '"\r\n':
        raise ConfigError(f"--csv-del takes one character, neither a quote nor a line end, not '{csv_del}'.")
    names = _words(columns)
    listing.chosen(names)  # a wrong name is told before anything is fetched
    return ListOutput(
        listing=listing,
        form=form,
        columns=names,
        filters=[filters.parse(listing, term) for term in _words(terms)],
        any_of=operator.upper() == "OR",
        layout=_layout(listing, **layout),
        delimiter=csv_del,
        every=delay if watch else None,
    )


def _layout(
    listing: Listing[R],
    *,
    no_header: bool,
    no_pager: bool,
    adjust: Sequence[str],
    size: Sequence[str],
    expand: str | None,
    no_expand: bool,
) -> table.Layout:
    shares = dict(_sized(listing, word, "share") for word in _words([expand])) if expand is not None else None
    sizes = {name: int(value or 0) for name, value in (_sized(listing, word, "size") for word in _words(size))}
    return table.Layout(
        header=not no_header,
        sizes=sizes,
        adjust=frozenset(listing.column(name).name for name in _words(adjust)),
        expand=None if no_expand else shares,
        fixed=no_expand,
    )


def _sized(listing: Listing[R], word: str, what: str) -> tuple[str, float | None]:
    """Read ``COLUMN=NUMBER``; a share may be left out, a size is a whole number from 1."""
    name, _, value = word.partition("=")
    column = listing.column(name).name
    if not value and what == "share":
        return column, None
    try:
        number = float(value) if what == "share" else int(value)
    except ValueError:
        number = -1
    if not (0 <= number <= 1 if what == "share" else 1 <= number <= 10_000):
        expected = "a share from 0 to 1" if what == "share" else "a number of places"
        raise ConfigError(f"'{word}' is not COLUMN={expected}: {value or 'nothing'} is none.")
    return column, number


def _words(texts: Sequence[str]) -> list[str]:
    """Return what is between the commas of all texts."""
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]
