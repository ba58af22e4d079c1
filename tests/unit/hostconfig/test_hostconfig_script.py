"""The compiled program: its form, and what it says when it runs in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hybrid_drivers.errors import HostError, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig import script as script_module
from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.playbooks import PLAYBOOKS
from hybrid_drivers.hostconfig.report import ReportReader, StepReport, StepStatus
from hybrid_drivers.hostconfig.script import PROTOCOL, Script, compile_script, preamble, read_steps, render
from hybrid_drivers.hostconfig.steps import Step

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
KEY = "ssh-ed25519 " + "A" * 68 + " oneadmin@front-end"
FACTS = Facts(
    oneadmin_keys=(KEY,),
    opennebula_version="7.0.1",
    address="198.51.100.1",
    peers=(Peer(host_id=1, address="198.51.100.1"), Peer(host_id=2, address="198.51.100.2")),
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="apply mode runs as root")


def step(name: str, check: str = ":", apply: str = ":", **more: object) -> Step:
    return Step(role="r", name=name, check=check, apply="" if more.get("must") else apply, **more)  # type: ignore[arg-type]


def run(script: Script, tmp_path: Path, mode: str = "apply", shell: list[str] | None = None) -> tuple[int, list[str]]:
    """Run a script with its state in a folder of the test; return exit code and protocol lines without times."""
    text = script.text.replace("/var/lib/opennebula-hybrid", str(tmp_path / "state"))
    text = text.replace("/run/opennebula-hybrid.lock", str(tmp_path / "lock"))
    done = subprocess.run(
        [*(shell or ["sh"]), "-s", "hybrid-configure", mode], input=text, text=True, capture_output=True
    )
    assert done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if line.startswith("@")]
    return done.returncode, [
        line.rsplit(" ", 1)[0] if line[:5] == "@step" and line[-1] != "t" else line for line in lines
    ]


def test_every_built_in_playbook_compiles_and_reads_back() -> None:
    for playbook in PLAYBOOKS:
        script = compile_script([playbook], {}, FACTS)
        assert [name for _, _, name in read_steps(script.text)] == [one.name for one in script.steps]
        assert [number for number, _, _ in read_steps(script.text)] == list(range(1, len(script.steps) + 1))


def test_file_content_that_looks_like_a_step_is_not_read_as_one() -> None:
    fake = step("real", stdin="\nmain() {\nrun_step 9 'evil' 'evil' -\n")
    assert read_steps(render([fake]).text) == [(1, "r", "real")]


@pytest.mark.parametrize("repository", ["yes", "no"])
@pytest.mark.parametrize("dialect", ["sh", *(pytest.param(one, marks=pytest.mark.long) for one in ("dash", "busybox"))])
def test_shellcheck_has_nothing_to_say_of_any_role(dialect: str, repository: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    settings = {"iptables_masquerade_enabled": "yes", "opennebula_ssh_deploy_local": "yes", "sysctl_settings": "a.b=1"}
    settings |= {"tuned_profile": "virtual-host", "opennebula_ssh_keys_import_root_keys": "yes"}
    script = compile_script(list(PLAYBOOKS), {**settings, "opennebula_repository_enabled": repository}, FACTS)
    done = subprocess.run(
        # 2317, 2329: the steps' functions are called by name; 2016: a file's content is quoted, dollar signs and all
        ["shellcheck", "-s", dialect, "-e", "SC2016,SC2317,SC2329", "-"],
        input=script.text,
        text=True,
        capture_output=True,
    )
    if dialect in done.stderr:
        pytest.skip("this shellcheck does not know the dialect")
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", [*script_module.SHELL_FILES, "hostkeys.sh"])
def test_shellcheck_passes_each_file(name: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    path = Path(script_module.__file__).with_name(name)
    done = subprocess.run(["shellcheck", "-s", "sh", str(path)], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


@needs_root
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_first_run_changes_second_run_does_not(shell: list[str], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = render([step("ready"), step("make mark", f"[ -e {mark} ]", f"info new; : >{mark}")])
    check = [
        "@hybrid 1 2 check",
        "@step 1 2 start",
        "@step 1 2 ok",
        "@step 2 2 start",
        "@step 2 2 would-change",
        "@end ok 1",
    ]
    assert run(script, tmp_path, "check", shell) == (0, check)
    assert not mark.exists()
    first = ["@hybrid 1 2 apply", *check[1:4], "@info 2 new", "@step 2 2 changed", "@end ok 1"]
    assert run(script, tmp_path, "apply", shell) == (0, first)
    second = ["@hybrid 1 2 apply", *check[1:4], "@step 2 2 ok", "@end ok 0"]
    assert run(script, tmp_path, "apply", shell) == (0, second)


@needs_root
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_failure_stops_and_says_why(shell: list[str], tmp_path: Path) -> None:
    noisy = "echo one; false_ 2>/dev/null || true; echo 'the reason' >&2; sh -c 'exit 42'; echo never"
    script = render([step("fails", "false", noisy), step("not reached")])
    code, lines = run(script, tmp_path, "apply", shell)
    assert code == 1
    assert lines[2:] == ["@stderr 1 one", "@stderr 1 the reason", "@step 1 2 failed 42", "@end failed 1"]


@needs_root
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_errors_inside_functions_end_a_snippet_in_every_shell(shell: list[str], tmp_path: Path) -> None:
    """``set -e`` is off in conditions, in some shells even below them: the engine must not run snippets in one."""
    body = "inner() { false; echo went on; }\n    inner\n    echo and on"
    code, lines = run(render([step("s", "false", body)]), tmp_path, "apply", shell)
    assert (code, lines[2:]) == (1, ["@step 1 1 failed 1", "@end failed 1"])


@needs_root
def test_a_change_that_does_not_take_is_a_failure(tmp_path: Path) -> None:
    code, lines = run(render([step("s", "echo not yet; false", "echo tried")]), tmp_path)
    assert code == 1
    assert lines[2:5] == ["@stderr 1 tried", "@stderr 1 not yet", "@stderr 1 still not as wanted after the change"]


@needs_root
def test_a_must_fails_in_both_modes(tmp_path: Path) -> None:
    script = render([step("s", "echo unsupported; exit 7", must=True)])
    for mode in ("check", "apply"):
        code, lines = run(script, tmp_path, mode)
        assert (code, lines[2:]) == (1, ["@stderr 1 unsupported", "@step 1 1 failed 7", "@end failed 0"])


@needs_root
def test_a_due_restart_survives_a_cut_off_run(tmp_path: Path) -> None:
    mark, restarted = tmp_path / "mark", tmp_path / "restarted"
    change = step("change", f"[ -e {mark} ]", f": >{mark}", triggers=("svc",))
    restart = step("restart", "! restart_due svc", f': >>{restarted}; rm -f "$state_dir/restart/svc"')
    cut = render([change, step("cut", "false", "exit 1"), restart])
    assert run(cut, tmp_path)[0] == 1
    assert not restarted.exists()
    whole = render([change, restart])
    assert run(whole, tmp_path)[1][1:] == [
        "@step 1 2 start",
        "@step 1 2 ok",
        "@step 2 2 start",
        "@step 2 2 changed",
        "@end ok 1",
    ]
    assert restarted.exists()
    assert run(whole, tmp_path)[1][-1] == "@end ok 0"


def test_check_mode_tells_the_restart_that_would_follow(tmp_path: Path) -> None:
    change = step("change", "false", ":", triggers=("svc",))
    script = render([change, step("restart", "! restart_due svc", ":")])
    assert run(script, tmp_path, "check")[1][-1] == "@end ok 2"
    assert not (tmp_path / "state").exists()


@needs_root
def test_half_a_script_does_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = render([step("s", "false", f": >{mark}")]).text
    assert text.endswith('main "$@"\n')
    for cut in range(2, 40):
        subprocess.run(["sh", "-s", "hybrid-configure", "apply"], input=text[:-cut], text=True, capture_output=True)
        assert not mark.exists(), f"ran without its last {cut} characters"
    subprocess.run(["sh", "-s", "hybrid-configure", "check"], input=text, text=True, capture_output=True)
    assert not mark.exists()


@needs_root
def test_a_second_run_waits_for_the_first_and_not_for_ever(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        holder = subprocess.Popen(["flock", str(tmp_path / "lock"), "sleep", "30"], stdin=lock)
        try:
            text = preamble().replace("${HYBRID_LOCK_WAIT:-300}", "1")
            script = Script(text=render([step("s")]).text.replace(preamble(), text), steps=(step("s"),))
            subprocess.run(
                ["sh", "-c", f"while flock -n {tmp_path}/lock true; do sleep 0.01; done"], check=True, timeout=10
            )
            code, lines = run(script, tmp_path)
        finally:
            holder.terminate()
            holder.wait()
    assert code == 3
    assert "another configuration run" in lines[-1]


def test_the_text_is_never_shown() -> None:
    script = render([step("s", stdin="top secret")])
    assert "top secret" in script.text
    assert "top secret" not in repr(script)


def read(script: Script, lines: list[str], code: int = 0, stderr: str = "") -> list[StepReport]:
    seen: list[StepReport] = []
    reader = ReportReader("198.51.100.7", script, seen.append)
    data = "".join(f"{line}\n" for line in lines).encode()
    for at in range(0, len(data), 7):  # in pieces that respect no line
        reader.feed(data[at : at + 7])
    reader.result(code, stderr, 1.0)
    return seen


TWO = render([step("one"), step("two")])
BEGIN = f"@hybrid {PROTOCOL} 2 apply"


def test_reader_reports_as_it_goes() -> None:
    seen = read(
        TWO,
        [
            "Welcome to @step 9",
            BEGIN,
            "@step 1 2 start",
            "@info 1 note",
            "@step 1 2 changed 0.83",
            "noise",
            "@end ok 1",
        ],
    )
    assert [(s.number, s.name, s.status, s.seconds, s.notes) for s in seen] == [
        (1, "one", StepStatus.START, 0.0, ()),
        (1, "one", StepStatus.CHANGED, 0.83, ("note",)),
    ]


def test_reader_raises_step_failed_with_all_it_knows() -> None:
    with pytest.raises(StepFailed) as caught:
        read(TWO, [BEGIN, "@step 1 2 start", "@stderr 1 E: no", "@step 1 2 failed 100 0.4", "@end failed 1"], 1)
    assert str(caught.value) == "198.51.100.7: step 'one' of role r failed with exit code 100: E: no"


@pytest.mark.parametrize(
    ("lines", "error", "text"),
    [
        ([], HostError, "did not start: sh: not found"),
        ([BEGIN, "@fatal no root"], HostError, "198.51.100.7: no root"),
        ([BEGIN, "@step 2 2 start"], HostUnreachable, "cut off in step 'two' of role r"),
        ([f"@hybrid {PROTOCOL} 3 apply"], HostError, "does not run the script it was sent"),
        ([BEGIN, "@step x"], HostError, "reports '@step x'"),
        ([BEGIN, "@step 3 2 start"], HostError, "reports '@step 3 2 start'"),
    ],
)
def test_reader_errors(lines: list[str], error: type[HostError], text: str) -> None:
    with pytest.raises(error, match=text.replace("(", r"\(")):
        read(TWO, lines, 127, "sh: not found")
