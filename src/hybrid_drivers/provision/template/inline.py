"""Credentials in a template: 5.12 wrote them among the PROVISION keys of ``defaults`` and hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hybrid_drivers.providers import registry
from hybrid_drivers.providers.entries import CREDENTIAL_ATTRIBUTES
from hybrid_drivers.provision.template.model import KINDS, Data, ProvisionTemplate
from hybrid_drivers.provision.template.values import text_of

# All that goes into a provider entry; some (REGION_NAME) are wishes about a machine too.
INLINE = frozenset(key for one in registry.built_in() for key in one.inline)
DRIVER_KEYS = ("DRIVER", "PM_MAD")
# 6.x providers' ``connection`` and what other keys hold by their name.
_SECRET = re.compile(r"token|secret|passw|credential|access_?key|private_?key|api_?key|(^|_)ec2_access$", re.IGNORECASE)
_HARMLESS = re.compile(r"public_key|deploy_private_key|keyname|keypair", re.IGNORECASE)


def split_credentials(provision: Mapping[str, Data]) -> tuple[dict[str, str], dict[str, Data]]:
    """Split PROVISION keys into an account, upper case and as text, and what is left, as it was.

    The account has what ``providers.entries.entry_from_attributes`` takes, the driver included. It is empty when no
    credential is there: a driver or a region alone is no account.
    """
    account = {key.upper(): text_of(value) for key, value in provision.items() if key.upper() in INLINE}
    if not account.keys() & CREDENTIAL_ATTRIBUTES:
        return {}, dict(provision)
    named = {key.upper(): text_of(value) for key, value in provision.items() if key.upper() in DRIVER_KEYS}
    return {**named, **account}, without_credentials(provision)


def without_credentials(provision: Mapping[str, Data]) -> dict[str, Data]:
    """Return PROVISION keys without credentials and without the driver, which only says whose they are."""
    apart = {*CREDENTIAL_ATTRIBUTES, *DRIVER_KEYS}
    return {key: value for key, value in provision.items() if key.upper() not in apart and not is_secret(key)}


def is_secret(key: str) -> bool:
    """Tell whether a key, by its name, holds something that nobody else must read."""
    name = key.rpartition(".")[2]
    if name.upper() in CREDENTIAL_ATTRIBUTES:
        return "ENDPOINT" not in name.upper()
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def credential_keys(template: ProvisionTemplate) -> frozenset[str]:
    """Return the keys whose values a masked dump hides, with dots (``defaults.provision.packet_token``)."""
    sections = {f"defaults.{name}": template.defaults(name) for name in ("connection", "provision", "configuration")}
    found = {key for name, section in sections.items() for key in _secret_below(section, name)}
    found |= set(_secret_below(template.extra, ""))
    for kind in KINDS:
        for at, spec in enumerate(template.objects(kind)):
            parts = {"connection": spec.connection, "provision": spec.provision, "configuration": spec.configuration}
            for name, section in parts.items():
                found |= set(_secret_below(section, f"{kind}.{at}.{name}"))
            found |= set(_secret_below(spec.body, f"{kind}.{at}"))
    return frozenset(found)


def _secret_below(data: Data | Mapping[str, Data], path: str) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            below = f"{path}.{key}" if path else key
            if is_secret(key) and not isinstance(value, bool):
                yield below
            else:
                yield from _secret_below(value, below)
    elif isinstance(data, list):
        for at, one in enumerate(data):
            yield from _secret_below(one, f"{path}.{at}")
