"""The one way to a provider's JSON API over HTTP.

Every call has time-outs, passes the account's token bucket, and ends in a decoded document or an error of our tree.
Reading calls are repeated for passing failures. Changing calls are sent once: a connection that was never made is a
``TransientError``, and silence after sending is the error class the caller names (``OutcomeUnknown`` for a create),
because a create that is repeated blindly buys two machines.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import PermanentError, ProviderError, RateLimited, TransientError
from hybrid_drivers.providers.bucket import TokenBucket
from hybrid_drivers.providers.connection import checked_endpoint, make_session
from hybrid_drivers.providers.faults import is_bad_certificate, reason, was_sent
from hybrid_drivers.providers.redaction import Redactor
from hybrid_drivers.providers.retry import Retrier
from hybrid_drivers.providers.statuses import Reply, Rule, error_for

log = logging.getLogger(__name__)
_CHUNK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Time-outs in real seconds, pool size in connections, and the largest reply in bytes."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 180.0  # for one reply, however slowly it drips
    pool: int = 32
    largest: int = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request. ``what`` says for people what it is for; ``hide`` are parts of the body that may not reappear."""

    method: str
    path: str
    what: str
    rules: Sequence[Rule] = ()
    query: Mapping[str, str] | None = None
    body: Mapping[str, object] | None = field(default=None, repr=False)
    lost: type[ProviderError] = TransientError  # what silence after sending means
    hide: tuple[str, ...] = field(default=(), repr=False)
    last_look: Callable[[], None] = field(default=lambda: None, repr=False)  # when its turn has come; may raise


class HttpApi:
    """A provider's API at ``base``; usable from many threads. ``name`` begins every error sentence."""

    def __init__(
        self,
        name: str,
        base: str,
        *,
        auth: AuthBase,
        bucket: TokenBucket,
        clock: Clock,
        redactor: Redactor,
        patience: Patience | None = None,
        retrier: Retrier | None = None,
    ) -> None:
        self._name, self._base = name, checked_endpoint(base)
        self._bucket, self._clock, self._redactor = bucket, clock, redactor
        self._patience = patience or Patience()
        self._retrier = retrier or Retrier(clock)
        self._session = make_session(auth, self._patience.pool)

    def run(self, call: Call) -> object:
        """Carry out ``call`` and return the decoded document (None when the reply is empty).

        Raises:
            ProviderError: by the rules of the call; ``call.lost`` when no whole answer came after sending.
        """
        if call.method == "GET":
            return self._retrier.run(lambda: self._once(call))
        return self._once(call)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def _once(self, call: Call) -> object:
        self._bucket.take()
        call.last_look()
        started = time.monotonic()
        try:
            reply = self._exchange(call)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            raise self._no_answer(call, exc) from exc
        spent = time.monotonic() - started
        log.debug("%s: %s %s -> %d in %.2f s", self._name, call.method, call.path, reply.status, spent)
        if 200 <= reply.status < 300:
            return reply.document
        raise self._refusal(call, reply)

    def _refusal(self, call: Call, reply: Reply) -> ProviderError:
        error = error_for(reply, call.rules, f"{self._name}: {call.what}", self._clock.now())
        if isinstance(error, RateLimited):
            self._bucket.pause(error.retry_after or 1.0)
        elif type(error) is TransientError and reply.status >= 500 and call.lost is not TransientError:
            # a proxy may say so although the work was done behind it
            return call.lost(f"{error}, after a look at whether it was done")
        return error

    def _exchange(self, call: Call) -> Reply:
        patience = self._patience
        response = self._session.request(
            call.method,
            self._base + call.path,
            params=call.query,
            json=call.body,
            timeout=(patience.connect, patience.read),
            allow_redirects=False,  # a redirect could carry the token to another host
            stream=True,
        )
        with response:
            raw = self._read(response)
        return self._reply(call, response, raw)

    def _read(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._patience.total  # the network's own time, also where the clock is a fake
        raw = bytearray()
        for chunk in response.iter_content(_CHUNK):
            raw += chunk
            if len(raw) > self._patience.largest or time.monotonic() > deadline:
                raise requests.exceptions.ContentDecodingError("the reply is too large or too slow")
        return bytes(raw)

    def _reply(self, call: Call, response: requests.Response, raw: bytes) -> Reply:
        document = _decoded(raw)
        good = 200 <= response.status_code < 300
        if good and raw.strip() and document is None:
            kind = response.headers.get("Content-Type", "an unnamed type")[:40]
            raise requests.exceptions.InvalidJSONError(f"{kind} instead of JSON")
        return Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            words="" if good else self._redactor.clean(_words(document), call.hide),
            document=document,
        )

    def _no_answer(self, call: Call, exc: Exception) -> ProviderError:
        what = f"{self._name}: {call.what}: {self._base}"
        if is_bad_certificate(exc):
            return PermanentError(f"{what} shows a certificate that is not trusted; correct the endpoint or the CAs")
        if not was_sent(exc):
            return TransientError(f"{what} cannot be reached ({reason(exc)}); it will be tried again")
        if call.lost is TransientError:
            return TransientError(f"{what} gave no usable answer ({reason(exc)}); it will be tried again")
        return call.lost(f"{what} gave no usable answer ({reason(exc)}); whether it was done must be looked up")


def _decoded(raw: bytes) -> object:
    try:
        return json.loads(raw) if raw.strip() else None
    except (ValueError, RecursionError):
        return None


def _words(document: object) -> str:
    """Return a provider's own words of an error: ``{"errors": [..]}``, ``{"error": ".."}``, ``{"message": ".."}``."""
    if not isinstance(document, dict):
        return ""  # an HTML page of a proxy says nothing to people
    for key in ("errors", "error", "message"):
        value = document.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "; ".join(str(one) for one in value)
    return ""
