"""Packages by apt on a real machine, and OpenNebula's repository: a signed one of our own stands for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node
from tests.support.package_repositories import LOCKED, SERVER, Keys, make_deb_repositories, make_keys, publish_deb

from hybrid_drivers.errors import StepFailed
from hybrid_drivers.hostconfig import primitives
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport, StepStatus
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
OURS = "/etc/apt/sources.list.d/opennebula.list /etc/apt/keyrings/opennebula-hybrid.asc"


@pytest.fixture(scope="module")
def node(nspawn_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:  # noqa: F811
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = nspawn_yard.prepare("packages", "packages", identity.user_data)
    nspawn_yard.power_on("packages")
    target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    yield Node(nspawn_yard, "packages", target)
    nspawn_yard.destroy("packages")


@pytest.fixture(scope="module")
def keys(node: Node) -> Keys:
    """The machine serves signed repositories and has no gpg, like a minimal system."""
    found = make_keys(node)
    make_deb_repositories(node)
    node.says("apt-get purge -qy gpg gpg-agent gpgconf >/dev/null")
    return found


def repository(keys: Keys, front_end: str = "9.1.3", **given: str) -> Script:
    """Compile the role for our repository, with our key unless told otherwise."""
    values = {
        "opennebula_repository_base": SERVER + "/repo/{{ opennebula_repository_version }}",
        "opennebula_repository_key_url": f"{SERVER}/good.key",
        "opennebula_repository_key_fingerprint": keys.good,
        **{f"opennebula_repository_{name}": value for name, value in given.items()},
    }
    return render(list(steps_of("opennebula-repository", Facts(opennebula_version=front_end, given=values))))


def changed(report: RunReport) -> list[str]:
    return [step.name for step in report.changed]


def tiny(*names: str) -> Script:
    return render([primitives.packages("r", names or ("one-tiny",))])


# --- the repository ---------------------------------------------------------------------------------------------------


def test_a_key_of_another_fingerprint_is_refused_and_nothing_is_left(node: Node, keys: Keys) -> None:
    node.says(f"rm -f {OURS}; ls -A /tmp >/root/before")
    with pytest.raises(StepFailed) as caught:
        node.runs(repository(keys, key_url=f"{SERVER}/bad.key"))
    assert "step 'trust the key of the repository'" in str(caught.value)
    assert f"its fingerprint is {keys.bad}, expected was {keys.good}" in str(caught.value)
    assert "set opennebula_repository_key_fingerprint" in str(caught.value)
    assert node.says(f"ls {OURS} 2>/dev/null || true; ls -A /tmp | diff /root/before -") == ""


def test_the_repository_is_used_once_its_key_is_known(node: Node, keys: Keys) -> None:
    script = repository(keys)
    assert (
        changed(node.runs(script, check_only=True))[-2:]
        == changed(node.runs(script))[-2:]
        == [
            "trust the key of the repository",
            "use the repository of OpenNebula",
        ]
    )
    assert node.runs(script).changed == ()
    assert node.runs(script, check_only=True).changed == ()
    assert changed(node.runs(tiny())) == ["install packages"]
    assert node.says("dpkg-query -W -f '${Version}' one-tiny") == "9.1"
    assert node.says(f"stat -c %a:%U:%G {OURS}") == "644:root:root\n" * 2


def test_only_the_trusted_key_is_kept_of_a_file_with_several(node: Node, keys: Keys) -> None:
    node.says(f"rm {OURS.split()[1]}")
    assert changed(node.runs(repository(keys, key_url=f"{SERVER}/both.key"))) == ["trust the key of the repository"]
    shown = node.says(f"gpg --show-keys --with-colons {OURS.split()[1]}")
    assert keys.good in shown
    assert keys.bad not in shown


def test_a_replaced_key_is_noticed(node: Node, keys: Keys) -> None:
    node.says(f"cat /srv/both.key >{OURS.split()[1]}")
    assert changed(node.runs(repository(keys))) == ["trust the key of the repository"]


def test_another_version_takes_its_place(node: Node, keys: Keys) -> None:
    assert changed(node.runs(repository(keys, front_end="9.2.0"))) == ["use the repository of OpenNebula"]
    assert "9.2" in node.says("apt-cache policy one-tiny | grep Candidate")
    assert changed(node.runs(repository(keys, front_end="9.2.0", version="9.1"))) == [
        "use the repository of OpenNebula"
    ]


def test_a_repository_that_cannot_be_read_changes_nothing(node: Node, keys: Keys) -> None:
    before = node.says(f"cat {OURS}")
    with pytest.raises(StepFailed, match=rf"the repository {SERVER}/repo/9\.7/.* cannot be used") as caught:
        node.runs(repository(keys, front_end="9.7.0"))
    assert "404" in caught.value.stderr
    node.says("mv /srv/repo/9.2/Debian/12/dists/stable/InRelease /srv/unsigned")
    with pytest.raises(StepFailed, match=r"is no longer signed|is not signed"):
        node.runs(repository(keys, front_end="9.2.0"))
    node.says("mv /srv/unsigned /srv/repo/9.2/Debian/12/dists/stable/InRelease")
    assert node.says(f"cat {OURS}") == before
    node.says("apt-get update -q")


def test_without_checks_no_key_is_needed(node: Node, keys: Keys) -> None:
    node.says(f"rm -f {OURS}")
    script = repository(keys, gpgcheck="no", key_url=f"{SERVER}/none")
    assert changed(node.runs(script)) == ["use the repository of OpenNebula"]
    assert node.runs(script).changed == ()


def test_a_password_is_used_and_only_root_can_read_it(node: Node, keys: Keys) -> None:
    base = f"http://me:se%3Acret@{LOCKED}/repo/{{{{ opennebula_repository_version }}}}"
    with pytest.raises(StepFailed) as caught:
        node.runs(repository(keys, base=base.replace("cret", "cr")))
    assert "401" in caught.value.stderr
    assert "se:cr" not in caught.value.stderr
    script = repository(keys, base=base)
    assert changed(node.runs(script)) == ["use the repository of OpenNebula"]
    assert node.runs(script).changed == ()
    holders = node.says("grep -rl se:cret /etc /run /tmp /var/lib /var/cache /var/log 2>/dev/null || true").split()
    assert holders == ["/etc/apt/auth.conf.d/opennebula-hybrid.conf"]
    assert node.says(f"stat -c %a:%U {holders[0]}") == "600:root\n"
    node.runs(repository(keys))
    assert node.says("grep -rl se:cret /etc || true") == ""


def test_disabled_removes_what_is_ours_and_nothing_else(node: Node, keys: Keys) -> None:
    node.runs(repository(keys))
    off = repository(keys, enabled="no")
    assert changed(node.runs(off)) == ["have no repository of OpenNebula"]
    assert node.runs(off).changed == ()
    assert node.says(f"ls {OURS} 2>/dev/null || true") == ""
    node.says(f"echo '# by hand' >{OURS.split(maxsplit=1)[0]}")
    assert node.runs(off).changed == ()
    node.says(f"rm {OURS.split(maxsplit=1)[0]}")


# --- apt --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ready(node: Node, keys: Keys) -> Node:
    """The machine with the repository of 9.2."""
    node.runs(repository(keys, front_end="9.2.0"))
    return node


def test_what_is_there_is_not_upgraded(ready: Node) -> None:
    ready.says("dpkg -i /srv/repo/9.1/Debian/12/pool/one-tiny_*; apt-get purge -qy one-needed")
    ready.runs(tiny("one-tiny", "one-needed"))
    assert ready.says("dpkg-query -W -f '${Version} ' one-needed one-tiny") == "9.2 9.1 "


def test_lists_that_are_out_of_date_are_renewed(ready: Node) -> None:
    ready.says("apt-get purge -qy one-tiny; apt-get clean")
    publish_deb(ready, "9.2", "one-tiny", "9.2.1")
    assert changed(ready.runs(tiny())) == ["install packages"]
    assert ready.says("dpkg-query -W -f '${Version}' one-tiny") == "9.2.1"


def test_a_dependency_that_was_never_unpacked_is_fetched(ready: Node) -> None:
    """A kill between two packages: dpkg alone cannot finish this."""
    ready.says("apt-get purge -qy one-needed; dpkg --unpack /srv/repo/9.2/Debian/12/pool/one-needs_*")
    assert changed(ready.runs(tiny("one-needs"))) == ["install packages"]
    assert ready.says("dpkg --audit; dpkg-query -W -f '${db:Status-Status}' one-needed") == "installed"


BEGIN = "rm -f /srv/began; setsid sh -c 'echo $$ >/srv/group; exec {}' >/dev/null 2>&1 </dev/null &"
BEGAN = "until [ -e /srv/began ]; do sleep 0.05; done"


def test_a_killed_dpkg_leaves_nothing_that_the_next_run_does_not_mend(ready: Node) -> None:
    ready.says("apt-get purge -qy one-slow >/dev/null 2>&1")
    ready.says(f"{BEGIN.format('apt-get install -qy one-slow')} {BEGAN}; kill -9 -- -$(cat /srv/group)")
    assert ready.says("ls /var/lib/dpkg/updates") != ""
    report = ready.runs(tiny("one-tiny", "one-slow"))
    assert report.steps[0].status is StepStatus.CHANGED
    assert ready.says("dpkg --audit; ls /var/lib/dpkg/updates") == ""


@pytest.mark.long
def test_a_held_lock_is_given_up_in_the_end_and_waited_for_until_then(ready: Node) -> None:
    ready.says("apt-get purge -qy one-slow one-tiny >/dev/null 2>&1")
    script = tiny()
    impatient = Script(text=script.text.replace("${HYBRID_LOCK_WAIT:-300}", "1"), steps=script.steps)
    with ready.connect() as session:
        session.run(f"{BEGIN.format('apt-get install -qy one-slow')} {BEGAN}", timeout=30)
        with pytest.raises(StepFailed, match=r"gave up after 1 seconds: another program installs packages here"):
            session.run_script(impatient, lambda _: None, timeout=60)
        assert session.run_script(script, lambda _: None, timeout=60).steps[0].status is StepStatus.CHANGED


def test_a_broken_package_says_what_it_said(ready: Node) -> None:
    with pytest.raises(StepFailed) as caught:
        ready.runs(tiny("one-broken"))
    ready.says("dpkg --purge --force-all one-broken")
    assert "it does not work here" in str(caught.value) or "returned error exit status 7" in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_a_full_disk_is_named(ready: Node) -> None:
    ready.says("apt-get purge -qy one-tiny; apt-get clean; mount -t tmpfs -o size=300k none /var/cache/apt/archives")
    try:
        with pytest.raises(StepFailed, match=r"disk at /var/cache/apt/archives: 0 MiB free of 0"):
            ready.runs(tiny())
    finally:
        ready.says("umount /var/cache/apt/archives")


def test_a_missing_package_is_named(ready: Node) -> None:
    with pytest.raises(StepFailed, match="Unable to locate package no-such-package-here"):
        ready.runs(tiny("no-such-package-here"))
