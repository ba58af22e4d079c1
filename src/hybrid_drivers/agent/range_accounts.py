"""Whose account an address range is reserved at, and what of its attributes is not a credential.

``PROVIDER`` names an entry. Inline credentials, as 5.12 has them, are those of an entry that has the same, or become a
document (docs/decisions/003): the range itself gets PROVIDER instead of them. ``PROVISION_ID`` stands for the provider
of that provision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.agent.accounts import Account, Accounts
from hybrid_drivers.errors import ConfigError, OnedError, Unsupported
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import PublicAddresses
from hybrid_drivers.providers.entries import CREDENTIAL_ATTRIBUTES

_PLACES = ("METRO", "FACILITY", "SUBNETID")


@dataclass(frozen=True, kw_only=True)
class RangeAccount:
    """An account, what it can do with addresses, and the range's attributes without credentials."""

    account: Account
    addresses: PublicAddresses
    attributes: Mapping[str, str]

    @property
    def where(self) -> Mapping[str, str]:
        """Return the attributes with the entry's own place, where the range names none."""
        own = {key: value for key, value in self.account.provider.entry.defaults.items() if key in _PLACES}
        return {**({} if any(self.attributes.get(key) for key in _PLACES) else own), **self.attributes}


class RangeAccounts:
    """Finds the account of a range."""

    def __init__(self, accounts: Accounts, oned: Oned) -> None:
        self._accounts, self._oned = accounts, oned

    def of(self, driver: str, ar: Mapping[str, str]) -> RangeAccount:
        """Return the account of a range of IPAM_MAD ``driver``.

        Raises:
            ConfigError: none is named, or it is wrong or of another driver.
            Unsupported: its driver has no public addresses.
        """
        account = self._named(driver, ar) or self._inline(driver, ar)
        if account.provider.entry.driver != driver:
            kind = account.provider.entry.driver
            raise ConfigError(f"the address range has IPAM_MAD {driver}, but provider {account.name} is one of {kind}")
        if not isinstance(account.provider, PublicAddresses):
            raise Unsupported(f"driver {driver} has no public addresses")
        left = {key: value for key, value in ar.items() if key not in CREDENTIAL_ATTRIBUTES}
        return RangeAccount(account=account, addresses=account.provider, attributes=left)

    def _named(self, driver: str, ar: Mapping[str, str]) -> Account | None:
        if name := ar.get("PROVIDER", "").strip():
            return self._accounts.named(name)
        if any(ar.get(key, "").strip() for key in registry.driver(driver).inline if key in CREDENTIAL_ATTRIBUTES):
            return None
        provision = ar.get("PROVISION_ID", "").strip()
        if provision.isdigit():
            return self._accounts.named(self._of_provision(int(provision)))
        known = ", ".join(sorted(one.name for one in self._accounts.all() if one.provider.entry.driver == driver))
        hint = f"known are {known}" if known else f"there is no entry of driver {driver} yet"
        raise ConfigError(f'the address range names no provider: give it PROVIDER="NAME" ({hint})')

    def _of_provision(self, number: int) -> str:
        try:
            names = self._oned.document(number, decrypt=False).summary.get("PROVIDER", "").split(",")
        except OnedError as exc:
            raise ConfigError(f'PROVISION_ID {number} of the address range: {exc}; give it PROVIDER="NAME"') from exc
        if len(names) != 1 or not names[0].strip():
            raise ConfigError(f'provision {number} has not one provider: give the address range PROVIDER="NAME"')
        return names[0].strip()

    def _inline(self, driver: str, ar: Mapping[str, str]) -> Account:
        names = registry.driver(driver).inline
        given = {setting: ar[key].strip() for key, setting in names.items() if ar.get(key, "").strip()}
        for one in self._accounts.all():
            entry = one.provider.entry
            if entry.driver == driver and all(entry.text(setting) == value for setting, value in given.items()):
                return one
        return self._accounts.for_attributes({"DRIVER": driver, **ar}, "the address range")[0]
