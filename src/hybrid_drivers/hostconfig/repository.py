"""OpenNebula's package repository: its address, version and key, as a host's configuration may give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.secret import Secret

BASE = "https://downloads.opennebula.io/repo"
KEY_URL = f"{BASE}/repo2.key"
# Of repo2.key, which signs everything since 6.4.2 (OpenNebula docs 6.4, release_notes_enterprise/new_repo_key). The
# documentation does not print the fingerprint. It is the one that dnf showed when people let it import that file from
# that address, from 6.4 to 6.10, and the one in the Puppet module Gril258/puppet-nebula (manifests/repo.pp); its end is
# the key that apt asks for in OpenNebula/minione pull request 93 (NO_PUBKEY 05A05927906DC27C).
FINGERPRINT = "0B2D385C7C9304B11A0367B905A05927906DC27C"

_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}\Z")
_URL = re.compile(r"(https?|file)://[A-Za-z0-9._~:/@%+,=-]+\Z")
_FINGERPRINT = re.compile(r"([0-9A-F]{40}|[0-9A-F]{64})\Z")  # OpenPGP version 4, and version 5 or 6
# OneProvision's own default was written with the version in it, so people write theirs like that.
_PLACEHOLDER = re.compile(r"\{\{\s*opennebula_repository_version\s*\}\}")


@dataclass(frozen=True)
class Base:
    """The address below which each system has its packages, and who may read it: nothing when everybody may."""

    url: str
    credentials: Secret


def base(given: str, version: str, front_end: str) -> Base:
    """Read where the packages are.

    Args:
        given: address, perhaps with OneProvision's placeholder for the version, and with ``user:password@`` as the
            Enterprise Edition needs them; empty for OpenNebula's own.
        version: as given (``6.10`` or ``6.10.0``); empty for that of the front-end.
        front_end: version of the front-end's OpenNebula; empty when it is not known.

    Raises:
        ConfigError: a value does not fit, or the version is needed and nobody knows it.
    """
    pattern = given.rstrip("/") or BASE + "/{{ opennebula_repository_version }}"
    if _PLACEHOLDER.search(pattern):
        found = _version(version, front_end)
        pattern = _PLACEHOLDER.sub(lambda _: found, pattern)
    return _without_credentials(_url("opennebula_repository_base", pattern))


def key_url(text: str) -> str:
    """Return the address of the key.

    Raises:
        ConfigError: it is none.
    """
    return _url("opennebula_repository_key_url", text)


def fingerprints(text: str) -> tuple[str, ...]:
    """Read fingerprints, separated by commas; spaces and colons within one are as good as nothing.

    Raises:
        ConfigError: one is not a whole fingerprint (a key id would not do: they can be forged), or there is none.
    """
    found = tuple(re.sub(r"[\s:]", "", one).upper().removeprefix("0X") for one in text.split(",") if one.strip())
    if not found or not all(_FINGERPRINT.match(one) for one in found):
        raise ConfigError(
            f"configuration: opennebula_repository_key_fingerprint is '{text}', expected whole fingerprints of OpenPGP "
            "keys (40 hexadecimal digits), separated by commas"
        )
    return found


def _without_credentials(url: str) -> Base:
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    lines = f"{unquote(parts.username or '')}\n{unquote(parts.password or '')}\n" if at else ""
    if lines.count("\n") > 2:
        raise ConfigError("configuration: opennebula_repository_base has a password of several lines")
    return Base(urlunsplit(parts._replace(netloc=host)), Secret(lines))


def _version(given: str, front_end: str) -> str:
    version = given or ".".join(front_end.split(".")[:2])
    if not version:
        raise ConfigError(
            "configuration: the version of the front-end's OpenNebula is not known: set opennebula_repository_version "
            "(such as 6.10), or opennebula_repository_enabled to no for the distribution's packages"
        )
    if not _VERSION.match(version):
        raise ConfigError(f"configuration: opennebula_repository_version is '{version}', expected one like 6.10")
    return version


def _url(name: str, text: str) -> str:
    if not _URL.match(text):
        shown = re.sub(r"//.*@", "//***@", text)  # a password may be in it
        raise ConfigError(f"configuration: {name} is '{shown}', expected an address like {BASE}")
    return text
