"""What the network roles make of OneProvision's variables, and which files come of a plan."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.script import preamble
from hybrid_drivers.hostconfig.steps import Step, quote

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
PLAN = """\
port eth0
source eth0
mac 02:00:00:00:00:01
dns 198.51.100.53
dns 2001:db8::53
address 198.51.100.2/24
address 203.0.113.2/32
address 2001:db8::2/64
route default 198.51.100.1
route 10.0.0.0/8 198.51.100.3
route default fe80::1
"""


def steps(role: str, **given: str) -> dict[str, Step]:
    return {step.name: step for step in steps_of(role, Facts(given=given))}


def shell(text: str, command: list[str]) -> str:
    done = subprocess.run([*command, "-s"], input=f"{preamble()}\nset -e\n{text}", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(kind: str, plan: str = PLAN, command: list[str] = SHELLS[0]) -> str:
    port = plan.split("\n", 1)[0][5:]
    return shell(
        f"backend=x bridge=br0 port={quote(port)} plan={quote(plan)} plan_file=/x\n"
        f"is_tap() {{ return 1; }}\nstable_id() {{ printf 0123456789abcdef0123456789abcdef; }}\nbridge_file {kind}\n",
        command,
    )


@pytest.mark.parametrize("command", SHELLS, ids=" ".join)
def test_systemd_networkd_gets_all_of_the_plan(command: list[str]) -> None:
    text = rendered("network", command=command)
    for line in ("DNS=198.51.100.53", "DNS=2001:db8::53", "Address=203.0.113.2/32", "Address=2001:db8::2/64"):
        assert f"{line}\n" in text
    assert "\n[Route]\nGateway=198.51.100.1\nGatewayOnLink=yes\n" in text
    assert "\n[Route]\nDestination=10.0.0.0/8\nGateway=198.51.100.3\n" in text
    assert "\n[Route]\nGateway=fe80::1\n" in text
    assert "IPv6AcceptRA=no\nLinkLocalAddressing=ipv6\n" in text
    assert "LinkLocalAddressing=no\n" in rendered("network", "port \naddress 198.51.100.2/24\n")
    assert "MACAddress=02:00:00:00:00:01\n" in rendered("netdev", command=command)


@pytest.mark.parametrize("command", SHELLS, ids=" ".join)
def test_networkmanager_gets_all_of_the_plan(command: list[str]) -> None:
    head, four = rendered("connection", command=command).split("[ipv4]\n")
    four, six = four.split("[ipv6]\n")
    assert "type=bridge\ninterface-name=br0\n" in head
    assert four.strip().split("\n") == [
        *("method=manual", "address1=198.51.100.2/24", "address2=203.0.113.2/32"),
        *("gateway=198.51.100.1", "route1=10.0.0.0/8,198.51.100.3", "dns=198.51.100.53;"),
    ]
    assert six == "method=manual\naddress1=2001:db8::2/64\ngateway=fe80::1\ndns=2001:db8::53;\n"
    assert "[ipv6]\nmethod=disabled\n" in rendered("connection", "port \naddress 198.51.100.2/24\n")
    port = rendered("slave", command=command)
    assert "type=ethernet\ninterface-name=eth0\n" in port
    assert "master=br0\nslave-type=bridge\n" in port


@pytest.mark.parametrize("command", SHELLS, ids=" ".join)
def test_ifupdown_gets_all_of_the_plan(command: list[str]) -> None:
    text = rendered("interfaces", command=command)
    assert text.startswith("auto br0\niface br0 inet static\n    address 198.51.100.2/24\n")
    assert "    dns-nameservers 198.51.100.53 2001:db8::53\n" in text
    assert text.count("up ip address replace") == 2
    assert "    up ip -6 route replace default via fe80::1 dev br0 onlink\n" in text
    assert rendered("interfaces", "port \nmac 02::1\n").startswith("auto br0\niface br0 inet manual\n    pre-up")


def test_a_bridge_without_port_has_no_file_for_one() -> None:
    without = "port \naddress 198.51.100.2/24\n"
    assert [rendered(kind, without) for kind in ("port", "slave", "start")] == ["", "", ""]


@pytest.mark.parametrize("command", SHELLS, ids=" ".join)
def test_interfaces_of_others_are_put_out_of_service_and_back(command: list[str], tmp_path: Path) -> None:
    before = (
        "auto lo eth0\niface lo inet loopback\n# ours\nallow-hotplug eth0\niface eth0 inet dhcp\n    metric 5\n\n"
        "iface eth0 inet6 auto\niface eth00 inet dhcp\n"
    )
    path = tmp_path / "50-cloud-init"
    path.write_text(before)
    common = f"undo_folder={tmp_path}\ninterfaces_files() {{ echo {path}; }}\nifdown() {{ :; }}\nifup() {{ :; }}\n"
    shell(f'{common}rewrite_file() {{ cat >"$1.new"; mv "$1.new" "$1"; }}\ntake_from_interfaces eth0', command)
    taken = path.read_text()
    active = [line for line in taken.splitlines() if not line.startswith("#")]
    assert active == ["auto lo", "iface lo inet loopback", "", "iface eth00 inet dhcp"]
    assert shell(f"{common}interfaces_have eth0 && echo yes || echo no", command) == "no\n"
    assert shell(f"{common}interfaces_have eth00 && echo yes || echo no", command) == "yes\n"
    shell(f'{common}rewrite_file() {{ cat >"$1.new"; mv "$1.new" "$1"; }}\ngive_to_interfaces eth0', command)
    assert path.read_text() == before.replace("auto lo eth0\n", "auto eth0\nauto lo\n")


def test_default_route_and_labels() -> None:
    label = steps("bridged-networking", bridged_networking_ip_iface="bond0:0")["make bridge br0"]
    assert "'bond0:0'" in label.check
    for wrong in (":0", "bond0:", "bond0:0:1", "bo nd:0", "a-very-long-name:0"):
        with pytest.raises(ConfigError, match="or a label such as bond0:0"):
            steps("bridged-networking", bridged_networking_ip_iface=wrong)


def test_forwarding_is_set_as_asked() -> None:
    name = "set kernel parameter net.ipv4.ip_forward"
    assert "'net.ipv4.ip_forward' '1'" in steps("iptables")[name].check
    assert "'net.ipv4.ip_forward' '0'" in steps("iptables", iptables_ip_forward_enabled="no")[name].check


def test_parts_come_before_the_refusal() -> None:
    rules = steps("iptables")["set firewall and NAT"].stdin
    assert 0 < rules.index("firewall.d/*.nft") < rules.index("reject with")


ONEPROVISION = """\
# Ansible managed
*nat
:PREROUTING ACCEPT [0:0]
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT  -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT  -d fe80::/64 -p udp -m udp --dport 546 -m state --state NEW -j ACCEPT
-A INPUT  -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""


@pytest.mark.parametrize("command", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("text", "theirs"),
    [
        (ONEPROVISION, True),
        (ONEPROVISION.replace("# Ansible managed", "# Generated by iptables-save"), False),
        (ONEPROVISION.replace("COMMIT\n", "-A INPUT -s 192.0.2.7 -j DROP\nCOMMIT\n"), False),
        (ONEPROVISION.replace("-A INPUT -i lo", "-A INPUT -i lo -s 192.0.2.1"), False),
    ],
)
def test_only_rules_that_are_oneprovisions_own_are_told_as_such(
    command: list[str], text: str, theirs: bool, tmp_path: Path
) -> None:
    path = tmp_path / "rules.v4"
    path.write_text(text)
    said = shell(f"if oneprovision_wrote {path}; then echo yes; else echo no; fi", command)
    assert said == ("yes\n" if theirs else "no\n")
