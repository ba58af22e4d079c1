"""What may stand in a template or an argument on its way to oned, and what may not.

Refused instead of sent: what XML-RPC cannot carry, and what oned's template reader would take for something else.
Sources: XML 1.0 (``Char``, end-of-line handling); OpenNebula ``template_parser.l`` (a string ends at the last quote
that has no backslash before it; ``]]>`` in a value is a syntax error) and ``template_syntax.y``.
"""

from __future__ import annotations

import re

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # a carriage return becomes a newline
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


def carriable(text: str, what: str) -> str:
    """Return ``text`` when XML can carry it.

    Raises:
        ConfigError: it holds a control character (or half of a character); the text names ``what``, not the value.
    """
    if bad := _NOT_XML.search(text):
        raise ConfigError(
            f"{what} holds the character U+{ord(bad.group()):04X} at position {bad.start()}, "
            "which cannot be sent to oned: remove it"
        )
    return text


def readable(text: str) -> str:
    """Make foreign text (a program's output, a provider's message) fit to be a template value, for people to read."""
    text = _NOT_XML.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).replace("]]>", "]] >")
    return text + " " if text.endswith("\\") else text


def render(template: Template, what: str) -> str:
    """Write ``template`` in OpenNebula's syntax after checking that oned will read back the same.

    Raises:
        ConfigError: a name or a value cannot be written; the text names ``what`` and the attribute, not the value.
    """
    for name, value in template:
        if isinstance(value, str):
            _check(name, value, f"{name} of {what}")
            continue
        _check(name, "", f"{name} of {what}")
        for key, text in value.items():
            _check(key, text, f"{name}/{key} of {what}")
    return template.render()


def _check(name: str, value: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{what}: an attribute's name has only letters, digits and underscores, no digit first")
    carriable(value, what)
    if "]]>" in value:
        raise ConfigError(f"{what} holds ']]>', which oned does not accept in a value: write it in another way")
    if value.endswith("\\"):
        raise ConfigError(f"{what} ends with a backslash, which oned would read as a quote: put something behind it")
