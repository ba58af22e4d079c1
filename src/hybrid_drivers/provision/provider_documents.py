"""Provider entries as documents of oned, of type 702.

The entry, secrets and all, is the PROVISION_BODY, which oned encrypts. Beside it stands PROVISION_SUMMARY in the clear,
so that a list costs one call however many there are: the driver, the place, and OneProvision's document it came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import Document, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.template import readable
from hybrid_drivers.providers import entries
from hybrid_drivers.providers.base import ProviderEntry

DOCUMENT_TYPE = 702
SUMMARY = "PROVISION_SUMMARY"
IMPORTED = "IMPORTED"  # in the summary: the id of the document of OneProvision
_PLACES = ("METRO", "FACILITY", "AVAILABILITYZONE")


def pool(oned: Oned) -> list[Document]:
    """Return the documents, the oldest first, in one call; bodies stay encrypted."""
    return sorted(oned.documents(DOCUMENT_TYPE), key=lambda document: document.id)


def parse(document: Document) -> ProviderEntry:
    """Return the entry in a document that was read decrypted. Raises: ConfigError."""
    return entries.entry_from_document(document.name, document.body, f"document {document.id}")


def read_all(oned: Oned) -> tuple[dict[str, ProviderEntry], dict[str, ConfigError]]:
    """Return all entries by name, and why others could not be read; of several of one name the oldest counts."""
    found: dict[str, ProviderEntry] = {}
    errors: dict[str, ConfigError] = {}
    for document in pool(oned):
        if document.name in found or document.name in errors:
            continue
        try:
            found[document.name] = parse(oned.document(document.id, decrypt=True))
        except NoSuchObject:
            continue  # deleted meanwhile
        except ConfigError as exc:
            errors[document.name] = exc
    return found, errors


def write(oned: Oned, entry: ProviderEntry, imported: str = "") -> int:
    """Make a document of the entry and return its id. Nothing is checked but that oned can carry it."""
    return oned.allocate_document(entry.name, body(entry), DOCUMENT_TYPE, summary(entry, imported))


def rewrite(oned: Oned, document_id: int, entry: ProviderEntry, imported: str = "") -> None:
    """Put another entry into a document."""
    oned.update_document(document_id, body(entry), summary(entry, imported))


def body(entry: ProviderEntry) -> str:
    """Return the PROVISION_BODY; ``]]>``, which oned takes in no value, is written another way."""
    return json.dumps(entries.body_of(entry)).replace("]]>", "]]\\u003e")


def summary(entry: ProviderEntry, imported: str = "") -> Template:
    """Return what is told in the clear: nothing of it is secret."""
    told = {"DRIVER": entry.driver, "PLACE": readable(place_of(entry)), IMPORTED: imported}
    return Template([(SUMMARY, {key: value for key, value in told.items() if value})])


def place_of(entry: ProviderEntry) -> str:
    """Return where the entry rents, for people: region, metro, facility or zone; empty when it does not say."""
    return entry.text("region") or _first(entry.defaults)


def _first(defaults: Mapping[str, str]) -> str:
    return next((defaults[key] for key in _PLACES if defaults.get(key)), "")
