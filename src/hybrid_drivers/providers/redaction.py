"""Taking secrets out of text that a provider or a library wrote, before people see it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hybrid_drivers.secret import Secret

MASK = "***"
_WORDS_LIMIT = 300  # characters of a provider's own words that an error repeats
_SHORTEST = 6  # a shorter "secret" would blank ordinary words
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=]{41,}")  # base64 of keys or user-data; UUIDs have 36 characters, with dashes
_NAMED = re.compile(r"(?i)((?:x-auth-token|authorization|root_password|userdata|user_data)[\"']?\s*[:=]\s*)(\S.*)")


class Redactor:
    """Masks the given secrets, and whatever looks like a key, in any text.

    Providers repeat what they were sent ("userdata is invalid: ..."), libraries repeat headers; so every text of
    theirs goes through :meth:`clean`.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._values = sorted(_pieces(one.reveal() for one in secrets), key=len, reverse=True)

    def clean(self, text: str, hide: Iterable[str] = ()) -> str:
        """Return ``text`` in one line of at most 300 characters, without secrets.

        ``hide`` are texts of this one call (its user-data) no line of which may appear.
        """
        for value in [*self._values, *sorted(_pieces(hide), key=len, reverse=True)]:
            text = text.replace(value, MASK)
        text = _PRIVATE_KEY.sub(MASK, text)
        text = _LONG_RUN.sub(MASK, text)
        text = " ".join(_NAMED.sub(rf"\g<1>{MASK}", text).split())
        return text if len(text) <= _WORDS_LIMIT else text[: _WORDS_LIMIT - 3] + "..."


def _pieces(texts: Iterable[str]) -> set[str]:
    """Return the texts and each of their lines, but nothing too short to be a secret."""
    return {piece for text in texts for piece in (text, *map(str.strip, text.splitlines())) if len(piece) >= _SHORTEST}
