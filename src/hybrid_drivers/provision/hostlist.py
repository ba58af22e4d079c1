"""The hosts of all provisions: which ones they are, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.experience import Experience
from hybrid_drivers.provision.progress import HostView, Kind, view
from hybrid_drivers.provision.record import Slot
from hybrid_drivers.provision.site import Site


@dataclass(frozen=True, kw_only=True)
class HostRow:
    """A host of a provision in a list."""

    view: HostView
    provision: int
    cluster: int
    provider: str
    plan: str
    machine: str
    oned_state: str
    guests: int
    cpu: int  # percent of a core
    memory: int  # KiB


def host_rows(site: Site) -> list[HostRow]:
    """Return the hosts of all provisions: one call of oned."""
    hosts = site.oned.hosts()
    usual, now = Experience(site.state / "durations.json").usual(hosts), site.clock.now()
    found = [_row(host, now, usual) for host in hosts if tags.provision_id(host.template) is not None]
    return sorted(found, key=lambda row: row.view.id)


def find(site: Site, word: str) -> Host:
    """Return the host of a provision with this id, name, or name it was created with.

    Raises:
        ConfigError: there is none, or several have the name.
    """
    ours = [host for host in site.oned.hosts() if tags.provision_id(host.template) is not None]
    found = [host for host in ours if word.isdecimal() and host.id == int(word)]
    found = found or [host for host in ours if word in (host.name, friendly(host))]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(host.id) for host in found)
        raise ConfigError(f"several hosts are called '{word}' (ids {ids}): name one by its id")
    raise ConfigError(f"no provision has a host '{word[:60]}': 'oneprovision host list' shows them")


def friendly(host: Host) -> str:
    """Return the name the host was created with."""
    return host.template.vector("PROVISION").get("HOSTNAME") or host.name


def provision_of(host: Host) -> int:
    """Return the id of the provision a host belongs to. Raises: ConfigError."""
    found = tags.provision_id(host.template)
    if found is None:
        raise ConfigError(f"host {host.id} {host.name} belongs to no provision")
    return found


def _row(host: Host, now: float, usual: Mapping[Kind, float]) -> HostRow:
    provision = host.template.vector("PROVISION")
    slot = Slot(kind="hosts", index=tags.index(host.template) or 0, spec=0, name=friendly(host), id=host.id)
    return HostRow(
        view=view(slot, host, now, usual),
        provision=provision_of(host),
        cluster=host.cluster_id,
        provider=provision.get("RENTED_FROM") or provision.get("PROVIDER", ""),
        plan=provision.get("PLAN") or provision.get("INSTANCETYPE") or provision.get("INSTANCE_TYPE", ""),
        machine=provision.get("DEPLOY_ID", ""),
        oned_state=host.state.name,
        guests=host.running_vms,
        cpu=host.total_cpu,
        memory=host.total_memory,
    )
