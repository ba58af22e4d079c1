"""Taking over the providers of OneProvision 6.x: documents of type 102, which are read and never written.

Source: OpenNebula ``src/oneprovision/lib/provision_element.rb`` (the body is JSON in ``PROVISION_BODY``) and
``src/oca/ruby/opennebula/document_json.rb`` (before 6.0 in ``BODY``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hybrid_drivers.errors import ConfigError, HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.directory import ProviderDirectory
from hybrid_drivers.provision.provider_file import read_provider
from hybrid_drivers.yamlfile import Scalar, Table, parse_json

THEIRS = 102
_BODIES = ("PROVISION_BODY", "BODY")
_TRUE = Scalar(text="true", kind="boolean")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one document: the id of ours, or why there is none. ``text`` tells people."""

    source: int
    id: int | None
    text: str
    new: bool = False


class Importer:
    """Imports into ``directory``. ``trust`` goes into providers that have no way to know a machine's host key."""

    def __init__(self, directory: ProviderDirectory, objects: Objects, *, check: bool = True, trust: bool = False):
        self._directory, self._objects, self._check, self._trust = directory, objects, check, trust

    def candidates(self) -> list[int]:
        """Return the ids of all documents of the type, the oldest first, in one call."""
        return sorted(one.id for one in self._objects.pool("document", THEIRS))

    def run(self, document_id: int, name: str = "") -> Imported:
        """Import one document, under its own name or ``name``; one that was imported before is only told.

        Owner, group and permissions stay those of the document. What is wrong is in the result, not raised.
        """
        try:
            return self._run(document_id, name)
        except HybridError as exc:
            return Imported(source=document_id, id=None, text=str(exc))

    def _run(self, document_id: int, name: str) -> Imported:
        for record in self._directory.records():
            if record.imported == str(document_id):
                text = f"document {document_id} was imported before: it is provider {record.id} {record.name}"
                return Imported(source=document_id, id=record.id, text=text)
        document = self._document(document_id)
        entry = self._entry(document, name)
        seen = self._directory.check(entry) if self._check else "not checked"
        made = self._directory.create(entry, imported=str(document_id))
        text = f"document {document_id} is provider {made} {entry.name} now, driver {entry.driver}: {seen}"
        return Imported(source=document_id, id=made, new=True, text=text + self._given_to(made, document))

    def _document(self, document_id: int) -> OnedObject:
        try:
            document = self._objects.get("document", document_id, decrypt=True)
        except NoSuchObject as exc:
            raise ConfigError(f"there is no document {document_id}") from exc
        if document.type != THEIRS:
            raise ConfigError(
                f"document {document_id} is no provider of OneProvision 6.x: its type is {document.type}, not {THEIRS}"
            )
        return document

    def _entry(self, document: OnedObject, name: str) -> ProviderEntry:
        where = f"document {document.id}"
        body = next((text for key in _BODIES if (text := document.template.text(key))), "")
        try:
            tree = parse_json(body, where)
        except ConfigError:
            tree = None
        if not isinstance(tree, Table) or "provider" not in tree.values:
            raise ConfigError(
                f"{where} ({document.name}) is no provider of OneProvision 6.x: its body is not JSON with 'provider'"
            )
        if self._trust:
            tree = replace(tree, values={**tree.values, "trust_first_use": _TRUE})
        return read_provider(tree, where, name=name or document.name)

    def _given_to(self, made: int, document: OnedObject) -> str:
        """Give ours to whom the document belongs; a failure is told, as the provider itself is there."""
        ours = self._objects.get("document", made)
        try:
            if ours.mode != document.mode:
                self._objects.chmod("document", made, document.mode)
            if (ours.uid, ours.gid) != (document.uid, document.gid):
                self._objects.chown("document", made, document.uid, document.gid)
        except HybridError as exc:
            return f"; owner and permissions could not be taken over: {exc}"
        return ""
