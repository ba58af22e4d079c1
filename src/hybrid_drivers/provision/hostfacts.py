"""What a 6.x template may ask of its hosts once they run: ``${updates.first_host}``, ``${updates.default_ipv4_nic}``.

OneProvision learns both from Ansible (``src/oneprovision/lib/provision/provision.rb``, ``update_networks``). What its
Ceph clusters ask besides is left as it is written: nothing here makes Ceph clusters.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.errors import HybridError
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.model import Host
from hybrid_drivers.provision.record import Record
from hybrid_drivers.provision.site import Site

FIRST_HOST, NIC = "first_host", "default_ipv4_nic"
LIMIT = 30.0  # seconds to log in and ask
_DEVICE = re.compile(r"^default .*\bdev (\S+)", re.MULTILINE)


def facts(site: Site, record: Record, names: Collection[str]) -> dict[str, str]:
    """Return what is asked for, of the first host that is ready; nothing while there is none.

    Raises:
        HybridError: the host cannot be asked, or has no default route.
    """
    ready = {host.id: host for host in site.oned.hosts() if host.template.text("PROVISION_STATE") == "READY"}
    first = next((ready[slot.number] for slot in record.exists("hosts") if slot.number in ready), None)
    if first is None:
        return {}
    found = {FIRST_HOST: first.template.text("PROVISION_ADDRESS")}
    if NIC in names:
        found[NIC] = _default_nic(site, first)
    return {name: value for name, value in found.items() if name in names}


def _default_nic(site: Site, host: Host) -> str:
    connection = host.template.vector("PROVISION_CONNECTION")
    keys = tuple(one.strip() for one in host.template.text("PROVISION_HOST_KEY").split(",") if one.strip())
    target = SshTarget(
        address=host.template.text("PROVISION_ADDRESS"),
        port=int(connection.get("REMOTE_PORT", "22")),
        user=connection.get("REMOTE_USER", "root"),
        private_key=FrontEndKeys(site.state, Path.home()).private_key(connection),
        host_keys=keys,
    )
    with connect(target, timeout=LIMIT) as session:
        told = session.run("ip -4 route show default", timeout=LIMIT)
    device = _DEVICE.search(told.stdout)
    if device is None:
        raise HybridError(f"host {host.name} has no default route, so ${{updates.{NIC}}} has no value")
    return device[1]
