"""Packages by dnf and rpm, and OpenNebula's repository, on a machine that says it is one of Red Hat's.

The machine is Debian 12 with Debian's dnf 4.14 and rpm 4.18 (RHEL 8, 9 and 10 have dnf 4.7, 4.14 and 4.20; rpm 4.14,
4.16 and 4.19), an empty RPM database, and the ``/etc/os-release`` of another system; all repositories are our own. So
this proves how the steps use dnf and rpm: options, exit codes, messages, locks, keys, what a kill leaves. It does not
prove the names of real packages, repositories and addresses, nor that subscription-manager or the plugin config-manager
are there (stand-ins record how they are called), nor SELinux, nor RHEL 8's Berkeley DB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node
from tests.support.package_repositories import LOCKED, SERVER, Keys, install, make_keys, make_rpm_repositories

from hybrid_drivers.errors import StepFailed
from hybrid_drivers.hostconfig import primitives
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport, StepStatus
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
OURS = "/etc/yum.repos.d/opennebula.repo /etc/pki/rpm-gpg/RPM-GPG-KEY-opennebula-hybrid"
OS_RELEASES = Path(__file__).parents[1] / "data" / "os-release"
SYSTEMS = [
    pytest.param(("almalinux-9", "9", "crb"), id="almalinux-9"),
    pytest.param(("almalinux-8", "8", "powertools"), id="almalinux-8", marks=pytest.mark.long),
    pytest.param(("rhel-10", "10", "codeready-builder-for-rhel-10-rhui-rpms"), id="rhel-10", marks=pytest.mark.long),
]


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Name of an os-release file, the major version, and the name of CodeReady Builder there."""
    found: tuple[str, str, str] = request.param
    return found


@pytest.fixture(scope="module")
def node(
    nspawn_yard: NspawnMachines,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
    system: tuple[str, str, str],
) -> Iterator[Node]:
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    name = f"dnf-{system[1]}"
    addresses = nspawn_yard.prepare(name, name, identity.user_data)
    nspawn_yard.power_on(name)
    target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    yield Node(nspawn_yard, name, target)
    nspawn_yard.destroy(name)


@pytest.fixture(scope="module")
def keys(node: Node, system: tuple[str, str, str]) -> Keys:
    """The machine serves signed repositories and says that it is another system."""
    found = make_keys(node)
    install(node, "dnf", "dnf-plugins-core", "rpm", "createrepo-c")
    make_rpm_repositories(node, major=system[1], builder=system[2])
    text = (OS_RELEASES / system[0]).read_text()
    node.says(f"rm /etc/os-release; cat >/etc/os-release <<'END'\n{text}\nEND")
    if system[0].startswith("rhel"):  # its EPEL comes from the internet
        node.says("sed s/BUILDER/epel/ /srv/builder | sed 's/codeready[^]]*/epel/' >/etc/yum.repos.d/epel.repo")
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
    node.says("ls -A /tmp >/root/before")
    with pytest.raises(StepFailed) as caught:
        node.runs(repository(keys, key_url=f"{SERVER}/bad.key"))
    assert f"its fingerprint is {keys.bad}, expected was {keys.good}" in str(caught.value)
    assert node.says(f"ls {OURS} 2>/dev/null || true; ls -A /tmp | diff /root/before -") == ""


def test_epel_and_codeready_builder_are_enabled(node: Node, keys: Keys, system: tuple[str, str, str]) -> None:
    """By the test before: steps stay done when a later one fails."""
    shown = node.says("dnf -q repolist --enabled")
    assert "epel" in shown
    assert system[2] in shown


def test_the_repository_is_used_once_its_key_is_known(node: Node, keys: Keys) -> None:
    script = repository(keys)
    assert changed(node.runs(script)) == ["trust the key of the repository", "use the repository of OpenNebula"]
    assert node.runs(script).changed == ()
    assert node.runs(script, check_only=True).changed == ()
    assert changed(node.runs(tiny())) == ["install packages"]
    assert node.runs(tiny()).changed == ()
    assert node.says("rpm -q --qf '%{VERSION}' one-tiny; cat /srv/tiny-ran") == "9.1ran\n"
    assert node.says(f"stat -c %a:%U:%G {OURS}") == "644:root:root\n" * 2


def test_another_version_takes_its_place_and_what_is_there_is_not_upgraded(node: Node, keys: Keys) -> None:
    assert changed(node.runs(repository(keys, front_end="9.2.0"))) == ["use the repository of OpenNebula"]
    node.runs(tiny("one-tiny", "one-needed"))
    assert node.says("rpm -q --qf '%{VERSION} ' one-tiny one-needed") == "9.1 9.2 "
    assert "is not installed" in node.says("rpm -q one-weak || true")  # only recommended


