"""How a fresh machine is found and entered: roles ``ddc`` and ``opennebula-ssh`` on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.errors import StepFailed
from hybrid_drivers.hostconfig import hostkeys
from hybrid_drivers.hostconfig.accounts import oneadmin
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines
from hybrid_drivers.secret import Secret

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
OURS = "/etc/ssh/sshd_config.d/00-0-opennebula-hybrid.conf"
KEY = hostkeys.generate(b"oneadmin's, for a test of logins")


def role(name: str, login_user: str = "root", **given: str) -> Script:
    facts = Facts(
        oneadmin_keys=(f"{KEY.public} oneadmin",),
        oneadmin_private_key=Secret(KEY.private_openssh),
        login_user=login_user,
        given=given,
    )
    return render([*oneadmin("accounts"), *steps_of(name, facts)])


def changes(node: Node, script: Script) -> list[str]:
    """Run twice; return what changed the first time, the second time nothing may."""
    first = [step.name for step in node.runs(script).changed]
    assert node.runs(script).changed == ()
    return first


def effective(node: Node) -> set[str]:
    return set(node.says("sshd -T | grep -E '^(passwordauthentication|permitrootlogin) '").splitlines())


@pytest.fixture(scope="module")
def node(nspawn_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:  # noqa: F811
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = nspawn_yard.prepare("login", "login", identity.user_data)
    nspawn_yard.power_on("login")
    target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    node = Node(nspawn_yard, "login", target)
    changes(node, role("opennebula-ssh"))
    yield node
    nspawn_yard.destroy("login")


def test_settings_win_over_files_that_are_read_early(node: Node) -> None:
    """Red Hat's installer and providers' images leave such files."""
    node.says("echo 'PermitRootLogin yes' >/etc/ssh/sshd_config.d/01-permitrootlogin.conf; systemctl reload ssh")
    asked = role("opennebula-ssh", opennebula_ssh_sshd_passwordauthentication="yes")
    try:
        assert changes(node, asked) == ["set how people log in"]
        assert effective(node) == {"passwordauthentication yes", "permitrootlogin without-password"}
        assert node.says(f"stat -c '%a %U' {OURS}") == "600 root\n"
    finally:
        node.says("rm /etc/ssh/sshd_config.d/01-permitrootlogin.conf")
    assert changes(node, role("opennebula-ssh")) == ["set how people log in"]


def test_where_the_main_file_reads_no_folder_it_is_changed(node: Node) -> None:
    """As on Red Hat 8; what is in the file stays, also what holds for some users only."""
    node.says(f"cd /etc/ssh; cp -p sshd_config /root; rm {OURS}; sed -i '/^Include/d' sshd_config")
    node.says(
        "printf 'PermitRootLogin yes\\nMatch User ann\\n    PasswordAuthentication yes\\n' >>/etc/ssh/sshd_config"
    )
    try:
        assert changes(node, role("opennebula-ssh")) == ["set how people log in"]
        assert effective(node) == {"passwordauthentication no", "permitrootlogin without-password"}
        assert "passwordauthentication yes" in node.says("sshd -T -C user=ann,host=x,addr=198.51.100.1")
        assert changes(node, role("opennebula-ssh", opennebula_ssh_sshd_permitrootlogin="yes")) != []
        assert node.says("grep -c 'OpenNebula Hybrid' /etc/ssh/sshd_config; ls /etc/ssh/sshd_config.d") == (
            "2\n50-sandbox.conf\n"
        )
    finally:
        node.says("mv /root/sshd_config /etc/ssh/")
    changes(node, role("opennebula-ssh"))


def test_refused_settings_leave_what_was(node: Node) -> None:
    changes(node, role("opennebula-ssh", opennebula_ssh_sshd_passwordauthentication="yes"))
    before = node.says(f"cat {OURS}")
    node.says("echo 'NoSuchKeyword yes' >>/etc/ssh/sshd_config")
    try:
        with pytest.raises(StepFailed, match=r"sshd refuses the settings: .*NoSuchKeyword"):
            node.runs(role("opennebula-ssh"))
        assert node.says(f"cat {OURS}; ls /tmp | grep -c '^tmp' || true") == f"{before}0\n"
    finally:
        node.says("sed -i '/NoSuchKeyword/d' /etc/ssh/sshd_config")
    assert changes(node, role("opennebula-ssh")) == ["set how people log in"]


@pytest.mark.parametrize("value", ["no", "forced-commands-only"])
def test_root_is_not_locked_out(node: Node, value: str) -> None:
    with pytest.raises(StepFailed, match=f"PermitRootLogin {value} would lock us out"):
        node.runs(role("opennebula-ssh", "admin", opennebula_ssh_sshd_permitrootlogin=value))
    assert "permitrootlogin without-password" in effective(node)


def test_where_systemd_listens_for_sshd(node: Node) -> None:
    """As on Ubuntu 24.04: no service of sshd's runs when nobody is logged in."""
    node.says("systemctl disable -q ssh.service; systemctl stop --no-block ssh; systemctl start --no-block ssh.socket")
    try:
        assert changes(node, role("opennebula-ssh", opennebula_ssh_sshd_passwordauthentication="yes")) != []
        assert "passwordauthentication yes" in effective(node)
        assert changes(node, role("opennebula-ssh")) != []
    finally:
        node.says("systemctl stop --no-block ssh.socket; systemctl enable -q ssh.service; systemctl start ssh.service")


