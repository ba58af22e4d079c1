"""An Ansible playbook on a real machine: role, host_vars, become, handlers, second run, check, failures, mixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from tests.support.ansible_site import Write, site, temporary  # noqa: F401 - fixtures
from tests.support.machines import make_identity, nspawn_yard  # noqa: F401 - a fixture
from tests.support.node import Node

from hybrid_drivers.errors import HostUnreachable, StepFailed
from hybrid_drivers.hostconfig.configuration import compile_configuration
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
VARIABLES: dict[str, object] = {
    "motd": [{"text": "one"}, {"text": "two {{ ansible_facts['distribution'] }}"}],
    "secret_word": "geheim",
}


@pytest.fixture(scope="module")
def node(nspawn_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:  # noqa: F811
    """A machine where root logs in, and the user ``admin``, who has sudo."""
    identity = make_identity(tmp_path_factory.mktemp("identity"))
    addresses = nspawn_yard.prepare("ansible", "edge1", identity.user_data)
    nspawn_yard.power_on("ansible")
    target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
    node = Node(nspawn_yard, "ansible", target)
    node.says(
        "useradd -m admin && cp -r /root/.ssh ~admin/ && chown -R admin ~admin/.ssh && mkdir -p /etc/sudoers.d"
        " && echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin"
        " && { command -v sudo || { apt-get -q update && apt-get -qy install sudo; } } >/dev/null"
    )
    yield node
    nspawn_yard.destroy("ansible")


@pytest.fixture
def motd(site: Write) -> str:  # noqa: F811
    """A playbook with a role that writes a file from host_vars, a handler, and a group variable beside it."""
    site(
        {
            "name": "write",
            "ansible.builtin.copy": {
                "dest": "/etc/motd.test",
                "mode": "600",
                "content": "{{ (motd | map(attribute='text') | list + [group_word] + group_names) | join(' ') }}\n",
            },
            "notify": "count",
        },
        name="roles/motd/tasks/main.yml",
    )
    site(
        {"name": "count", "ansible.builtin.shell": "id -un >>/etc/motd.count; echo {{ secret_word }} >/dev/null"},
        name="roles/motd/handlers/main.yml",
    )
    path = site({"name": "greet", "hosts": "nodes", "gather_subset": ["min"], "roles": ["motd"]}, name="greet.yml")
    (path.parent / "inventories/greet/group_vars").mkdir(parents=True)
    (path.parent / "inventories/greet/group_vars/all").write_text("group_word: 3rd\n")
    return str(path)


def run(
    node: Node,
    playbooks: Sequence[str],
    variables: Mapping[str, object] = VARIABLES,
    *,
    user: str = "root",
    check_only: bool = False,
    seen: list[StepReport] | None = None,
) -> RunReport:
    configuration = compile_configuration(playbooks, variables, Facts())
    there = replace(node, target=replace(node.target, user=user))
    with there.connect() as session:
        on_step = seen.append if seen is not None else lambda _: None
        return configuration.run(session, on_step, check_only=check_only, timeout=120)


def test_check_first_run_second_run(node: Node, motd: str) -> None:
    foretold = run(node, [motd], user="admin", check_only=True)
    assert [(s.role, s.name, s.status.value) for s in foretold.changed] == [("motd", "write", "would-change")]
    node.says("[ ! -e /etc/motd.test ]")
    first = run(node, [motd], user="admin")
    assert [(s.number, s.name, s.status.value) for s in first.steps] == [
        (1, "Gathering Facts", "ok"),
        (2, "write", "changed"),
        (3, "count", "changed"),
    ]
    assert node.says("stat -c '%U %a' /etc/motd.test; cat /etc/motd.test /etc/motd.count") == (
        "root 600\none two Debian 3rd nodes targets\nroot\n"
    )
    second = run(node, [motd], user="admin")
    assert second.changed == ()
    assert [s.name for s in second.steps] == ["Gathering Facts", "write"]
    assert run(node, [motd], user="root").changed == ()


def test_nothing_of_the_configuration_is_in_an_argument_list(node: Node, site: Write) -> None:  # noqa: F811
    """Of the processes here and there, seen from a task that runs here while another one is prepared there."""
    look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'gehei[m]' || true"
    play = {
        "hosts": "nodes",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.shell": look, "register": "there"},
            {"ansible.builtin.shell": look, "register": "here", "delegate_to": "localhost", "become": False},
            {"ansible.builtin.assert": {"that": ["there.stdout == '0'", "here.stdout == '0'"]}},
        ],
    }
    run(node, [str(site(play))])


def test_mixed_with_ours_the_steps_are_numbered_through(node: Node, motd: str) -> None:
    seen: list[StepReport] = []
    report = run(node, ["dummy", motd, "dummy"], seen=seen)
    ours = [s.number for s in report.steps if s.role == "dummy"]
    assert ours == [1, len(report.steps)]
    assert [s.number for s in report.steps] == list(range(1, len(report.steps) + 1))
    assert [s.role for s in report.steps if s.role != "dummy"][-1] == "motd"
    assert seen[0].total == 2  # what ours have; Ansible's are known when it begins
    assert seen[-1].total == len(report.steps)


def test_a_failing_task_stops_this_host_and_the_rest_is_not_run(node: Node, site: Write) -> None:  # noqa: F811
    tasks = [
        {"name": "install", "ansible.builtin.apt": {"name": "no-such-package-here"}},
        {"name": "later", "ansible.builtin.file": {"path": "/etc/later", "state": "touch"}},
    ]
    path = str(site({"name": "p", "hosts": "targets", "gather_facts": False, "tasks": tasks}))
    with pytest.raises(StepFailed) as caught:
        run(node, [path, "dummy"])
    assert str(caught.value).startswith(f"{node.target.address}: step 'install' of role p failed with exit code 1: ")
    assert "No package matching 'no-such-package-here' is available" in str(caught.value)
    node.says("[ ! -e /etc/later ]")


def test_a_connection_lost_in_the_middle_is_unreachable(node: Node, site: Write) -> None:  # noqa: F811
    """The session's sshd is killed while a task runs; the next run goes on."""
    up = 'p=$$; while [ "$(cat /proc/$p/comm)" != sshd ]; do read -r _ _ _ p _ </proc/$p/stat; done; kill -9 $p'
    tasks = [{"name": "cut", "ansible.builtin.shell": f"[ -e /run/cut ] || {{ touch /run/cut; {up}; sleep 20; }}"}]
    path = str(site({"name": "p", "hosts": "nodes", "gather_facts": False, "tasks": tasks}))
    with pytest.raises(HostUnreachable, match=r"unreachable in step 'cut' of role p: "):
        run(node, [path])
    assert [s.name for s in run(node, [path]).steps] == ["cut"]
