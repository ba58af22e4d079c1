"""Provisions as documents of oned: one of type 703 each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import Document, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.provision.record import Record, read

DOCUMENT_TYPE = 703
SUMMARY = "PROVISION_SUMMARY"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A provision as the pool shows it, without its body (which is encrypted there)."""

    id: int
    name: str
    summary: Mapping[str, str]
    lock: Mapping[str, str]


class Store:
    """Reads and writes provisions. ``who`` stands in their history."""

    def __init__(self, oned: Oned, clock: Clock, who: str) -> None:
        self._oned, self._clock, self._who = oned, clock, who

    def known(self) -> list[Known]:
        """Return all provisions, in one call, the oldest first."""
        found = [self._known(document) for document in self._oned.documents(DOCUMENT_TYPE)]
        return sorted(found, key=lambda one: one.id)

    def find(self, word: str) -> Known:
        """Return the provision with this id or name.

        Raises:
            ConfigError: there is none, or several have the name.
        """
        everything = self.known()
        found = [one for one in everything if word.isdecimal() and one.id == int(word)]
        found = found or [one for one in everything if one.name == word]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(one.id) for one in found)
            raise ConfigError(f"several provisions are called '{word}' (ids {ids}): name one by its id")
        names = ", ".join(f"{one.id} {one.name}" for one in everything[-20:]) or "none"
        raise ConfigError(f"there is no provision '{word[:60]}'; known: {names}")

    def read(self, provision_id: int) -> Record:
        """Return a provision.

        Raises:
            ConfigError: it does not exist, is another kind of document, or cannot be read.
        """
        try:
            document = self._oned.document(provision_id, decrypt=True)
        except NoSuchObject as exc:
            raise ConfigError(f"provision {provision_id} does not exist (any more)") from exc
        if document.type != DOCUMENT_TYPE:
            raise ConfigError(f"document {provision_id} is not a provision (type {document.type})")
        return read(document.id, document.name, document.body)

    def create(self, record: Record) -> Record:
        """Write a new provision and give it its id.

        Raises:
            ConfigError: another one of this name was written at the same time.
        """
        record.note(self._clock.now(), self._who, "created")
        record.id = self._oned.allocate_document(record.name, record.body(), DOCUMENT_TYPE, self._extra(record))
        rivals = [one.id for one in self.known() if one.name == record.name and one.id < record.id]
        if rivals:  # names of documents are unique on some releases only
            self._oned.delete_document(record.id)
            raise ConfigError(f"provision {rivals[0]} '{record.name}' is being made by somebody else at the moment")
        return record

    def save(self, record: Record) -> None:
        """Write a provision as it is now."""
        self._oned.update_document(record.id, record.body(), self._extra(record))

    def note(self, record: Record, text: str) -> None:
        """Add to its history; written with the next :meth:`save`."""
        record.note(self._clock.now(), self._who, text)

    def delete(self, record: Record) -> None:
        """Forget a provision."""
        self._oned.delete_document(record.id)

    def _extra(self, record: Record) -> Template:
        return Template([(SUMMARY, record.summary())])

    def _known(self, document: Document) -> Known:
        return Known(id=document.id, name=document.name, summary=document.summary, lock=document.lock)
