"""``list`` and ``show``: all entries and one of them, never with a secret in clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from hybrid_drivers.cli.output import Column, Listing, ListOutput, Section, ShowOutput, listing_options, show_options
from hybrid_drivers.cli.provider.front_end import here
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.provider_records import ProviderRecord
from hybrid_drivers.secret import Secret

MASK = "***"


def state_of(record: ProviderRecord) -> str:
    """Return whether an entry can be used: ``ok``, ``wrong``, or ``-`` for a document that was not read."""
    return "wrong" if record.error else "ok" if record.entry else "-"


def data_of(record: ProviderRecord) -> dict[str, object]:
    """Return all that may be shown of an entry, for programs."""
    return {
        "ID": record.id,
        "NAME": record.name,
        "DRIVER": record.driver,
        "PLACE": record.place,
        "STATE": state_of(record),
        "ERROR": record.error,
        "WHERE": record.source,
        "OWNER": record.owner,
        "GROUP": record.group,
        "MODE": f"{record.mode:03o}",
        "IMPORTED": record.imported,
        **(_content(record.entry) if record.entry else {}),
    }


PROVIDERS: Listing[ProviderRecord] = Listing(
    pool="PROVIDER_POOL",
    element="PROVIDER",
    columns=(
        Column("ID", "Of the document; files have none", 5, lambda one: one.id),
        Column("NAME", "What hosts ask for it by", 25, lambda one: one.name, left=True),
        Column("DRIVER", "How machines are rented", 8, lambda one: one.driver or None, left=True),
        Column("PLACE", "Region, metro, facility or zone", 20, lambda one: one.place or None, left=True),
        Column("OWNER", "User it belongs to", 10, lambda one: one.owner, left=True),
        Column("GROUP", "Group it belongs to", 10, lambda one: one.group, left=True),
        Column("MODE", "Permissions", 4, lambda one: f"{one.mode:03o}", default=False),
        Column("WHERE", "Document, or file", 8, lambda one: one.where, left=True),
        Column("STAT", "ok, wrong, or - (not read, see --decrypt)", 5, state_of, left=True, state=True),
        Column("IMPORTED", "Document of OneProvision it came from", 8, lambda one: one.imported or None, default=False),
        Column("ERROR", "What is wrong", 60, lambda one: one.error or None, left=True, default=False),
    ),
    data=data_of,
)


@click.command("list")
@click.option("--decrypt", is_flag=True, help="Read every document too: one call of oned more for each.")
@listing_options(PROVIDERS)
def list_(decrypt: bool, output: ListOutput[ProviderRecord]) -> None:
    """List providers: files of providers.d, and documents."""
    directory, _ = here()
    output.run(lambda: directory.records(decrypt=decrypt))


@click.command()
@click.argument("provider", metavar="ID|NAME")
@show_options("PROVIDER")
def show(provider: str, output: ShowOutput) -> None:
    """Show a provider. Credentials show as ***, in every form."""
    directory, _ = here()
    record = directory.record(provider)
    users = directory.users(record.name)
    output.show({**data_of(record), "USERS": users}, lambda: _sections(record, users))


def _sections(record: ProviderRecord, users: Sequence[str]) -> list[Section]:
    told = data_of(record)
    parts = {key: told.pop(key, None) for key in ("SETTINGS", "DEFAULTS", "LIMITS")}
    number = record.name if record.id is None else record.id
    head = Section(f"PROVIDER {number} INFORMATION", {key: value for key, value in told.items() if value != ""})
    sections = [Section(key, value) for key, value in parts.items() if isinstance(value, Mapping) and value]
    return [head, *sections, *([Section("USED BY", text=users)] if users else [])]


def _content(entry: ProviderEntry) -> dict[str, object]:
    return {
        "SETTINGS": {key.upper(): _shown(value) for key, value in entry.settings.items()},
        "DEFAULTS": dict(entry.defaults),
        "LIMITS": {key.upper(): value for key, value in entry.limits.items()},
    }


def _shown(value: object) -> object:
    """Return a setting as it may be shown: no secret, and no default of an input that is a password."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        hidden = {"default", "options"} if value.get("type") == "password" else set()
        return {key: MASK if key in hidden else _shown(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_shown(one) for one in value]
    return value
