"""More public addresses for a provision: one more address range on its network that gets them from a provider."""

from __future__ import annotations

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.lock import Lock
from hybrid_drivers.provision.record import Record
from hybrid_drivers.provision.site import Site

# What oned or the IPAM driver made of the first range, and another has its own of.
OWN = frozenset(
    {"AR_ID", "IP", "IP6", "MAC", "SIZE", "IP_END", "MAC_END", "IP6_END", "USED_LEASES", "LEASES", "ALLOCATED"}
    | {
        "NEXT_INDEX",
        "SHARED",
        "DEPLOY_ID",
        "GLOBAL_PREFIX",
        "ULA_PREFIX",
        "IP6_GLOBAL",
        "IP6_ULA",
        "PARENT_NETWORK_AR_ID",
    }
)


def add(site: Site, record: Record, amount: int) -> str:
    """Add ``amount`` addresses, and return the network's name.

    Raises:
        ConfigError: no network of the provision gets its addresses from a provider, or somebody works on it.
        OnedError: the IPAM driver has no more.
    """
    with Lock(site.oned, record.id, site.clock, "ip add"):
        for slot in record.exists("networks"):
            network = site.objects.get("vnet", slot.number)
            for known in network.address_ranges:
                if known.get("IPAM_MAD", "internal") not in ("", "internal"):
                    more = {key: value for key, value in known.items() if key not in OWN}
                    site.objects.add_address_range(network.id, {**more, "SIZE": str(amount)})
                    site.store.note(record, f"{amount} addresses added to network {network.name}")
                    site.store.save(record)
                    return network.name
    raise ConfigError(
        f"no network of provision {record.id} '{record.name}' gets its addresses from a provider (IPAM_MAD in its ar)"
    )
