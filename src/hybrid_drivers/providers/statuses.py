"""From an HTTP reply to an error of our tree: one table a provider, read in one place."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import CredentialsRejected, PermanentError, ProviderError, RateLimited, TransientError

LONGEST_RETRY_AFTER = 3600.0  # seconds; a provider that says more is asked again after this


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row: statuses from ``first`` to ``last``, and, when given, one of ``words`` in the reply (lower case)."""

    first: int
    error: type[ProviderError]
    advice: str
    last: int = 0
    words: tuple[str, ...] = ()

    def fits(self, status: int, words: str) -> bool:
        """Tell whether this row speaks of such a reply."""
        within = self.first <= status <= (self.last or self.first)
        return within and (not self.words or any(word in words.lower() for word in self.words))


# Below every provider's own rows, so that no status is unmapped (RFC 9110 section 15).
LAST_RULES = (
    Rule(first=401, error=CredentialsRejected, advice="check the credentials of the provider entry"),
    Rule(first=408, error=TransientError, advice="it will be tried again"),
    Rule(first=425, error=TransientError, advice="it will be tried again"),
    Rule(first=429, error=RateLimited, advice="it will be tried again when the provider allows it"),
    Rule(first=500, last=599, error=TransientError, advice="it will be tried again"),
    Rule(first=300, last=399, error=PermanentError, advice="set the endpoint to where the API really is"),
    Rule(first=0, last=999, error=PermanentError, advice="correct the request"),
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a provider answered; ``words`` are its own words of an error, without secrets."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    words: str
    document: object = None  # the decoded JSON


def error_for(reply: Reply, rules: Sequence[Rule], what: str, now: float) -> ProviderError:
    """Return the error that ``reply`` means, by the first row of ``rules`` (then ``LAST_RULES``) that fits.

    ``what`` names who was asked for what, and begins the sentence. ``now`` is unix seconds.
    """
    rule = next(one for one in (*rules, *LAST_RULES) if one.fits(reply.status, reply.words))
    said = f" ({reply.words})" if reply.words else ""
    sentence = f"{what}: HTTP {reply.status}{said}; {rule.advice}"
    if issubclass(rule.error, TransientError):
        return rule.error(sentence, retry_after(reply.headers, now))
    return rule.error(sentence)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a provider asks us to wait: ``Retry-After`` (RFC 9110 10.2.3), or ``X-RateLimit-Reset``.

    The latter is unix seconds, and counts only when ``X-RateLimit-Remaining`` does not say that calls are left.
    """
    seconds = _from_retry_after(headers.get("retry-after", ""), now)
    if seconds is None and headers.get("x-ratelimit-remaining", "0").strip() in {"0", ""}:
        reset = headers.get("x-ratelimit-reset", "").strip()
        seconds = float(reset) - now if reset.isascii() and reset.isdigit() else None
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _from_retry_after(value: str, now: float) -> float | None:
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - now if value else None
    except (TypeError, ValueError, OverflowError):
        return None