def test_packages_of_another_key_are_not_installed(node: Node, keys: Keys) -> None:
    """Neither a foreign signature of the metadata is taken, nor one of a package."""
    before = node.says(f"cat {OURS}")
    folder = "/srv/repo/9.1/*/*/*"
    node.says(f"for f in {folder}; do echo >>$f/repodata/repomd.xml; done")
    with pytest.raises(StepFailed, match=r"(GPG|signature).*cannot be used"):
        node.runs(repository(keys))
    node.says(f"for f in {folder}; do sed -i '$d' $f/repodata/repomd.xml; done")
    assert node.says(f"cat {OURS}") == before
    with pytest.raises(StepFailed, match=r"GPG|Public key|not signed"):
        node.runs(tiny("one-foreign"))


def test_a_repository_that_cannot_be_read_changes_nothing(node: Node, keys: Keys) -> None:
    before = node.says(f"cat {OURS}")
    with pytest.raises(StepFailed, match=rf"the repository {SERVER}/repo/9\.7/.* cannot be used") as caught:
        node.runs(repository(keys, front_end="9.7.0"))
    assert "404" in caught.value.stderr
    assert node.says(f"cat {OURS}") == before


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
    assert holders == [OURS.split(maxsplit=1)[0]]
    assert node.says(f"stat -c %a:%U {holders[0]}") == "600:root\n"
    node.runs(repository(keys))
    assert node.says("grep -rl se:cret /etc || true") == ""


def test_disabled_removes_what_is_ours_and_nothing_else(node: Node, keys: Keys) -> None:
    node.runs(repository(keys))
    off = repository(keys, enabled="no")
    assert changed(node.runs(off)) == ["have no repository of OpenNebula"]
    assert node.runs(off).changed == ()
    assert node.says(f"ls {OURS} 2>/dev/null || true") == ""
    assert "epel" in node.says("dnf -q repolist --enabled")
    node.runs(repository(keys, front_end="9.2.0"))


# --- dnf --------------------------------------------------------------------------------------------------------------


def test_a_missing_package_is_named_and_leaves_no_trace(node: Node, keys: Keys) -> None:
    with pytest.raises(StepFailed, match=r"(No match for argument|Unable to find a match): no-such-package-here"):
        node.runs(tiny("no-such-package-here"))
    assert node.says("ls /var/lib/opennebula-hybrid") == ""


BEGIN = "rm -f /srv/began; setsid sh -c 'echo $$ >/srv/group; exec {}' >/dev/null 2>&1 </dev/null &"
BEGAN = "until [ -e /srv/began ]; do sleep 0.05; done"


@pytest.mark.long
def test_another_dnf_is_waited_for(node: Node, keys: Keys) -> None:
    node.says("rpm --force-debian -e one-tiny; rpm --force-debian -e one-slow || true; rm -f /srv/slow-ran")
    with node.connect() as session:
        session.run(f"{BEGIN.format('dnf -y install one-slow')} {BEGAN}", timeout=30)
        report = session.run_script(tiny(), lambda _: None, timeout=120)
    assert report.steps[0].status is StepStatus.CHANGED
    assert node.says("cat /srv/slow-ran") == "ran\n"


def test_rpms_own_lock_is_given_up_in_the_end_and_waited_for_until_then(node: Node, keys: Keys) -> None:
    node.says("rpm --force-debian -e one-tiny; rpm --force-debian -e one-slow || true")
    script = tiny()
    impatient = Script(text=script.text.replace("${HYBRID_LOCK_WAIT:-300}", "1"), steps=script.steps)
    with node.connect() as session:
        session.run(
            f"{BEGIN.format('rpm --force-debian -i /srv/repo/9.2/AlmaLinux/*/*/one-slow-*.rpm')} {BEGAN}", timeout=30
        )
        with pytest.raises(StepFailed, match=r"gave up after 1 seconds: another program installs packages here"):
            session.run_script(impatient, lambda _: None, timeout=60)
        assert session.run_script(script, lambda _: None, timeout=60).steps[0].status is StepStatus.CHANGED


def test_a_cut_off_installation_is_finished_by_the_next_run(node: Node, keys: Keys) -> None:
    """kill -9 of all while a package's script runs: rpm takes that package for installed."""
    node.says("rpm --force-debian -e one-slow; rpm --force-debian -e one-tiny || true; rm -f /srv/slow-ran")
    script = tiny("one-slow")
    node.says(f"cat >/srv/script <<'END OF SCRIPT'\n{script.text}\nEND OF SCRIPT")
    node.says(f"{BEGIN.format('sh /srv/script apply apply')} {BEGAN}; kill -9 -- -$(cat /srv/group)")
    assert node.says("rpm -q one-slow >/dev/null; cat /srv/slow-ran 2>/dev/null || true") == ""
    assert changed(node.runs(script)) == ["install packages"]
    assert node.says("cat /srv/slow-ran; ls /var/lib/opennebula-hybrid") == "ran\n"
    assert node.runs(script).changed == ()
