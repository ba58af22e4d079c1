"""What it means when an HTTP exchange ends without a usable reply."""

from __future__ import annotations

import ssl

import requests
import urllib3.exceptions

# A sign in a library's text -> words for people; that text itself may repeat headers, so it is not shown.
_REASONS = {
    "Connection refused": "connection refused",
    "NameResolutionError": "name not known",
    "Name or service not known": "name not known",
    "timed out": "timed out",
    "Connection reset": "connection reset",
    "RemoteDisconnected": "connection closed",
    "instead of JSON": "no JSON",
    "too large or too slow": "reply too large or too slow",
}


def was_sent(exc: BaseException) -> bool:
    """Tell whether a request that failed with ``exc`` may have reached the provider.

    urllib3 raises ``NewConnectionError`` and ``ConnectTimeoutError`` before a byte of the request is sent, and requests
    keeps them as the reason of its own errors. Anything else counts as sent.
    """
    if isinstance(exc, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
        return False
    unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return not (is_bad_certificate(exc) or any(isinstance(inner, unsent) for inner in _chain(exc)))


def is_bad_certificate(exc: BaseException) -> bool:
    """Tell whether the other side's certificate was refused; that happens before anything is sent."""
    return any(isinstance(inner, ssl.SSLCertVerificationError) for inner in _chain(exc))


def reason(exc: BaseException) -> str:
    """Say in two words what happened."""
    text = str(exc)
    return next((words for sign, words in _REASONS.items() if sign in text), type(exc).__name__)


def _chain(exc: BaseException) -> list[BaseException]:
    """Return ``exc`` and the errors it wraps: requests and urllib3 keep them as first argument or ``reason``."""
    found: list[BaseException] = []
    inner: object = exc
    while isinstance(inner, BaseException) and inner not in found:
        found.append(inner)
        inner = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
    return found
