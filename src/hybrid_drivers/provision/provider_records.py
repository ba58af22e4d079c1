"""Provider entries as people see them in lists: whose they are, where, and what is wrong with them."""

from __future__ import annotations

import grp
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import Document
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers import entries
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision import provider_documents as documents


@dataclass(frozen=True, kw_only=True)
class ProviderRecord:
    """One provider entry. ``mode`` is as ``chmod`` has it; ``error`` is what is wrong with the entry.

    ``driver`` and ``place`` are empty where they are not known: of a document whose body was not read and that has no
    summary, because an agent older than the summaries wrote it.
    """

    id: int | None  # of the document; files have none
    name: str
    where: Literal["file", "document"]
    source: str  # the path, or "document 12"
    driver: str = ""
    place: str = ""
    owner: str = ""
    group: str = ""
    mode: int = 0o600
    error: str = ""
    imported: str = ""  # the id of OneProvision's document it was made from
    entry: ProviderEntry | None = field(default=None, repr=False)

    def with_entry(self, read: Callable[[], ProviderEntry]) -> ProviderRecord:
        """Return the record with the entry that ``read`` returns, or with what is wrong with it."""
        try:
            entry = read()
        except ConfigError as exc:
            return replace(self, error=str(exc))
        return replace(self, driver=entry.driver, place=documents.place_of(entry), entry=entry)


def of_files(folder: Path) -> list[ProviderRecord]:
    """Return the entries of ``providers.d``, by name."""
    paths = [path for path in sorted(folder.glob("*.y*ml")) if path.name[0] != "." and path.suffix in (".yaml", ".yml")]
    return [of_file(path) for path in paths]


def of_file(path: Path) -> ProviderRecord:
    """Return the entry in one file."""
    record = ProviderRecord(id=None, name=path.stem, where="file", source=str(path))
    try:
        status = path.stat()
    except OSError as exc:
        return replace(record, error=f"{path}: cannot be read: {exc.strerror}")
    owner, group = _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid)
    record = replace(record, owner=owner, group=group, mode=stat.S_IMODE(status.st_mode))
    return record.with_entry(lambda: entries.load_entry(path))


def of_document(document: Document) -> ProviderRecord:
    """Return what a document tells without its body."""
    return ProviderRecord(
        id=document.id,
        name=document.name,
        where="document",
        source=f"document {document.id}",
        driver=document.summary.get("DRIVER", ""),
        place=document.summary.get("PLACE", ""),
        owner=document.uname,
        group=document.gname,
        mode=document.mode,
        imported=document.summary.get(documents.IMPORTED, ""),
    )


def of_documents(oned: Oned, *, decrypt: bool) -> list[ProviderRecord]:
    """Return all documents, the oldest first, in one call; with ``decrypt`` one more for the body of each."""
    found = []
    for document in documents.pool(oned):
        record = of_document(document)
        if decrypt:
            try:
                whole = oned.document(document.id, decrypt=True)
            except NoSuchObject:
                continue  # deleted meanwhile
            record = record.with_entry(lambda whole=whole: documents.parse(whole))  # type: ignore[misc] # mypy cannot infer a lambda with a default
        found.append(record)
    return found


def with_hidden(records: list[ProviderRecord]) -> list[ProviderRecord]:
    """Return the records, in order; those whose name an earlier one has are never used, which is their error."""
    taken: dict[str, str] = {}
    found = []
    for record in records:
        first = taken.setdefault(record.name, record.source)
        hidden = f"is not used: {first} has the same name"
        found.append(record if first == record.source else replace(record, error=record.error or hidden))
    return found


def _name(look_up: Callable[[int], object], number: int) -> str:
    try:
        return str(look_up(number)[0])  # type: ignore[index] # both databases give tuples, the name first
    except KeyError:
        return str(number)
