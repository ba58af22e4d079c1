"""Marketplace apps: tests put them there (``Store.add_app``), clients look at them and export them.

Not recorded; elements and their order are those of OpenNebula ``MarketPlaceApp.cc``.
"""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.calls import Context, Method
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.market_objects import AppObject
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store


class Apps(Family[AppObject]):
    """Marketplace apps."""

    call = word = "marketplaceapp"
    taken = root = "MARKETPLACEAPP"

    def pool(self, store: Store) -> Pool[AppObject]:
        """Return the apps."""
        return store.apps

    def xml(self, context: Context, one: AppObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml()

    def methods(self) -> dict[str, Method]:
        """Only to be looked at; the calls have a shorter name than the object."""
        return {
            "one.marketapp.info": Method(self.info, "i|b"),
            "one.marketapppool.info": Method(self.pool_info, "iii"),
        }
