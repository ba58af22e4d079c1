"""The calls of documents; names need not be unique, and PROVISION_BODY is encrypted."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.objects import DocumentObject
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store


class Documents(Family[DocumentObject]):
    """Documents of all types."""

    call = word = "document"
    taken = root = "DOCUMENT"
    named_once = ""

    def pool(self, store: Store) -> Pool[DocumentObject]:
        """Return the documents."""
        return store.documents

    def xml(self, context: Context, one: DocumentObject, decrypt: bool) -> str:
        """Return the document, encrypted or not."""
        return one.xml(None if decrypt else context.store.cipher.shown)

    def updated(self, context: Context, one: DocumentObject, attributes: Attributes) -> Attributes:
        """What comes back encrypted is not encrypted twice."""
        return _decrypted(context, attributes)

    def allocate(self, context: Context, text: str, kind: int) -> int:
        """one.document.allocate: the name comes in the template and leaves it."""
        attributes = self.read(text)
        name = attributes.text("NAME").rstrip()
        attributes.remove("NAME", "TYPE")
        if fault := self.name_fault(context, name):
            raise Refused(Code.ALLOCATE, f"Error allocating a new document. {fault}")
        made = DocumentObject(id=-1, name=name, type=kind, template=_decrypted(context, attributes))
        return context.store.documents.put(made).id

    def of_type(self, context: Context, whose: int, first: int, last: int, kind: int) -> str:
        """one.documentpool.info: those of one type."""
        return self.pool_info(context, whose, first, last, lambda one: one.type == kind)

    def methods(self) -> dict[str, Method]:
        """Add the calls only documents have."""
        return {
            **super().methods(),
            "one.document.allocate": Method(self.allocate, "si", writes=True),
            "one.documentpool.info": Method(self.of_type, "iiii"),
        }


def _decrypted(context: Context, attributes: Attributes) -> Attributes:
    """Undo the encryption of a value a client read encrypted and sent back."""
    cipher = context.store.cipher
    for name in cipher.encrypted:
        if text := attributes.text(name):
            attributes.set(name, cipher.plain(text))
    return attributes
