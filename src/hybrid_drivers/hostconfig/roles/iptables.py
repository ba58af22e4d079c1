"""Role ``iptables``: what may come in, and NAT for guests. The name is OneProvision's; nftables does it.

All of it is two nftables tables of our own, loaded at boot by a unit of our own: rules of others stay as they are.
The base rules are for IPv4 and IPv6. NAT is for IPv4 only, as OneProvision's: the bridge gives guests no IPv6 addresses
that would need hiding, and forwarding IPv6 would make the host ignore its own router's advertisements (Linux
``Documentation/networking/ip-sysctl``: ``forwarding`` and ``accept_ra``). NAT is a table of family ``ip``, because
``inet`` cannot do NAT before Linux 5.2 (nft(8), chains of type nat).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import Interface, Service, parse
from hybrid_drivers.hostconfig.primitives import command, file, packages, sysctl
from hybrid_drivers.hostconfig.roles import PEER_ROLES, bridged_networking
from hybrid_drivers.hostconfig.steps import Step, words

_ROLE = "iptables"
_TABLE = "opennebula_hybrid"
_FILE = "/etc/opennebula-hybrid/firewall.nft"
_PARTS = "/etc/opennebula-hybrid/firewall.d/*.nft"
_UNIT = "opennebula-hybrid-firewall.service"
# Ordered as Debian's nftables.service; after it and with it, because its own file flushes all rules.
_UNIT_TEXT = f"""\
[Unit]
Description=Firewall and NAT of OpenNebula Hybrid Drivers
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {_FILE}
ExecReload=/usr/sbin/nft -f {_FILE}
ExecStop=-/usr/sbin/nft delete table inet {_TABLE}
ExecStop=-/usr/sbin/nft delete table ip {_TABLE}

[Install]
WantedBy=sysinit.target
"""


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/iptables/defaults/main.yml``.

    ``iptables_masquerade_enabled`` may also be ``auto``, and is when not given: no, as in OneProvision, unless the
    bridge leads nowhere (where OneProvision failed): then its guests get NAT. An empty
    ``iptables_masquerade_interface`` is the default route's. As after a restart of OneProvision's hosts, traffic that
    the host only forwards is let through.
    """

    iptables_ip_forward_enabled: bool = True
    iptables_manage_persistent: bool = True
    iptables_base_rules_enabled: bool = True
    iptables_base_rules_interface: Interface = Interface("")  # noqa: RUF009 - a NewType of str, as immutable as str
    iptables_base_rules_strict: bool = True
    iptables_base_rules_services: tuple[Service, ...] = (Service("tcp", 22),)
    iptables_masquerade_enabled: bool | None = None
    iptables_masquerade_interface: Interface = Interface("")  # noqa: RUF009 - as above


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps."""
    bridge = parse(bridged_networking.PARAMETERS, facts.given).bridged_networking_bridge
    persistent = parameters.iptables_manage_persistent
    nat = {True: "yes", False: "no", None: "auto"}[parameters.iptables_masquerade_enabled]
    arguments = words("yes" if persistent else "no", nat, bridge, parameters.iptables_masquerade_interface)
    forward = "1" if parameters.iptables_ip_forward_enabled else "0"
    found = [packages(_ROLE, ("nftables",)), sysctl(_ROLE, "net.ipv4.ip_forward", forward)]
    if persistent:
        found.append(file(_ROLE, f"/etc/systemd/system/{_UNIT}", _UNIT_TEXT))
    rules = Step(
        role=_ROLE,
        name="set firewall and NAT",
        check=f"firewall_is {arguments}",
        apply=f"put_firewall {arguments}",
        stdin=_rules(parameters),
    )
    retired = command(
        _ROLE,
        "retire the rules OneProvision wrote",
        check="no_oneprovision_rules",
        apply="retire_oneprovision_rules",
    )
    found += [rules, *_parts_dropped(facts), retired]
    # Where ours let everything in, or are gone after a reboot, nothing would take the place of the owner's firewall.
    if parameters.iptables_base_rules_enabled and persistent:
        found += [_out_of_service(one) for one in ("ufw", "firewalld")]
    return found


def _parts_dropped(facts: Facts) -> Sequence[Step]:
    """Take back what roles let in that the host no longer has; files of others in that folder stay."""
    gone = sorted(PEER_ROLES - set(facts.roles))
    if not facts.roles or not gone:
        return ()
    name = "take back what roles no longer wanted let in"
    return (
        command(_ROLE, name, check=f"no_firewall_parts {words(*gone)}", apply=f"drop_firewall_parts {words(*gone)}"),
    )


def _out_of_service(name: str) -> Step:
    """Stop a firewall for good. A masked unit is not started by another package's installation either."""
    unit = f"{name}.service"
    return command(
        _ROLE,
        f"put {name} out of service",
        check=f"is_out_of_service {unit}",
        apply=f"systemctl mask --now {unit}",
    )


def _rules(parameters: Parameters) -> str:
    """Write the table; ``@SSH_PORTS@`` and ``@NAT@`` are filled in on the host (``firewall.sh``)."""
    lines = _input(parameters) if parameters.iptables_base_rules_enabled else []
    text = "\n".join(f"        {line}" for line in lines)
    return f"""\
#!/usr/sbin/nft -f
table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
    chain input {{
        type filter hook input priority 10; policy accept;
{text}
    }}
}}
table ip {_TABLE}
delete table ip {_TABLE}
table ip {_TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        @NAT@
    }}
}}
"""


def _input(parameters: Parameters) -> list[str]:
    where = f'iifname "{i}" ' if (i := parameters.iptables_base_rules_interface) else ""
    lines = [
        "ct state established,related accept",
        'iifname "lo" accept',
        "meta l4proto { icmp, ipv6-icmp } accept",
        "tcp dport { @SSH_PORTS@ } accept",
        # What libvirt offers on its own networks; an accept in its own table does not keep ours from refusing.
        'iifname "virbr*" udp dport { 53, 67 } accept',
        'iifname "virbr*" tcp dport { 53, 67 } accept',
        "ip6 daddr fe80::/64 udp dport 546 accept",
    ]
    lines += [f"{where}{one.protocol} dport {one.port} accept" for one in parameters.iptables_base_rules_services]
    lines.append(f'include "{_PARTS}"')
    if parameters.iptables_base_rules_strict:
        lines.append(f"{where}reject with icmpx type admin-prohibited")
    return lines
