"""Ansible's playbooks run by the real ansible-playbook, on this machine: tests/e2e/test_ansible.py has SSH."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.ansible_site import HOST, LOCAL, Write, run, session, shell, tasks
from tests.support.sshd import Sshd
from tests.support.vendor_venv import python_with

from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig import ansible
from hybrid_drivers.hostconfig.report import StepStatus
from hybrid_drivers.hostconfig.runner import connect


def oldest_ansible() -> Path:
    """The lower bound in pyproject.toml, which runs on Python 3.9 to 3.11."""
    if sys.version_info >= (3, 12):
        pytest.skip("ansible-core 2.14 does not run on this Python")
    return python_with("ansible-core==2.14.18", "ansible").with_name("ansible-playbook")


@pytest.mark.parametrize("oldest", [False, pytest.param(True, marks=pytest.mark.long)], ids=["this", "oldest"])
def test_each_task_is_a_step(tmp_path: Path, site: Write, oldest: bool) -> None:
    role = tmp_path / "roles/painter"
    site(
        {"name": 'say "{{ colour }}"', "ansible.builtin.shell": "true", "notify": "dry"}, name=f"{role}/tasks/main.yml"
    )
    site({"name": "dry", "ansible.builtin.debug": {"msg": "x"}}, name=f"{role}/handlers/main.yml")
    rescued = {"block": [shell("exit 7", name="may fail")], "rescue": [{"ansible.builtin.debug": {"msg": "x"}}]}
    play = {
        **tasks(
            rescued, shell("exit 3", ignore_errors=True), shell("true", when=False), shell("true", changed_when=False)
        ),
        "roles": ["painter"],
        "vars": {"colour": "green"},
    }
    report, seen = run(site(play), program=oldest_ansible() if oldest else None)
    ends = [(s.number, s.total, s.role, s.name, s.status.value) for s in seen if s.status is not StepStatus.START]
    assert ends == [
        (1, 5, "painter", "say green", "changed"),
        (2, 5, "mine", "may fail", "failed"),
        (3, 5, "mine", "ansible.builtin.debug", "ok"),
        (4, 5, "mine", "run it", "ok"),
        (5, 5, "mine", "run it", "skipped"),
        (6, 6, "mine", "run it", "ok"),
        (7, 7, "painter", "dry", "ok"),
    ]
    assert len(seen) == 2 * len(ends)
    assert [s.status.value for s in report.steps] == ["changed", "ok", "ok", "ok", "skipped", "ok", "ok"]
    assert report.steps[1].notes == report.steps[3].notes == ("failed, as it may: non-zero return code",)
    assert [s.name for s in report.changed] == ["say green"]


def test_a_failed_task_tells_its_code_and_stderr(site: Write) -> None:
    path = site(tasks(shell("echo oops >&2; exit {{ item }}", loop=[0, 7]), shell("true")))
    with pytest.raises(StepFailed) as caught:
        run(path)
    assert str(caught.value) == (
        f"{HOST}: step 'run it' of role mine failed with exit code 7: non-zero return code / oops"
    )


@pytest.mark.parametrize("loop", [{}, {"loop": [7]}], ids=["single", "loop"])
def test_what_no_log_hides_stays_hidden(site: Write, loop: dict[str, object]) -> None:
    with pytest.raises(StepFailed) as caught:
        run(site(tasks(shell("echo geheim >&2; exit 7", no_log=True, **loop))))
    assert str(caught.value).endswith("failed with exit code 1: its result is hidden by no_log")


def test_check_tells_what_would_change(tmp_path: Path, site: Write) -> None:
    copy = {"name": "write", "ansible.builtin.copy": {"dest": str(tmp_path / "new"), "content": "x"}}
    report, _ = run(site(tasks(copy)), check_only=True)
    assert [step.status for step in report.steps] == [StepStatus.WOULD_CHANGE]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("play", "text"),
    [
        ({**LOCAL, "roles": ["missing"]}, "playbook site.yml: the role 'missing' was not found in "),
        ({**LOCAL, "taskz": []}, "playbook site.yml: 'taskz' is not a valid attribute for a Play ("),
        (
            {"hosts": "mine"},
            f"playbook site.yml: nothing in it is for {HOST} (play 'mine'): give its plays hosts: nodes",
        ),
    ],
)
def test_mistakes_in_a_playbook_are_one_sentence(site: Write, play: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(site(play))
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


NODES = {"hosts": "nodes:&targets", "gather_facts": False, "tasks": [shell("echo $SSH_CONNECTION {{ colour }}")]}

VARIABLES = {"colour": "{{ 'gr' + 'een' }}", "ansible_python_interpreter": sys.executable}


@pytest.fixture
def short() -> Iterator[str]:
    """A folder whose path leaves room for the socket of a shared connection."""
    with tempfile.TemporaryDirectory(prefix="ha-", dir="/tmp") as folder:
        yield folder


def test_it_runs_over_ssh_with_the_pinned_key(
    sshd: Sshd, site: Write, short: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", short)
    seen: list[int] = []
    with connect(sshd.target, timeout=10) as opened:
        playbook = ansible.find(str(site(NODES)), VARIABLES, {})
        report = playbook.run(opened, lambda _: seen.append(len(alive(short))), timeout=60)
    assert [step.status for step in report.steps] == [StepStatus.CHANGED]
    assert seen[-1] > 1  # ansible-playbook, and ssh that keeps the connection
    assert alive(short) == []


def test_it_runs_over_ssh_where_paths_are_long(
    sshd: Sshd, site: Write, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = temporary / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with connect(sshd.target, timeout=10) as opened:
        report = ansible.find(str(site(NODES)), VARIABLES, {}).run(opened, lambda _: None, timeout=60)
    assert report.steps[0].status is StepStatus.CHANGED


def test_another_host_key_is_refused(sshd: Sshd, site: Write) -> None:
    opened = session(port=sshd.port, host="127.0.0.1")
    with pytest.raises(HostKeyMismatch, match="Host key verification failed"):
        ansible.find(str(site(NODES)), VARIABLES, {}).run(opened, lambda _: None, timeout=60)


def test_no_variable_switches_the_host_key_off(sshd: Sshd, site: Write) -> None:
    off = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    loose = {f"ansible_ssh_{name}": off for name in ("common_args", "args", "extra_args")}
    loose |= {"ansible_host_key_checking": "no", "ansible_ssh_host_key_checking": "no"}
    opened = session(port=sshd.port, host="127.0.0.1")
    path = site({**NODES, "vars": loose})
    beside = path.parent / "inventories/site/group_vars"
    beside.mkdir(parents=True)
    (beside / "all.yml").write_text(yaml.safe_dump(loose))
    with pytest.raises(HostKeyMismatch, match="Host key verification failed"):
        ansible.find(str(path), {**VARIABLES, **loose}, {}).run(opened, lambda _: None, timeout=60)


def test_other_hosts_of_an_inventory_beside_are_left_alone(site: Write, tmp_path: Path) -> None:
    play = {
        **LOCAL,
        "hosts": "nodes",
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
    }
    path = site({**play, "tasks": [shell(f"echo {{{{ inventory_hostname }}}} >>{tmp_path}/ran")]})
    folder = path.parent / "inventories/site"
    folder.mkdir(parents=True)
    (folder / "hosts").write_text("[nodes]\nanother\n")
    run(path)
    assert (tmp_path / "ran").read_text() == f"{HOST}\n"


def test_a_task_that_is_delegated_to_a_machine_out_of_reach_fails(site: Write) -> None:
    task = {**shell("true"), "delegate_to": "127.0.0.1", "vars": {"ansible_connection": "ssh", "ansible_port": 1}}
    with pytest.raises(StepFailed, match=r"step 'run it' of role mine failed with exit code 1: .*Connection refused"):
        run(site(tasks(task)))


def test_a_host_that_does_not_answer_is_unreachable(site: Write) -> None:
    path = site(NODES)
    with pytest.raises(HostUnreachable, match=r"127.0.0.1: unreachable in step 'run it' of role .*Connection refused"):
        ansible.find(str(path), VARIABLES, {}).run(session(port=1, host="127.0.0.1"), lambda _: None, timeout=60)


def alive(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def test_the_time_limit_ends_all_it_started(site: Write) -> None:
    mark = f"31.{os.getpid()}"
    began = time.monotonic()
    with pytest.raises(HostError, match=rf"{HOST}: no end of 'ansible-playbook .*site.yml' within 3 s"):
        run(site(tasks(shell(f"trap '' TERM; exec sleep {mark}"))), timeout=3)
    assert time.monotonic() - began < 13
    wait_for(lambda: not alive(mark))


def test_it_does_not_outlive_who_started_it(tmp_path: Path, site: Write) -> None:
    """A killed agent's run stops at its next task: the one after it may begin at any time."""
    path = site(tasks(shell(f"touch {tmp_path}/begun; sleep 1"), shell("true"), shell(f"touch {tmp_path}/too-far")))
    code = f"from pathlib import Path; from tests.support.ansible_site import run; run(Path({str(path)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as agent:
        wait_for((tmp_path / "begun").exists)
        agent.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(str(path)))
    assert not (tmp_path / "too-far").exists()


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