def test_a_check_makes_no_folder_for_sshd(node: Node) -> None:
    """All in one session: no other gets in without the folder. As things are, nothing is to be changed."""
    script = role("opennebula-ssh")
    assert node.runs(script).changed == ()
    node.says(f"cat >/root/script <<'END-OF-SCRIPT'\n{script.text}END-OF-SCRIPT\n")
    said = node.says(
        "rmdir /run/sshd; sh -s hybrid-configure check </root/script || true; ls -d /run/sshd 2>&1 || true;"
        "mkdir -m 755 /run/sshd; rm /root/script"
    )
    assert "@end ok 0\n" in said
    assert "'/run/sshd': No such file" in said


def test_the_private_key_is_in_its_file_alone(node: Node) -> None:
    assert changes(node, role("opennebula-ssh", opennebula_ssh_deploy_private_key="yes")) == [
        *("put the key of oneadmin", "put the public key of oneadmin")
    ]
    files = node.says("stat -c '%a %U %n' /var/lib/one/.ssh/id_*")
    assert files == "600 oneadmin /var/lib/one/.ssh/id_ed25519\n644 oneadmin /var/lib/one/.ssh/id_ed25519.pub\n"
    assert node.says("su - oneadmin -c 'ssh-keygen -yf .ssh/id_ed25519'").split()[:2] == KEY.public.split()
    line = KEY.private_openssh.splitlines()[2]
    assert node.says(f"grep -rlsF {line} /etc /home /root /run /srv /tmp /var /dev/shm") == (
        "/var/lib/one/.ssh/id_ed25519\n"
    )


def test_keys_of_root_let_in_as_oneadmin_but_not_those_with_conditions(node: Node) -> None:
    node.says("echo 'command=\"echo use another user\" ssh-ed25519 AAAAconditions x' >>/root/.ssh/authorized_keys")
    given = {"opennebula_ssh_keys_import_root_keys": "yes", "opennebula_ssh_deploy_local": "no"}
    assert changes(node, role("opennebula-ssh", **given)) == ["let the keys of root log in as oneadmin"]
    keys = node.says("cat /var/lib/one/.ssh/authorized_keys")
    assert keys.count(KEY.public) == 1
    assert len(keys.splitlines()) == 2
    assert "conditions" not in keys


