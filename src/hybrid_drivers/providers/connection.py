"""The kept connections to a provider: endpoint, token, pool. Nothing secret is in their printable state."""

from __future__ import annotations

import urllib.parse
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.secret import Secret


class HeaderToken(AuthBase):
    """Puts a secret into one header as the bytes leave.

    Raises:
        ConfigError: the token has characters that cannot stand in a header.
    """

    def __init__(self, header: str, token: Secret) -> None:
        value = token.reveal()
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError("the token has characters that no token has (a space, a line end?): paste it again")
        self._header, self._token = header, token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers[self._header] = self._token.reveal()
        return request


def checked_endpoint(base: str) -> str:
    """Return ``base`` without a closing slash.

    Raises:
        ConfigError: it is no http(s) URL, or holds a password.
    """
    try:
        parts = urllib.parse.urlsplit(base)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
        parts = urllib.parse.urlsplit("")
    if not good or "@" in parts.netloc:
        raise ConfigError("the endpoint must be a URL like https://api.example.com/v1, without a password in it")
    return base.rstrip("/")


def make_session(auth: AuthBase, pool: int) -> requests.Session:
    """Return a session for many threads: ``pool`` connections, no cookies, no retries of its own.

    Proxies and CA bundles of the environment count; ``~/.netrc`` does not, since ``auth`` is set.
    """
    session = requests.Session()
    session.auth = auth
    session.cookies = RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=pool, max_retries=0, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers.update({"User-Agent": "opennebula-hybrid-drivers", "Accept": "application/json"})
    return session
