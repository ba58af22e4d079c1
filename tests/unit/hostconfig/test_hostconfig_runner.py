"""The SSH runner against a real sshd on loopback."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from tests.support.impostor import WEAK, Impostor, Thief

from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch, HostUnreachable, LoginRefused, StepFailed
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import StepReport, StepStatus
from hybrid_drivers.hostconfig.runner import Session, SshTarget, connect
from hybrid_drivers.hostconfig.script import Script, compile_script, render
from hybrid_drivers.hostconfig.steps import Step

if TYPE_CHECKING:
    from tests.support.sshd import Sshd

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="scripts are applied as root")


@pytest.fixture
def session(sshd: Sshd) -> Iterator[Session]:
    with connect(sshd.target, timeout=10) as one:
        yield one


def accepted(sshd: Sshd) -> int:
    return (sshd.folder / "log").read_text().count("Accepted publickey")


def test_run_gives_code_stdout_and_stderr(session: Session) -> None:
    result = session.run("cat; echo err >&2; exit 3", b"in", timeout=10)
    assert (result.code, result.stdout, result.stderr) == (3, "in", "err\n")


def test_large_input_and_output(session: Session) -> None:
    data = os.urandom(2_000_000).hex().encode()
    assert session.run("cat", data, timeout=30).stdout.encode() == data
    assert session.run("head -c 3000000 /dev/zero >&2", timeout=30).stderr == "\0" * 3_000_000


def test_input_nobody_reads_is_no_error(session: Session) -> None:
    assert session.run("exit 5", b"x" * 5_000_000, timeout=10).code == 5


def test_a_command_that_leaves_a_daemon_ends(session: Session) -> None:
    began = time.monotonic()
    assert session.run("sleep 20 & echo $!; exit 4", timeout=10).code == 4
    assert time.monotonic() - began < 8


def test_a_command_killed_by_a_signal(session: Session) -> None:
    assert session.run("kill -9 $$", timeout=10).code == -1
    assert session.run("echo still here", timeout=10).stdout == "still here\n"


def test_a_command_has_a_time_limit(session: Session) -> None:
    with pytest.raises(HostError, match=r"127\.0\.0\.1: no end of 'sleep 20' within 0 s"):
        session.run("sleep 20", timeout=0.2)


def test_a_lost_connection_is_passing(sshd: Sshd, session: Session) -> None:
    pid = int(session.run("echo $PPID", timeout=10).stdout)
    timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(HostUnreachable, match="connection broke"):
        session.run("sleep 20", timeout=15)
    with pytest.raises(HostUnreachable, match="connection is lost"):
        session.run("true", timeout=5)


@pytest.mark.parametrize("name", ["client_ed25519", "client_rsa", "client_ecdsa", "client_pem"])
def test_kinds_of_login_keys(sshd: Sshd, name: str) -> None:
    with connect(sshd.with_key(name), timeout=10) as session:
        assert session.run("true", timeout=10).code == 0


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_pinned_kind_of_host_key_is_asked_for(sshd: Sshd, kind: str) -> None:
    target = replace(sshd.target, host_keys=(f"{sshd.key(kind)} a comment",))
    with connect(target, timeout=10) as session:
        assert session.host_key == sshd.key(kind)


def test_one_of_several_pinned_keys_is_enough(sshd: Sshd) -> None:
    other = (sshd.folder / "client_unknown.pub").read_text().strip()
    with connect(replace(sshd.target, host_keys=(other, sshd.key())), timeout=10) as session:
        assert session.host_key == sshd.key()


@pytest.mark.parametrize("name", ["client_unknown.pub", "client_ecdsa.pub"])
def test_another_host_key_is_refused_before_login(sshd: Sshd, name: str) -> None:
    before = accepted(sshd)
    wrong = (sshd.folder / name).read_text().strip()
    with pytest.raises(HostKeyMismatch, match="nothing was sent"):
        connect(replace(sshd.target, host_keys=(wrong,)), timeout=10)
    assert accepted(sshd) == before
    assert "userauth" not in (sshd.folder / "log").read_text()


def test_a_kind_the_server_lacks_is_a_mismatch_too(sshd: Sshd) -> None:
    with pytest.raises(HostKeyMismatch):
        connect(replace(sshd.target, host_keys=("ecdsa-sha2-nistp521 AAAA",)), timeout=10)


def test_without_pinned_keys_trust_must_be_asked_for(sshd: Sshd) -> None:
    with pytest.raises(ConfigError, match="no SSH host key is known"):
        connect(replace(sshd.target, host_keys=()), timeout=10)
    with connect(replace(sshd.target, host_keys=(), trust_first=True), timeout=10) as session:
        assert session.host_key.split()[1] in {sshd.key(kind).split()[1] for kind in ("ed25519", "rsa", "ecdsa")}


def test_an_unknown_key_is_refused(sshd: Sshd) -> None:
    with pytest.raises(LoginRefused, match=r"127\.0\.0\.1: login as .* is refused"):
        connect(sshd.with_key("client_unknown"), timeout=10)


@pytest.mark.parametrize(("content", "text"), [(None, "cannot be read"), ("junk", "damaged")])
def test_a_bad_private_key_is_named(sshd: Sshd, tmp_path: Path, content: str | None, text: str) -> None:
    path = tmp_path / "key"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"{path} .*{text}"):
        connect(replace(sshd.target, private_key=path), timeout=10)


@contextmanager
def server_that(says: bytes | None) -> Iterator[int]:
    """A TCP server that says something and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            try:
                link, _ = server.accept()
            except OSError:
                return
            held.append(link)
            if says is None:
                link.close()
            else:
                link.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for link in held:
            link.close()


