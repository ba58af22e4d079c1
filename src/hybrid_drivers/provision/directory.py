"""All provider entries of this front-end: files of ``providers.d``, and documents of type 702; a file wins."""

from __future__ import annotations

import threading
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import Document
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.providers import entries, registry
from hybrid_drivers.providers.base import Checks, Provider, ProviderEntry
from hybrid_drivers.provision import provider_documents as documents
from hybrid_drivers.provision import provider_records as records
from hybrid_drivers.provision.provider_records import ProviderRecord
from hybrid_drivers.provision.provider_users import users_of

AGE = 5.0  # seconds an entry that was read is used before it is read again


class ProviderDirectory:
    """Finds, makes and removes entries; thread-safe. Whatever changes something works on documents only."""

    def __init__(self, oned: Oned, location: Location, clock: Clock) -> None:
        self._oned, self._location, self._clock = oned, location, clock
        self._objects = Objects(oned)
        self._lock = threading.RLock()
        self._read: dict[str, tuple[float, ProviderEntry]] = {}
        self._providers: dict[str, tuple[str, Provider]] = {}

    @property
    def folder(self) -> Path:
        """Return the folder of the files."""
        return self._location.etc / "providers.d"

    # --- looking ----------------------------------------------------------------------------------------------------

    def records(self, decrypt: bool = False) -> list[ProviderRecord]:
        """Return all entries, files first. One call of oned; with ``decrypt`` one more for each document."""
        return records.with_hidden([*records.of_files(self.folder), *records.of_documents(self._oned, decrypt=decrypt)])

    def record(self, word: str) -> ProviderRecord:
        """Return the entry with this document id (a number) or name, with its body.

        Raises:
            ConfigError: there is none; the text names those there are.
        """
        return self._by_id(int(word[:18])) if word.isdecimal() else self._by_name(word)

    def entry(self, name: str) -> ProviderEntry:
        """Return the entry called ``name``.

        Raises:
            ConfigError: there is none (the text names those there are), or it is wrong.
        """
        with self._lock:
            read_at, known = self._read.get(name, (float("-inf"), None))
            if known is None or self._clock.monotonic() - read_at > AGE:
                record = self._by_name(name)
                if record.entry is None:
                    raise ConfigError(record.error)
                known = record.entry
                self._read[name] = (self._clock.monotonic(), known)
            return known

    def provider(self, name: str) -> Provider:
        """Return the provider of the entry called ``name``, the same one while the entry does not change.

        Raises:
            ConfigError: as :meth:`entry`, or a library of its driver is missing.
        """
        with self._lock:
            entry = self.entry(name)
            digest, made = self._providers.get(name, ("", None))
            if made is None or digest != entries.digest(entry):
                made = self._made(entry)
                self._providers[name] = (entries.digest(entry), made)
            return made

    def check(self, entry: ProviderEntry) -> str:
        """Ask the provider one harmless question; return what was seen, for people.

        Raises:
            ProviderError: the credentials are not accepted, or there was no answer.
            ConfigError: a library of the driver is missing.
        """
        provider = self._made(entry)
        if isinstance(provider, Checks):
            return provider.check_access()
        return f"driver {entry.driver} has no credentials to check"

    def users(self, name: str) -> list[str]:
        """Return who uses the entry, for people: hosts, provisions, machines on their way back."""
        return users_of(self._oned, self._location, name)

    # --- changing ---------------------------------------------------------------------------------------------------

    def create(self, entry: ProviderEntry, *, imported: str = "") -> int:
        """Write a document of the entry and return its id; the credentials are not checked here.

        Raises:
            ConfigError: the name is taken, or is a number, which would be taken for an id.
        """
        self.check_free(entry.name)
        made = documents.write(self._oned, entry, imported)
        first = self._named(entry.name)  # oned allows documents of the same name, and two may be made at once
        if first is not None and first.id < made:
            self._oned.delete_document(made)
            raise ConfigError(f"there is a provider '{entry.name}' already: document {first.id}, just made")
        return made

    def check_free(self, name: str) -> None:
        """Raise a ConfigError when ``name`` cannot be that of a new entry: it is taken, or would be taken for an id."""
        if name.isdecimal():
            raise ConfigError(f"'{name}' cannot be the name of a provider: it would be taken for an id")
        if name in entries.names_in(self.folder):
            raise ConfigError(f"there is a provider '{name}' already: file {self._path(name)}")
        document = self._named(name)
        if document is not None:
            raise ConfigError(f"there is a provider '{name}' already: document {document.id}")

    def check_update(self, record: ProviderRecord, entry: ProviderEntry) -> None:
        """Raise a ConfigError when ``entry`` cannot replace what ``record`` is: a file, or one with another driver."""
        self._document_id(record)
        if record.driver not in ("", entry.driver):
            raise ConfigError(
                f"provider {record.name} has driver {record.driver}, not {entry.driver}: make another provider"
            )

    def update(self, record: ProviderRecord, entry: ProviderEntry) -> None:
        """Replace the entry in a document; it keeps its name and its driver, which machines depend on.

        Raises:
            ConfigError: it is a file, or the driver is another one.
        """
        self.check_update(record, entry)
        documents.rewrite(self._oned, self._document_id(record), entry, record.imported)
        self._forget(record.name)

    def delete(self, record: ProviderRecord) -> None:
        """Delete a document.

        Raises:
            ConfigError: it is a file, or somebody uses it; the text says who.
        """
        self._oned.delete_document(self._unused(record, "deleted"))
        self._forget(record.name)

    def rename(self, record: ProviderRecord, name: str) -> None:
        """Give a document another name.

        Raises:
            ConfigError: as :meth:`delete`, or the name cannot be one.
        """
        document_id = self._unused(record, "renamed")
        self.check_free(entries.checked_name(name, "provider"))
        self._oned.rename_document(document_id, name)
        self._forget(record.name)

    def chown(self, record: ProviderRecord, uid: int, gid: int) -> None:
        """Give a document to another user and group; -1 keeps what is. Raises: ConfigError (a file)."""
        self._objects.chown("document", self._document_id(record), uid, gid)

    def chmod(self, record: ProviderRecord, mode: int) -> None:
        """Set a document's permissions. Raises: ConfigError (a file)."""
        self._objects.chmod("document", self._document_id(record), mode)

    def ensure_inline(self, entry: ProviderEntry) -> str:
        """Keep credentials of a template as a document, once, and return the name hosts ask for it by.

        ``entry`` is what ``entries.entry_from_attributes`` gave: its name is a digest of what is in it.
        """
        with self._lock:
            if entry.name not in self._read:
                if self._named(entry.name) is None:
                    documents.write(self._oned, entry)
                self._read[entry.name] = (self._clock.monotonic(), entry)
            return entry.name

    # --- inside -----------------------------------------------------------------------------------------------------

    def _made(self, entry: ProviderEntry) -> Provider:
        return registry.make_provider(entry, self._clock, state_dir=self._location.state)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{entries.SUFFIX}"

    def _named(self, name: str) -> Document | None:
        return next((one for one in documents.pool(self._oned) if one.name == name), None)

    def _by_id(self, document_id: int) -> ProviderRecord:
        try:
            document = self._oned.document(document_id, decrypt=True)
        except NoSuchObject as exc:
            raise self._unknown(str(document_id)) from exc
        if document.type != documents.DOCUMENT_TYPE:
            raise ConfigError(f"document {document_id} is not a provider: its type is {document.type}, not 702")
        return records.of_document(document).with_entry(lambda: documents.parse(document))

    def _by_name(self, name: str) -> ProviderRecord:
        if name in entries.names_in(self.folder):
            return records.of_file(self._path(name))
        document = self._named(name)
        if document is None:
            raise self._unknown(name)
        return self._by_id(document.id)

    def _unknown(self, word: str) -> ConfigError:
        known = [f"{one.id} {one.name}" if one.id is not None else one.name for one in self.records()]
        hint = f"known are {', '.join(known[:50])}" if known else f"make one, or put a file into {self.folder}"
        return ConfigError(f"there is no provider '{word[:64]}': {hint}")

    def _document_id(self, record: ProviderRecord) -> int:
        if record.id is None:
            raise ConfigError(f"provider {record.name} is the file {record.source}: change it there")
        return record.id

    def _unused(self, record: ProviderRecord, what: str) -> int:
        document_id = self._document_id(record)
        first = None if record.name in entries.names_in(self.folder) else self._named(record.name)
        users = self.users(record.name) if first is not None and first.id == document_id else []  # else hidden
        if users:
            named = ", ".join(users[:10]) + (f" and {len(users) - 10} more" if len(users) > 10 else "")
            raise ConfigError(f"provider {record.name} cannot be {what}: it is used by {named}; delete them first")
        return document_id

    def _forget(self, name: str) -> None:
        with self._lock:
            self._read.pop(name, None)