def test_a_first_boot_is_waited_for(node: Node) -> None:
    """An update of packages that runs, and a cloud-init that says so."""
    node.says(
        "mkdir -p /run/systemd/system/apt-daily.service.d;"
        "printf '[Unit]\\nConditionACPower=\\n[Service]\\nExecStartPre=\\nExecStart=\\nExecStart=/bin/sleep 4\\n'"
        " >/run/systemd/system/apt-daily.service.d/slow.conf; systemctl daemon-reload;"
        "systemctl start --no-block apt-daily.service"
    )
    node.says(
        'printf \'#!/bin/sh\\n[ "$2" = --wait ] && sleep 1 && touch /run/over\\n'
        "[ -e /run/over ] && echo status: done || echo status: running\\n' >/usr/local/bin/cloud-init;"
        "chmod 755 /usr/local/bin/cloud-init"
    )
    assert [step.name for step in node.runs(role("ddc"), check_only=True).changed] == ["wait for the first boot to end"]
    assert node.says("systemctl is-active apt-daily.service || true") == "activating\n"
    assert changes(node, role("ddc")) == ["wait for the first boot to end"]
    assert node.says("systemctl is-active apt-daily.service || true") == "inactive\n"


def test_package_updates_that_do_not_end_are_told_and_no_failure(node: Node) -> None:
    script = role("ddc")
    impatient = Script(text=script.text.replace("${HYBRID_LOCK_WAIT:-300}", "2"), steps=script.steps)
    node.says("systemctl start --no-block apt-daily.service")
    notes = [note for step in node.runs(impatient).steps for note in step.notes]
    assert notes == ["the system still updates its packages after 2 seconds"]
    assert node.says("systemctl is-active apt-daily.service || true") == "activating\n"


def test_network_settings_of_missing_interfaces_are_set_aside(node: Node) -> None:
    folder = "/etc/sysconfig/network-scripts"
    files = {
        "eth0": "DEVICE=eth0\\nONBOOT=yes",
        "enp9s0": 'DEVICE="enp9s0"\\nONBOOT=yes\\nTYPE=Ethernet',
        "later": "DEVICE=enp8s0\\nONBOOT=no",
        "br9": "DEVICE=br9\\nTYPE=Bridge\\nONBOOT=yes",
        "any": "HWADDR=02:00:00:00:00:01\\nONBOOT=yes",
    }
    node.says(f"mkdir -p {folder};" + ";".join(f"printf '{text}\\n' >{folder}/ifcfg-{n}" for n, text in files.items()))
    assert changes(node, role("ddc")) == ["set network settings of missing interfaces aside"]
    assert node.says(f"ls {folder}").split() == [
        *("disabled-ifcfg-enp9s0", "ifcfg-any", "ifcfg-br9", "ifcfg-eth0", "ifcfg-later")
    ]
    node.says("rm -r /etc/sysconfig")


def test_no_link_of_oneadmins_is_followed(node: Node) -> None:
    """oneadmin puts links where root is about to write."""
    node.says("echo kept >/root/kept; mkdir -p /root/folder; ln -sfn /root/folder /var/lib/one/.ssh/id_ed25519.pub")
    changes(node, role("opennebula-ssh", opennebula_ssh_deploy_private_key="yes"))
    assert node.says("ls /root/folder; stat -c '%F %U' /var/lib/one/.ssh/id_ed25519.pub") == "regular file oneadmin\n"
    node.says("mv /var/lib/one/.ssh /var/lib/one/real; ln -s /root/folder /var/lib/one/.ssh")
    try:
        with pytest.raises(StepFailed, match=r"/var/lib/one/\.ssh is a symbolic link"):
            node.runs(role("opennebula-ssh"))
        assert node.says("stat -c %U /root/folder; ls /root/folder") == "root\n"
    finally:
        node.says("rm /var/lib/one/.ssh; mv /var/lib/one/real /var/lib/one/.ssh")