@pytest.mark.parametrize("says", [None, b"", b"HTTP/1.1 400\r\n\r\n", b"SSH-2.0-silent\r\n"])
def test_what_is_no_ssh_server_is_unreachable_in_time(sshd: Sshd, says: bytes | None) -> None:
    began = time.monotonic()
    with server_that(says) as port, pytest.raises(HostUnreachable, match=r"127\.0\.0\.1: no SSH"):
        connect(replace(sshd.target, port=port), timeout=1.0)
    assert time.monotonic() - began < 20


def test_a_closed_port_is_unreachable(sshd: Sshd) -> None:
    with socket.socket() as bound:  # bound, not listening
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(HostUnreachable, match="no SSH on port"):
            connect(replace(sshd.target, port=bound.getsockname()[1]), timeout=5)


def run(session: Session, script: Script, check_only: bool = False) -> list[StepReport]:
    seen: list[StepReport] = []
    session.run_script(script, seen.append, check_only=check_only, timeout=20)
    return seen


def test_dummy_playbook_checks(session: Session) -> None:
    seen = run(session, compile_script(["dummy"], {}, Facts()), check_only=True)
    assert [one.status for one in seen] == [StepStatus.START, StepStatus.OK]


@needs_root
def test_steps_are_told_while_they_run(session: Session) -> None:
    times: list[tuple[str, float]] = []
    script = render([Step(role="r", name=name, check="false", apply="sleep 0.4") for name in ("one", "two")])
    with pytest.raises(StepFailed, match="step 'one' of role r failed"):
        session.run_script(script, lambda s: times.append((s.status.value, time.monotonic())), timeout=20)
    assert [status for status, _ in times] == ["start", "failed"]
    assert times[1][1] - times[0][1] > 0.3


@needs_root
def test_a_script_cut_off_names_its_step(session: Session) -> None:
    pid = int(session.run("echo $PPID", timeout=10).stdout)
    script = render([Step(role="r", name="cut", check="false", apply=f"kill -9 {pid}; sleep 1")])
    with pytest.raises(HostUnreachable):
        run(session, script)


@needs_root
def test_no_secret_is_shown_by_a_failing_step(session: Session) -> None:
    step = Step(role="r", name="key", check="false", apply="cat >/nowhere/key", stdin="top secret\n")
    with pytest.raises(StepFailed) as caught:
        run(session, render([step]))
    assert "/nowhere/key" in str(caught.value)
    assert "secret" not in f"{caught.value!r} {caught.value.stderr}"


@needs_root
def test_put_tree(session: Session, tmp_path: Path) -> None:
    source, remote = tmp_path / "source", tmp_path / "put" / "remotes"
    (source / "im").mkdir(parents=True)
    (source / "im" / "run").write_text("#!/bin/sh\n")
    (source / "im" / "run").chmod(0o755)
    (source / "kvm").symlink_to("im")
    (source / "it's a link").symlink_to("im/run")
    (source / "gone").symlink_to("nowhere")
    (source / "im" / "loop").symlink_to("..")
    assert session.put_tree(source, str(remote), owner="root") is True
    assert session.put_tree(source, str(remote), owner="root") is False
    assert (remote / "kvm" / "run").read_text() == "#!/bin/sh\n"
    assert not (remote / "kvm").is_symlink()
    assert stat.S_IMODE((remote / "it's a link").stat().st_mode) == 0o755
    assert not (remote / "gone").exists()
    (source / "im" / "run").unlink()
    (source / "new").write_text("")
    assert session.put_tree(source, str(remote), owner="root") is True
    assert not (remote / "im" / "run").exists()
    assert (remote / "new").exists()
    assert [one.name for one in remote.parent.iterdir()] == ["remotes"]


