"""Role ``opennebula-p2p-vxlan``: one private network for the guests of all hosts of the cluster, by static VXLAN.

A bridge, and on it a VXLAN device with an entry for each other host, to which it copies frames for unknown receivers;
where a guest is, it learns from what comes in. No loops: it is the bridge's only way out, and a bridge never sends a
frame back to where it came from. The role connects nothing else to the bridge, and neither should people.

Kept by a small program and unit of our own, under OneProvision's names, and not by the system's network manager:
NetworkManager has no entries of a forwarding database at all, systemd-networkd (``[BridgeFDB]``) is not part of Red Hat
Enterprise Linux, and ifupdown knows neither; and a reload of ours changes nothing but what differs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import overlay
from hybrid_drivers.hostconfig.facts import Facts, is_ipv4
from hybrid_drivers.hostconfig.parameters import Address, Interface, InterfaceOrLabel, parse
from hybrid_drivers.hostconfig.primitives import file
from hybrid_drivers.hostconfig.roles import bridged_networking, tuntap
from hybrid_drivers.hostconfig.steps import Step, all_of, words

_ROLE = "opennebula-p2p-vxlan"
_PROGRAM = "/usr/local/sbin/opennebula-p2p-vxlan"
_UNIT = "opennebula-p2p-vxlan.service"
_UNIT_TEXT = f"""\
[Unit]
Description=Private network of the hosts of an OpenNebula cluster, by static VXLAN
Wants=network.target
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_PROGRAM} start
ExecReload={_PROGRAM} start
ExecStop={_PROGRAM} stop

[Install]
WantedBy=multi-user.target
"""
_INTERNET_MTU, _ANY_MTU = 1500, 65535


@dataclass(frozen=True)
class Parameters:
    """Names: OpenNebula 5.12 ``share/oneprovision/ansible/roles/opennebula-p2p-vxlan/defaults/main.yml``.

    Defaults: ``inventories/static_vxlan/group_vars/all`` there; an empty value means what that file computed: the
    remotes are the other hosts of the cluster, the local address is the one they know this host by. Without a
    ``phydev`` (such as ``eth1``, or Packet's ``bond0:0``) the device is bound to no interface, and so outlives any.
    """

    opennebula_p2p_vxlan_bridge: Interface = Interface("vxbr100")  # noqa: RUF009 - a NewType of str, as immutable as str
    opennebula_p2p_vxlan_phydev: InterfaceOrLabel = InterfaceOrLabel("")  # noqa: RUF009 - as above
    opennebula_p2p_vxlan_vxlan_vni: int = 100
    opennebula_p2p_vxlan_vxlan_dev: Interface = Interface("vxlan100")  # noqa: RUF009 - as above
    opennebula_p2p_vxlan_vxlan_local_ip: Address = Address("")  # noqa: RUF009 - as above
    opennebula_p2p_vxlan_remotes: tuple[str, ...] = ()


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: a value does not fit, or two interfaces would have one name; the text names the variable.
    """
    overlay.check_own_address(facts)
    _check(parameters, facts)
    remotes = _remotes(parameters, facts)
    reload = "! has_systemd || systemctl daemon-reload"
    return (
        file(_ROLE, _PROGRAM, _program(), mode="755"),
        file(_ROLE, f"/etc/systemd/system/{_UNIT}", _UNIT_TEXT, then=reload),
        overlay.let_in(_ROLE, overlay.from_hosts(remotes, f"udp dport {overlay.VXLAN_PORT}")),
        _connect(parameters, facts, remotes),
    )


def _connect(parameters: Parameters, facts: Facts, remotes: Sequence[str]) -> Step:
    arguments = words(
        parameters.opennebula_p2p_vxlan_bridge,
        parameters.opennebula_p2p_vxlan_vxlan_dev,
        str(parameters.opennebula_p2p_vxlan_vxlan_vni),
        str(overlay.VXLAN_PORT),
        parameters.opennebula_p2p_vxlan_vxlan_local_ip,
        facts.address,
        parameters.opennebula_p2p_vxlan_phydev,
        str(_mtu_of_the_way(remotes)),
        *remotes,
    )
    return Step(
        role=_ROLE,
        name=f"connect {parameters.opennebula_p2p_vxlan_bridge} with the other hosts",
        check=all_of(overlay.left_out(facts), f"vxlan_is {arguments}"),
        apply=all_of(overlay.left_out(facts), f"put_vxlan {arguments}"),
    )


def _remotes(parameters: Parameters, facts: Facts) -> tuple[str, ...]:
    """Return all hosts to send to; as OneProvision's, a list may name the host itself."""
    given = dict.fromkeys(parameters.opennebula_p2p_vxlan_remotes)
    own = (facts.address, parameters.opennebula_p2p_vxlan_vxlan_local_ip)
    return tuple(address for address in given or facts.others if address not in own)


def _mtu_of_the_way(addresses: Sequence[str]) -> int:
    """Larger frames than Ethernet's usual ones stay inside a provider's private network."""
    private = bool(addresses) and all(ipaddress.IPv4Address(address).is_private for address in addresses)
    return _ANY_MTU if private else _INTERNET_MTU


def _check(parameters: Parameters, facts: Facts) -> None:
    bridge, device = parameters.opennebula_p2p_vxlan_bridge, parameters.opennebula_p2p_vxlan_vxlan_dev
    phydev, vni = parameters.opennebula_p2p_vxlan_phydev, parameters.opennebula_p2p_vxlan_vxlan_vni
    if not 0 < vni < 1 << 24:  # RFC 7348: 24 bits; 0 is what OpenNebula takes for none
        raise ConfigError(f"configuration: opennebula_p2p_vxlan_vxlan_vni is {vni}, expected 1 to 16777215")
    for address in parameters.opennebula_p2p_vxlan_remotes:
        if not is_ipv4(address):
            raise ConfigError(f"configuration: opennebula_p2p_vxlan_remotes has '{address}', expected IPv4 addresses")
    if not bridge or not device:
        raise ConfigError("configuration: opennebula_p2p_vxlan_bridge and opennebula_p2p_vxlan_vxlan_dev need names")
    networking = parse(bridged_networking.PARAMETERS, facts.given)
    taken = {
        "bridged_networking_bridge": networking.bridged_networking_bridge,
        "bridged_networking_iface": networking.bridged_networking_iface,
        "tuntap_name": parse(tuntap.PARAMETERS, facts.given).tuntap_name,
        "opennebula_p2p_vxlan_phydev": phydev.partition(":")[0],
    }
    _check_one_name("opennebula_p2p_vxlan_bridge", bridge, {**taken, "opennebula_p2p_vxlan_vxlan_dev": device})
    _check_one_name("opennebula_p2p_vxlan_vxlan_dev", device, taken)


def _check_one_name(variable: str, name: str, taken: dict[str, str]) -> None:
    for other, value in taken.items():
        if value == name:
            raise ConfigError(f"configuration: {variable} and {other} are both '{name}': they must differ")


@lru_cache(maxsize=1)
def _program() -> str:
    file = resources.files("hybrid_drivers.hostconfig").joinpath("opennebula-p2p-vxlan.sh")
    return file.read_text(encoding="utf-8")
