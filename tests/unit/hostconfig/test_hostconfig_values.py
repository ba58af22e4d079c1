"""Values of parameters: whatever somebody writes compiles, or is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import ansible, playbooks
from hybrid_drivers.hostconfig.configuration import compile_configuration
from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.roles import PEER_ROLES, known_parameters
from hybrid_drivers.hostconfig.script import Script, compile_script

FACTS = Facts(
    opennebula_version="7.0.1",
    address="198.51.100.1",
    peers=tuple(Peer(host_id=i, address=f"198.51.100.{i}") for i in (1, 2)),
)
EVERY_ROLE = tuple(
    sorted({role for those in playbooks.PLAYBOOKS.values() for role in those} | {"opennebula-node-qemu"})
)
# Pieces of what people write, and of what is special to YAML, a shell or a URL.
_WORDS = (
    "tcp",
    "22",
    "port: ",
    "name: ",
    "state: ",
    "yes",
    "eth0",
    "%00",
    "\\0",
    "\\ud800",
    "https://",
    "198.51.100.1",
)
PIECES = st.sampled_from([*"[]{}:,'\"\\/-@ \n\0\ud800äü²=~", *_WORDS, "{{ opennebula_repository_version }}"])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))
SERVICES = "iptables_base_rules_services"


@settings(max_examples=examples(80))
@given(name=st.sampled_from(sorted(known_parameters())), text=TEXTS)
@example(name=SERVICES, text="[tcp/22]")
@example(name=SERVICES, text="[22]")
@example(name=SERVICES, text="[{protocol: tcp, port: 22}, 80]")
@example(name=SERVICES, text="[" * 1500)
@example(name="tuntap_name", text="täp0")
@example(name="opennebula_node_kvm_packages", text="a\0b")
@example(name="opennebula_node_kvm_packages", text='["a\\0b"]')
@example(name="opennebula_repository_base", text="https://a:%00@b.example")
@example(name="opennebula_node_selinux_booleans", text="[" * 1500)
@example(name="tuned_profile", text="\ud800")
def test_any_value_compiles_or_is_refused(name: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(playbooks.PLAYBOOKS, "every", EVERY_ROLE)
        try:
            script = compile_script(["every"], {name: text}, FACTS)
        except ConfigError:
            return
    assert script.text.encode().count(b"\0") == 0


@pytest.mark.parametrize("name", ["täp0", "br-ü", "--help", "-a", "-a:0", "a:é", "eth0\u0661"])
def test_interfaces_have_plain_names(name: str) -> None:
    with pytest.raises(ConfigError, match=r"bridged_networking_ip_iface is .*expected the name"):
        compile_script(["default"], {"bridged_networking_ip_iface": name}, FACTS)


@pytest.mark.parametrize("role", ["kvm", "lxc", "qemu"])
@pytest.mark.parametrize(
    "name", ["-oDPkg::Pre-Invoke::=reboot", "--allow-downgrades", "sudo-", "@virtualization", "a=1"]
)
def test_packages_have_plain_names(role: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(playbooks.PLAYBOOKS, "one", (f"opennebula-node-{role}",))
        with pytest.raises(ConfigError, match=f"opennebula_node_{role}_packages has '{name}', expected names"):
            compile_script(["one"], {f"opennebula_node_{role}_packages": f"ruby,{name}"}, FACTS)


@pytest.mark.parametrize("name", ["libc6:amd64", "libstdc++6", "g++", "python3.11", "python3-rpm_macros", "qemu-utils"])
def test_real_names_of_packages_are_taken(name: str) -> None:
    assert (
        f"install_packages '{name}'" in compile_script(["default"], {"opennebula_node_kvm_packages": name}, FACTS).text
    )


def names(script: Script) -> list[str]:
    return [step.name for step in script.steps]


def test_a_firewall_gives_way_only_to_one_that_takes_its_place() -> None:
    gone = ["put ufw out of service", "put firewalld out of service"]
    for playbook in ("default", "evpn", "static_vxlan"):
        script = compile_script([playbook], {}, FACTS)
        assert names(script)[-2:] == gone
        assert names(script).index("set firewall and NAT") < names(script).index(gone[0])
    assert not {*names(compile_script(["onprem"], {}, FACTS))} & {*gone}
    for name in ("iptables_base_rules_enabled", "iptables_manage_persistent"):
        assert not {*names(compile_script(["default"], {name: "no"}, FACTS))} & {*gone}


@pytest.mark.parametrize(
    ("wanted", "dropped"),
    [
        (["default"], PEER_ROLES),
        (["evpn"], {"opennebula-p2p-vxlan"}),
        (["static_vxlan"], {"frr"}),
        (["default", "static_vxlan", "evpn"], set()),
        (["onprem"], set()),
        (["dummy"], set()),
    ],
)
def test_parts_of_roles_no_longer_wanted_are_dropped(wanted: list[str], dropped: set[str]) -> None:
    text = compile_script(wanted, {}, FACTS).text
    expected = "drop_firewall_parts " + " ".join(f"'{one}'" for one in sorted(dropped))
    assert (f"{expected}\n" in text) == bool(dropped)
    assert ("drop_firewall_parts '" in text) == bool(dropped)
    assert "drop_firewall_parts '" not in compile_script(wanted, {}, FACTS, peers_only=True).text


def test_a_script_drops_no_part_that_the_next_one_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible, "find", lambda name, given: name)
    one, _, other = compile_configuration(["default", "site.yml", "evpn"], {}, FACTS).parts
    assert isinstance(one, Script)
    assert "drop_firewall_parts 'opennebula-p2p-vxlan'\n" in one.text
    assert "set firewall and NAT" in names(one)
    assert isinstance(other, Script)
    assert "put_firewall_part 'frr'" in other.text
