"""Executables run as one_im_sh runs them."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.standin import ANSWER, events, host, toy

from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend import Frontend

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None) as running:
        yield running


def test_start_is_run_with_what_was_recorded(frontend: Frontend) -> None:
    toy(frontend, f'pwd; env; cat > "$0.stdin"; echo "$0 $*" > "$0.argv"; exec >&2; {ANSWER}; exit 3')
    host_id = host(frontend, "edge9")
    events(frontend, 1)
    run = frontend.events[0]
    assert (run.action, run.host_id, run.argv) == ("START_MONITOR", host_id, ("provision", "0", "edge9"))
    assert (run.code, run.executable) == (3, "monitord-client_control.sh")
    assert "<MONITOR_MESSAGES>" in run.output  # standard error is part of the output
    folder = frontend.location / "var/remotes/im/provision.d"
    lines = run.output.splitlines()
    assert lines[0] == str(folder)
    seen = dict(line.split("=", 1) for line in lines[1:] if "=" in line and not line.startswith("<"))
    assert {"HOME", "PATH", "ONE_LOCATION", "LANG"} <= set(seen)
    assert seen["ONE_LOCATION"] == str(frontend.location)
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(seen)
    assert (folder / "monitord-client_control.sh.argv").read_text() == (
        "./monitord-client_control.sh provision 0 edge9\n"
    )
    stdin = (folder / "monitord-client_control.sh.stdin").read_bytes()
    assert stdin.count(b"\n") == 1
    told = base64.b64decode(stdin).decode()
    recorded = (RECORDED / "im.start_monitor.xml").read_text().strip()
    replaced = (
        ("/var/lib/one/datastores", f"{frontend.location}/var/datastores"),
        ("<PORT><![CDATA[4124]]>", f"<PORT><![CDATA[{frontend.monitord_port}]]>"),
        ("<HOST_ID>6<", "<HOST_ID>0<"),
    )
    for old, new in replaced:
        recorded = recorded.replace(old, new)
    assert told == recorded


def test_all_executables_run_for_a_start_and_only_control_ones_for_a_stop(frontend: Frontend) -> None:
    toy(frontend, "true")
    toy(frontend, "echo '  extra   words '", name="another.sh")
    toy(frontend, "exit 9", name="plain.txt", mode=0o644)
    toy(frontend, "exit 9", name="old_control.sh.dpkg-new")
    host(frontend)
    events(frontend, 2)
    frontend.call("one.host.delete", 0)
    events(frontend, 3)
    assert [(run.executable, run.argv[0]) for run in frontend.events] == [
        ("another.sh", "provision"),
        ("monitord-client_control.sh", "provision"),
        ("monitord-client_control.sh", "stop"),
    ]


def test_a_failure_ends_the_row(frontend: Frontend) -> None:
    toy(frontend, "echo no money; exit 1", name="a.sh")
    toy(frontend, ANSWER)
    host(frontend)
    frontend.wait_for(lambda: frontend.host(0).state is HostState.ERROR, 10)
    assert [run.executable for run in frontend.events] == ["a.sh"]
    assert "Error executing a.sh: no money" in (frontend.location / "var/monitor.log").read_text()


def test_the_time_limit_ends_the_whole_group(frontend: Frontend, tmp_path: Path) -> None:
    frontend.set_knobs({"driver_timeout": 0.3})
    toy(frontend, f"sh -c 'trap \"echo ended > {tmp_path}/ended; exit\" TERM; while :; do sleep 0.02; done'")
    host(frontend)
    frontend.wait_for(lambda: frontend.host(0).state is HostState.ERROR, 10)
    assert frontend.events[0].code == 255
    assert frontend.events[0].output.startswith("Timeout executing")
    frontend.wait_for((tmp_path / "ended").exists, 10)


def test_a_child_that_keeps_the_output_holds_the_answer_back(frontend: Frontend) -> None:
    frontend.set_knobs({"driver_timeout": 0.5})
    toy(frontend, f"sleep 30 & {ANSWER}")
    host(frontend)
    frontend.wait_for(lambda: frontend.events, 10)
    assert frontend.events[0].code == 255
    toy(frontend, f"sleep 30 >/dev/null 2>&1 & {ANSWER}; echo $! > child")
    host(frontend, "second")
    events(frontend, 2)
    assert frontend.events[1].code == 0
    os.kill(int((frontend.location / "var/remotes/im/provision.d/child").read_text()), 15)


def test_a_script_without_its_interpreter(frontend: Frontend) -> None:
    path = toy(frontend, "")
    path.write_text("#!/no/such/interpreter\n")
    host(frontend)
    frontend.wait_for(lambda: frontend.host(0).state is HostState.ERROR, 10)
    assert frontend.events[0].code == 126


def test_so_many_at_once_as_monitord_conf_says(frontend: Frontend, tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    toy(frontend, f"touch {tmp_path}/count/$2; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    for number in range(40):
        host(frontend, f"h{number}")
    frontend.wait_for(lambda: len(list((tmp_path / "count").iterdir())) == 15, 10)
    time.sleep(0.1)
    assert len(list((tmp_path / "count").iterdir())) == 15
    (tmp_path / "go").touch()
    events(frontend, 40)


def test_five_hundred_starts_at_once_are_all_answered(frontend: Frontend) -> None:
    toy(frontend, ANSWER)
    for number in range(500):
        host(frontend, f"h{number}")
    frontend.wait_for(lambda: all(one.state is HostState.MONITORED for one in frontend.store.hosts.values()), 60)
    assert sorted(run.host_id for run in frontend.events) == list(range(500))


def test_stop_ends_running_executables_and_kill_does_not(frontend: Frontend, tmp_path: Path) -> None:
    script = "trap 'echo ended > {0}/$3; exit' TERM; echo $$ > {0}/pid-$3; while :; do sleep 0.02; done"
    toy(frontend, script.format(tmp_path))
    host(frontend, "first")
    frontend.wait_for(lambda: (tmp_path / "pid-first").exists() and (tmp_path / "pid-first").read_text(), 10)
    frontend.stop()
    frontend.wait_for((tmp_path / "first").exists, 10)
    frontend.start()
    host(frontend, "second")
    pid = int(
        frontend.wait_for(lambda: (tmp_path / "pid-second").exists() and (tmp_path / "pid-second").read_text(), 10)
    )
    frontend.kill()
    os.kill(pid, 0)  # still there
    os.kill(pid, 15)
    assert frontend.host(1).state is HostState.INIT


def test_after_a_restart_the_timer_asks_again(frontend: Frontend) -> None:
    toy(frontend, ANSWER)
    host(frontend)
    frontend.wait_for(lambda: frontend.host(0).state is HostState.MONITORED, 10)
    frontend.set_knobs({"monitoring_interval": 0.3, "timer_period": 0.05})
    frontend.restart()
    events(frontend, 2)
    assert frontend.events[1].started - frontend.events[0].started >= 0.3