@needs_root
def test_put_tree_that_fails_leaves_the_old_one(session: Session, tmp_path: Path) -> None:
    source, remote = tmp_path / "source", tmp_path / "remotes"
    source.mkdir()
    (source / "a").write_text("1")
    session.put_tree(source, str(remote), owner="root")
    (source / "a").write_text("2")
    with pytest.raises(HostError, match=r"cannot be put to .*nobody-such"):
        session.put_tree(source, str(remote), owner="nobody-such")
    assert (remote / "a").read_text() == "1"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["remotes", "source"]


def test_put_tree_of_nothing_is_the_operators_error(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        session.put_tree(tmp_path / "none", str(tmp_path / "x"), owner="root")


def test_other_users_go_through_sudo(sshd: Sshd) -> None:
    target: SshTarget = sshd.target
    with connect(target, timeout=10) as session:
        assert session.as_root("id") == ("id" if target.user == "root" else "sudo -n -- id")


def test_a_server_that_hangs_does_not_hang_us(session: Session) -> None:
    pid = int(session.run("echo $PPID", timeout=10).stdout)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(HostUnreachable):
            session.run("true", timeout=1.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - began < 20


def test_time_spent_sending_counts(session: Session) -> None:
    with pytest.raises(HostError, match="no end of 'sleep 9' within 1 s"):
        session.run("sleep 9", b"x" * 9_000_000, timeout=1.0)


# --- servers that are not what they should be ---------------------------------------------------------------------


def target_of(server: Impostor, key: paramiko.PKey, sshd: Sshd, *, trust_first: bool = False) -> SshTarget:
    pinned = () if trust_first else (f"{key.get_name()} {key.get_base64()}",)
    return replace(sshd.target, port=server.port, host_keys=pinned, trust_first=trust_first)


@pytest.fixture(scope="module")
def own_key() -> paramiko.PKey:
    return paramiko.RSAKey.generate(2048)


def test_a_server_with_strong_algorithms_is_talked_to(sshd: Sshd, own_key: paramiko.PKey) -> None:
    """So that what is refused below is refused for what it is."""
    with Impostor(own_key) as server, connect(target_of(server, own_key, sshd), timeout=20):
        assert "key of" in " ".join(server.asked)


@pytest.mark.parametrize("offers", WEAK.values(), ids=WEAK.keys())
@pytest.mark.parametrize("trust_first", [False, True])
def test_weak_algorithms_are_refused_before_login(
    sshd: Sshd, own_key: paramiko.PKey, offers: dict[str, list[str]], trust_first: bool
) -> None:
    with Impostor(own_key, offers) as server:
        with pytest.raises(HostUnreachable, match="no SSH key exchange"):
            connect(target_of(server, own_key, sshd, trust_first=trust_first), timeout=20)
        assert server.asked == []


@pytest.mark.parametrize("trust_first", [False, True])
def test_an_rsa_key_that_signs_with_sha1_is_refused_before_login(
    sshd: Sshd, own_key: paramiko.PKey, trust_first: bool
) -> None:
    with Impostor(own_key, {"keys": ["ssh-rsa"]}) as server:
        with pytest.raises((HostUnreachable, HostKeyMismatch)):
            connect(target_of(server, own_key, sshd, trust_first=trust_first), timeout=20)
        assert server.asked == []


def test_a_man_in_the_middle_is_refused_before_login(sshd: Sshd) -> None:
    """He has a key of the same kind, or shows the right one without having it."""
    own = paramiko.Ed25519Key.from_private_key_file(str(sshd.folder / "client_unknown"))
    shown = paramiko.Ed25519Key.from_private_key_file(str(sshd.folder / "host_ed25519"))
    for key, refusal in ((own, HostKeyMismatch), (Thief(own, shown.asbytes()), HostUnreachable)):
        with Impostor(key) as server:
            with pytest.raises(refusal):
                connect(replace(sshd.target, port=server.port), timeout=20)
            assert server.asked == []
