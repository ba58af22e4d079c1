"""How attributes that oned stores encrypted look to who may not read them."""

from __future__ import annotations

import base64
import hashlib
import secrets


class Cipher:
    """Hides attributes in replies; no protection, only unreadable without the key of this instance."""

    encrypted = frozenset({"PROVISION_BODY"})  # DOCUMENT_ENCRYPTED_ATTR of 7.x; top level only (tried)

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def shown(self, name: str, value: str) -> str:
        """Return ``value`` as an undecrypted read shows it."""
        return self._hide(value) if name in self.encrypted and value else value

    def plain(self, value: str) -> str:
        """Undo :meth:`shown`, when ``value`` is such a text: oned never encrypts twice."""
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:
            return value
        text = self._mix(data[8:])
        return text.decode() if data[:8] == self._mark(text) else value

    def _hide(self, value: str) -> str:
        data = value.encode()
        return base64.b64encode(self._mark(data) + self._mix(data)).decode()

    def _mix(self, data: bytes) -> bytes:
        stream = hashlib.shake_256(self._key).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, stream, strict=True))

    def _mark(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=8).digest()
