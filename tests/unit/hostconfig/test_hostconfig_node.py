"""Nodes on every system: each choice has a value, each snippet runs, unsupported systems are refused."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import package_names

from hybrid_drivers.hostconfig import nodepackages, selinux
from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.playbooks import PLAYBOOKS
from hybrid_drivers.hostconfig.script import compile_script, preamble
from hybrid_drivers.hostconfig.systems import PerSystem
from hybrid_drivers.secret import Secret

FACTS = Facts(
    opennebula_version="7.0.1",
    address="198.51.100.1",
    peers=(Peer(host_id=1, address="198.51.100.1"), Peer(host_id=2, address="198.51.100.2")),
)
# What /etc/os-release of each says, as far as it matters (os-release(5)), and its names, the most exact first.
SYSTEMS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("debian", "12", ""): ("debian-12", "debian"),
    ("debian", "13", ""): ("debian-13", "debian"),
    ("ubuntu", "22.04", "debian"): ("ubuntu-22.04", "ubuntu", "debian"),
    ("ubuntu", "24.04", "debian"): ("ubuntu-24.04", "ubuntu", "debian"),
    ("almalinux", "8.10", "rhel centos fedora"): ("redhat-8", "redhat"),
    ("almalinux", "9.6", "rhel centos fedora"): ("redhat-9", "redhat"),
    ("almalinux", "10.0", "rhel centos fedora"): ("redhat-10", "redhat"),
    ("rhel", "8.10", "fedora"): ("redhat-8", "redhat"),
    ("rhel", "9.6", "fedora"): ("redhat-9", "redhat"),
    ("rhel", "10.0", "centos fedora"): ("redhat-10", "redhat"),
}
OTHERS = [
    *(("debian", "11", ""), ("debian", "14", ""), ("ubuntu", "20.04", "debian"), ("ubuntu", "24.10", "debian")),
    *(("rhel", "7.9", "fedora"), ("almalinux", "11.0", "rhel centos fedora"), ("fedora", "42", "")),
    *(("rocky", "9.6", "rhel centos fedora"), ("opensuse-leap", "15.6", "suse opensuse"), ("", "", "")),
]
DATA = Path(__file__).parents[2] / "data" / "packages"
_CHOICE = re.compile(r"\$\(choose ((?:'[^']*' ?)+)\)")
RunOn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_on(tmp_path: Path) -> RunOn:
    """Run a snippet with our shell functions on a system that is only a file."""

    def run(system: tuple[str, str, str], snippet: str) -> subprocess.CompletedProcess[str]:
        release = tmp_path / "os-release"
        fields = {"ID": system[0], "VERSION_ID": system[1], "ID_LIKE": system[2], "PRETTY_NAME": " ".join(system[:2])}
        release.write_text("".join(f'{key}="{value}"\n' for key, value in fields.items()))
        functions = preamble().replace("/etc/os-release", str(release))
        return subprocess.run(["sh", "-c", f"{functions}\nset -e\n{snippet}"], text=True, capture_output=True)

    return run


@pytest.mark.parametrize("repository", ["yes", "no"])
def test_every_choice_has_a_value_for_every_system(repository: str) -> None:
    script = compile_script(list(PLAYBOOKS), {"opennebula_repository_enabled": repository}, FACTS)
    found = [(one, choice) for one in script.steps for choice in _CHOICE.findall(f"{one.check}\n{one.apply}")]
    assert {one.role for one, _ in found} >= {"opennebula-node-kvm", "opennebula-node-lxc"}
    for step, choice in found:
        known = {pair.partition("=")[0] for pair in shlex.split(choice)}
        missing = [names[0] for names in SYSTEMS.values() if not known & set(names)]
        assert not missing, f"{step.role}: {step.name}"


@pytest.mark.parametrize("system", SYSTEMS, ids="-".join)
def test_supported_systems_pass_and_choose_their_own(run_on: RunOn, system: tuple[str, str, str]) -> None:
    [supported] = [step for step in compile_script(["default"], {}, FACTS).steps if step.name == "supported system"]
    done = run_on(system, f"{supported.check}\nprintf '%s|' $(system_names); choose debian=deb redhat=rpm")
    assert (done.returncode, done.stderr) == (0, "")
    family = "rpm" if SYSTEMS[system][-1] == "redhat" else "deb"
    assert done.stdout == "".join(f"{name}|" for name in SYSTEMS[system]) + family


@pytest.mark.parametrize("system", OTHERS, ids="-".join)
def test_other_systems_are_refused_by_name(run_on: RunOn, system: tuple[str, str, str]) -> None:
    [supported] = [step for step in compile_script(["default"], {}, FACTS).steps if step.name == "supported system"]
    done = run_on(system, supported.check)
    assert done.returncode == 1
    assert done.stderr.startswith(f"this system is not supported: {' '.join(system[:2])}; Debian 12 and 13, Ubuntu")


@pytest.mark.parametrize("lists", [nodepackages.KVM, nodepackages.LXC], ids=["kvm", "lxc"])
def test_lists_name_nothing_twice(lists: PerSystem) -> None:
    for names in lists.values():
        assert len(set(names)) == len(names)


def test_containers_of_red_hat_10_need_opennebulas_repository(run_on: RunOn) -> None:
    given = {"opennebula_repository_enabled": "no"}
    steps = compile_script(["default_lxc"], given, FACTS).steps
    [step] = [one for one in steps if one.name == "system for containers"]
    assert run_on(("debian", "12", ""), step.check).returncode == 0
    assert run_on(("rhel", "9.6", "fedora"), step.check).returncode == 0
    refused = run_on(("rhel", "10.0", "fedora"), step.check)
    assert (refused.returncode, refused.stderr[:23]) == (1, "there is no bindfs for ")
    names = [one.name for one in compile_script(["default_lxc"], {}, FACTS).steps]
    assert "system for containers" not in names


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (selinux.DEFAULT, [("virt_use_nfs", "1")]),
        ("[]", []),
        ("", []),
        ("[{name: a, state: yes}, {name: b, state: 'off'}, {name: c, state: 0}]", [("a", "1"), ("b", "0"), ("c", "0")]),
    ],
)
def test_selinux_booleans(text: str, pairs: list[tuple[str, str]]) -> None:
    assert selinux.parse(text) == pairs


# Stand-ins for SELinux's tools that behave as their manual pages say; the policy store is a file.
_SELINUX = """
selinuxenabled() { [ -e "$box/on" ]; }
getsebool() { echo "$1 --> $(cat "$box/now-$1" 2>/dev/null || echo off)"; }
selinux_store() { printf %s "$box/booleans.local"; }
"""


def test_selinux_is_exact_about_now_and_later_and_only_where_it_is_on(run_on: RunOn, tmp_path: Path) -> None:
    def holds() -> bool:
        snippet = f"box={tmp_path}\n{_SELINUX}\nselinux_booleans_are virt_use_nfs=1 other=0"
        return run_on(("rhel", "9.6", "fedora"), snippet).returncode == 0

    assert holds()  # off
    (tmp_path / "on").touch()
    assert not holds()
    (tmp_path / "now-virt_use_nfs").write_text("on\n")
    assert not holds()  # for now only
    (tmp_path / "booleans.local").write_text("# This file is auto-generated\nvirt_use_nfs=1\nother=0\n")
    assert holds()
    (tmp_path / "now-other").write_text("on\n")
    assert not holds()


def test_private_keys_stay_out_of_the_steps_commands() -> None:
    facts = replace(FACTS, oneadmin_private_key=Secret("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"))
    steps = compile_script(["default"], {"opennebula_ssh_deploy_private_key": "yes"}, facts).steps
    holders = [step.name for step in steps if "PRIVATE KEY" in step.stdin]
    assert holders == ["put the key of oneadmin"]
    assert not [step for step in steps if "PRIVATE KEY" in f"{step.check}{step.apply}{step!r}"]


def wanted_on(system: str) -> set[str]:
    """What all roles together install from a distribution's own archive."""
    given = {"opennebula_repository_enabled": "no", "tuned_profile": "virtual-host"}
    names = next(names for names in SYSTEMS.values() if names[0] == system)
    return package_names.installed(compile_script(list(PLAYBOOKS), given, FACTS).steps, names)


def recorded(system: str) -> set[str]:
    return set((DATA / f"{system}.txt").read_text().split())


@pytest.mark.parametrize("system", package_names.INDEXES)
def test_every_package_is_in_the_releases_recorded_index(system: str) -> None:
    wanted = wanted_on(system)
    assert "nftables" in wanted
    assert wanted - recorded(system) == set()


@pytest.mark.long
@pytest.mark.parametrize("system", package_names.INDEXES)
def test_every_package_is_in_the_archive_today(system: str) -> None:
    """A name that is missing in ``tests/data/packages`` only: add it there."""
    assert (wanted_on(system) | recorded(system)) - package_names.in_archive(system) == set()
