"""Ansible's playbooks: how they are found and refused beforehand, what ansible-playbook is given, what it says."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.support.ansible_site import HOST, KEY, Write, session, tasks

from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch
from hybrid_drivers.hostconfig import ansible, ansible_process
from hybrid_drivers.hostconfig.ansible import AnsiblePlaybook
from hybrid_drivers.hostconfig.ansible_process import one_of_few
from hybrid_drivers.hostconfig.ansible_report import EventReader, said
from hybrid_drivers.hostconfig.configuration import as_text, compile_configuration
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.playbooks import depend_on_peers
from hybrid_drivers.hostconfig.report import RunReport, StepStatus
from hybrid_drivers.hostconfig.runner import Session
from hybrid_drivers.hostconfig.script import Script

# --- found and checked beforehand ---------------------------------------------------------------------------------


def test_a_name_is_a_file_of_oneprovisions_folder(tmp_path: Path, site: Write) -> None:
    env = {"ONE_LOCATION": str(tmp_path)}
    folder = "share/oneprovision/ansible"
    for name, file in (("a.yml", "a.yml"), ("b.yaml", "b.yaml"), ("hci/site", "hci/site.yml")):
        path = site(tasks(), name=f"{folder}/{file}")
        assert ansible.find(name, {}, env).path == path
    assert ansible.find(str(path), {}, {}).path == path
    assert str(ansible.shared_folder({})) == "/usr/share/one/oneprovision/ansible"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("- hosts: [\n", "is not YAML (line 2)"),
        ("hosts: nodes\n", "is not a list of plays"),
        ("", "is not a list of plays"),
        ("- hosts: nodes\n- tasks: []\n", "entry 2 of {} is no play: it has no 'hosts'"),
        ("- just text\n", "entry 1 of {} is no play"),
    ],
)
def test_a_file_that_is_no_playbook_is_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "site.yml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        compile_configuration([str(path)], {}, Facts())
    assert problem.format(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ansibles_own_yaml_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "site.yml"
    path.write_text("- hosts: nodes\n  vars: {a: !vault 'x', b: !unsafe '{{'}\n- import_playbook: other.yml\n")
    assert ansible.find(str(path), {}, {}).path == path


def test_without_ansible_it_tells_how_to_install_it(
    tmp_path: Path, site: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"venv/bin/python -m pip install 'opennebula-hybrid-drivers\[ansible\]'"):
        compile_configuration([str(site(tasks()))], {}, Facts())
    on_path = tmp_path / "ansible-playbook"
    on_path.touch(mode=0o755)
    assert ansible.find(str(site(tasks())), {}, {}).program == on_path


def test_ours_and_ansibles_are_run_in_order(site: Write) -> None:
    path = str(site(tasks()))
    given = {"nonsense": "1", "dummy_x": [1], "iptables_masquerade_enabled": False}
    parts = compile_configuration(["dummy", path, "dummy", "dummy", path, path], given, Facts()).parts
    assert [type(part) for part in parts] == [Script, AnsiblePlaybook, Script, AnsiblePlaybook, AnsiblePlaybook]
    assert parts[1].variables == given if isinstance(parts[1], AnsiblePlaybook) else False
    assert "nonsense" not in repr(parts)
    with pytest.raises(ConfigError, match="no parameter 'nonsense'"):
        compile_configuration(["dummy"], given, Facts())


def test_ansibles_do_not_depend_on_other_hosts(site: Write) -> None:
    assert depend_on_peers([str(site(tasks()))]) is False
    assert compile_configuration([str(site(tasks()))], {}, Facts(), peers_only=True).parts == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (None, ""),
        (7, "7"),
        (["a", "b"], "a,b"),
        ([], ""),
        ([{"protocol": "tcp", "port": 22}], "[{protocol: tcp, port: 22}]"),
    ],
)
def test_our_roles_take_the_operators_yaml_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


# --- what ansible-playbook is given (a program in its place writes it down) -----------------------------------------


@pytest.fixture
def given(tmp_path: Path, site: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Run a program that notes what it was called with, and return that."""
    program = tmp_path / "ansible-playbook"
    program.write_text(
        f'#!/bin/sh\nexec >{tmp_path}/noted\nprintf "argv=%s\\n" "$*"; env\n'
        'd=${ANSIBLE_CONFIG%/*}; stat -c "mode=%a" "$d"; cp -r "$d" '
        f'{tmp_path}/copy; echo \'{{"event": "plan", "total": 0}}\' >/proc/self/fd/$OPENNEBULA_HYBRID_EVENTS\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")

    def call(variables: Mapping[str, object], on: Session, **options: bool) -> dict[str, str]:
        playbook = replace(ansible.find(str(site(tasks())), variables, {}), program=program)
        playbook.run(on, lambda _: None, timeout=20, **options)
        return dict(line.partition("=")[::2] for line in (tmp_path / "noted").read_text().splitlines())

    return call


def test_what_oneprovision_gave(given: Callable[..., dict[str, str]], tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "inventories/site").mkdir(parents=True)
    noted = given({"a": [{"b": "geheim"}], "ansible_user": "x"}, session("admin", 2222), check_only=True)
    folder = tmp_path / "copy"
    assert (folder / "inventory").read_text() == f"[nodes]\n{HOST}\n\n[targets]\n{HOST}\n"
    assert yaml.safe_load((folder / f"host_vars/{HOST}.yml").read_text()) == {
        "a": [{"b": "geheim"}],
        "ansible_connection": "ssh",
        "ansible_host": HOST,
        "ansible_port": 2222,
        "ansible_user": "admin",
        "ansible_ssh_private_key_file": "/nowhere/id_ed25519",
    }
    assert (folder / "known_hosts").read_text() == f"{HOST} {KEY}\n"
    configuration = (folder / "ansible.cfg").read_text()
    assert "become = True\nbecome_user = root" in configuration
    assert "StrictHostKeyChecking=yes" in configuration
    assert "roles_path = /usr/share/one/oneprovision/ansible/roles:~/.ansible/roles" in configuration
    made = noted["ANSIBLE_CONFIG"].rpartition("/")[0]
    inventories = f"-i {made}/inventory -i {tmp_path}/inventories/site"
    ours = f"--limit {HOST},localhost -e @{made}/ssh.json"
    assert noted["argv"] == f"{inventories} {ours} --check {tmp_path}/site.yml"
    assert noted["mode"] == "700"
    assert list(temporary.iterdir()) == []


def test_the_environment_has_nothing_of_ours(given: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    noted = given({"password": "geheim"}, session())
    assert [name for name in noted if name.startswith("ANSIBLE")] == ["ANSIBLE_CONFIG"]
    assert "geheim" not in (tmp_path / "noted").read_text()
    assert "become = False" in (tmp_path / "copy/ansible.cfg").read_text()


def test_what_killed_runs_left_is_removed(given: Callable[..., dict[str, str]], temporary: Path) -> None:
    long_ago = time.time() - 3600
    for name in ("hybrid-ansible-left", "hybrid-ansible-in-use", "other"):
        (temporary / name).mkdir()
        os.utime(temporary / name, (long_ago, long_ago))
    (temporary / "hybrid-ansible-new").mkdir()
    lock = os.open(temporary / "hybrid-ansible-in-use", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    given({}, session())
    os.close(lock)
    assert sorted(p.name for p in temporary.iterdir()) == ["hybrid-ansible-in-use", "hybrid-ansible-new", "other"]


# --- what it says ---------------------------------------------------------------------------------------------------


def read(*events: Mapping[str, object], code: int = 0, stderr: str = "") -> RunReport:
    reader = EventReader(HOST, "site.yml", lambda _: None, check_only=False)
    data = "".join(json.dumps(event) + "\n" for event in events).encode()
    for at in range(0, len(data), 7):
        reader.feed(data[at : at + 7])
    return reader.result(code, stderr, 1.0)


START = {"event": "start", "task": "1", "role": "r", "name": "n\n'x' {{ y }}" + "z" * 200}
END = {"event": "end", "task": "1", "seconds": 0.5}


def test_names_are_one_short_line() -> None:
    (step,) = read(START, {**END, "status": "ok"}).steps
    assert step.name.startswith("n 'x' y zzz")
    assert len(step.name) == 120


def test_another_host_key_is_not_just_unreachable() -> None:
    text = ["Failed to connect to the host via ssh: Host key verification failed."]
    with pytest.raises(HostKeyMismatch):
        read(START, {**END, "status": "unreachable", "text": text}, code=4)


def test_an_unreachable_that_may_be_is_no_failure() -> None:
    assert read(START, {**END, "status": "unreachable", "text": ["gone"]}).steps[0].status is StepStatus.OK


def test_a_crash_of_ansible_is_told_with_its_code() -> None:
    with pytest.raises(HostError, match=f"{HOST}: ansible-playbook site.yml ended with exit code 250: bad luck"):
        read(START, code=250, stderr="bad luck\n")


@pytest.mark.parametrize(
    "stderr",
    [
        "[WARNING]: w\nERROR! conflicting action statements: a,\nb\n\n"
        "The error appears to be in '/x/y.yml': line 3, column 7\n",
        "[WARNING]: w\n[ERROR]: conflicting action statements: a,\nb\nOrigin: /x/y.yml:3:7\n\n1 - hosts: all\n",
    ],
    ids=["2.14", "2.19"],
)
def test_ansibles_errors_are_read(stderr: str) -> None:
    assert said(stderr) == "conflicting action statements: a, b (/x/y.yml, line 3)"


def test_our_folder_is_private(temporary: Path) -> None:
    given = ansible_process.Given(target=session().target, host_key=KEY, variables={}, roles=())
    with ansible_process.workspace(given) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == temporary
    assert not folder.exists()


def test_a_full_disk_of_the_front_end_is_told(
    given: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    with pytest.raises(HostError, match=r"Ansible's files cannot be written on the front-end: /proc/nowhere.*: No "):
        given({}, session())


def test_only_so_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible_process, "_running", threading.BoundedSemaphore(1))
    with (
        one_of_few("first", 10),
        pytest.raises(HostError, match="second: other hosts' Ansible playbooks took all of 0 s"),
        one_of_few("second", 0.01),
    ):
        pass
    with one_of_few("third", 0.01):
        pass
