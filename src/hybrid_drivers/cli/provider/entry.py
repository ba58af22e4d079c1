"""``create``, ``update``, ``check`` and ``import``: what an entry says, and whether its credentials are good."""

from __future__ import annotations

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provider.front_end import here, hide
from hybrid_drivers.errors import ConfigError, PermanentError, ProviderError
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.directory import ProviderDirectory
from hybrid_drivers.provision.provider_file import read_provider_file

NO_CHECK = click.option("--no-check", is_flag=True, help="Store it without asking the provider.")
FILE = click.argument("file", metavar="FILE")


@click.command()
@FILE
@click.option("--name", "-n", metavar="NAME", default="", help="Instead of the name in the file, or the file's own.")
@NO_CHECK
def create(file: str, name: str, no_check: bool) -> None:
    """Make a provider from FILE (YAML; '-': standard input).

    The file has the keys of providers.d, or those of OneProvision 6.x (provider, connection, ...). The credentials are
    checked with one harmless call first; when they are not accepted nothing is stored.
    """
    entry = _read(file, name)
    directory, _ = here()
    directory.check_free(entry.name)
    _check(directory, entry, no_check)
    click.echo(f"ID: {directory.create(entry)}")


@click.command()
@click.argument("provider", metavar="ID|NAME")
@FILE
@NO_CHECK
def update(provider: str, file: str, no_check: bool) -> None:
    """Replace what a provider says by FILE (YAML; '-': standard input).

    Its name and driver stay. Machines that are rented already are reached with the new credentials at once.
    """
    directory, _ = here()
    record = directory.record(provider)
    entry = _read(file, record.name)
    directory.check_update(record, entry)
    _check(directory, entry, no_check)
    directory.update(record, entry)


@click.command()
@click.argument("provider", metavar="ID|NAME")
def check(provider: str) -> None:
    """Check the credentials of a provider with one harmless call."""
    directory, _ = here()
    record = directory.record(provider)
    if record.entry is None:
        raise ConfigError(record.error)
    click.echo(printable(f"{record.name}: {directory.check(hide(record.entry))}"))


@click.command("import")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(min=0))
@click.option("--name", "-n", metavar="NAME", default="", help="Instead of the document's name; for one ID.")
@click.option("--trust-first-use", is_flag=True, help="For onprem: believe whoever answers first at an address.")
@NO_CHECK
def import_(ids: tuple[int, ...], name: str, trust_first_use: bool, no_check: bool) -> None:
    """Take over the providers of OneProvision 6.x: documents of type 102, by ID, or all there are.

    Their documents stay as they are. What was imported before is only told.
    """
    from hybrid_drivers.provision.provider_import import Importer

    if name and len(ids) != 1:
        raise ConfigError("--name is for one ID")
    directory, objects = here()
    importer = Importer(directory, objects, check=not no_check, trust=trust_first_use)
    results = [importer.run(one, name) for one in ids or importer.candidates()]
    for one in results:
        if one.id is not None:
            click.echo(printable(one.text))
    if problems := [one.text for one in results if one.id is None]:
        raise ConfigError("\n".join(problems))
    if not results:
        click.echo("There is no document of type 102 to import.")


def _read(file: str, name: str) -> ProviderEntry:
    found = read_provider_file(file, name)
    for warning in found.warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
    return hide(found.entry)


def _check(directory: ProviderDirectory, entry: ProviderEntry, no_check: bool) -> None:
    if no_check:
        return
    try:
        click.echo(printable(f"Checked: {directory.check(entry)}"))
    except PermanentError as exc:
        raise type(exc)(f"{exc}; nothing was stored") from exc
    except ProviderError as exc:
        told = str(exc).replace("; it will be tried again", "")
        raise ProviderError(f"{told}; nothing was stored: try again, or store it unchecked with --no-check") from exc
