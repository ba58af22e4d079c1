"""The server on a real socket, in this process: what bad, slow, many and late callers can and cannot do."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.agent_tree import eventually

from hybrid_drivers.agent import protocol
from hybrid_drivers.agent.server import Server
from hybrid_drivers.agent.sockets import SOCKET_PATH_LIMIT, ensure_private_folder, short_path
from hybrid_drivers.errors import AgentError, ConfigError
from hybrid_drivers.oned.process import Answer, Call


def echo(call: Call) -> Answer:
    return Answer(stdout=" ".join(call.argv).encode())


def refusal(reason: str) -> str:
    return f"The agent refused the call: {reason}.\n"


def call(*argv: str, family: str = "im") -> Call:
    return Call(family=family, driver="provision", action="control", argv=argv)


@contextmanager
def serving(folder: Path, handler: Callable[[Call], Answer] = echo, **settings: float) -> Iterator[Server]:
    server = Server(folder / "agent.sock", handler, **settings)  # type: ignore[arg-type]  # ints among the floats
    server.start()
    try:
        yield server
    finally:
        server.stop(5)


def connect(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    with short_path(folder / "agent.sock") as name:
        connection.connect(name)
    return connection


def hear(connection: socket.socket) -> Answer | None:
    """Read a whole answer; None when the agent closed without taking the call."""
    data = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return protocol.decode_answer(data[5:]) if data else None


def ask(folder: Path, question: Call | bytes) -> Answer | None:
    with connect(folder) as connection:
        with suppress(BrokenPipeError):
            connection.sendall(question if isinstance(question, bytes) else protocol.encode_call(question))
        return hear(connection)


# --- bad callers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it is not a call in this agent's version of the protocol"),
        (b"\x01\xff\xff\xff\xff", "it is larger than 20 MiB"),
        (b"\x01" + protocol.pack(b"im", b"provision"), "a call has 6 fields, not 2"),
        (b"\x01\x00\x00\x00\x06\x00\x00\x00\x09im", "the message is cut short"),
        (b"\x01\x00\x00\x00\x02\x00\x00", "the message is cut short"),
        (b"\x01" + protocol.pack(b"im", b"../../x", b"control", b"", b"", b""), "the driver is not a name"),
        (b"\x01" + protocol.pack(b"im", b"provision", b"", b"", b"", b""), "the action is not a name"),
        (b"\x01" + protocol.pack(b"im", b"p", b"c", b"no end", b"", b""), "the list of arguments is cut short"),
        (b"\x01" + protocol.pack(b"im", b"p", b"c", b"\xff\x00", b"", b""), "the arguments must be UTF-8 text"),
    ],
)
def test_garbage_gets_one_sentence(tmp_path: Path, sent: bytes, reason: str) -> None:
    with serving(tmp_path) as server:
        answer = ask(tmp_path, sent)
        assert answer is not None
        assert (answer.code, (answer.stdout + answer.stderr).decode()) == (1, refusal(reason))
        assert ask(tmp_path, call("still", "here")) == Answer(stdout=b"still here")
        assert server.served == 1


def test_a_call_cut_short_is_not_carried_out(tmp_path: Path) -> None:
    whole = protocol.encode_call(call("x"))
    with serving(tmp_path) as server, connect(tmp_path) as connection:
        connection.sendall(whole[:-1])
        connection.shutdown(socket.SHUT_WR)
        answer = hear(connection)
        assert answer is not None
        assert b"cut short" in answer.stdout
        assert server.served == 0


def test_a_slow_sender_is_cut_off_in_time(tmp_path: Path) -> None:
    """Each byte comes in time, the whole call does not: the limit is on the whole."""
    with serving(tmp_path, request_timeout=0.3), connect(tmp_path) as connection:
        began = time.monotonic()
        with suppress(BrokenPipeError):
            for byte in protocol.encode_call(call("x")):
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        answer = hear(connection)
        assert answer is not None
        assert b"it did not come in time" in answer.stdout
        assert time.monotonic() - began < 15


def test_silent_callers_do_not_hold_up_others(tmp_path: Path) -> None:
    with serving(tmp_path, request_timeout=60):
        silent = [connect(tmp_path) for _ in range(100)]
        began = time.monotonic()
        assert ask(tmp_path, call("quick")) == Answer(stdout=b"quick")
        assert time.monotonic() - began < 30
        for connection in silent:
            connection.close()


def test_a_client_that_does_not_take_its_answer_is_given_up(tmp_path: Path) -> None:
    def big(_: Call) -> Answer:
        return Answer(stdout=b"x" * (8 << 20))

    with serving(tmp_path, big, answer_timeout=0.2) as server, connect(tmp_path) as connection:
        connection.sendall(protocol.encode_call(call()))
        eventually(lambda: server.served == 1, "the call is taken")
        eventually(lambda: server.running == 0, "its thread is free again", limit=5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_users_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even one who came past the rights of folder and socket."""
    with serving(tmp_path):
        (tmp_path / "agent.sock").chmod(0o777)
        pid = os.fork()
        if pid == 0:
            os.chdir(tmp_path)  # while we may still pass the folders above
            os.chmod(".", 0o755)
            os.setgroups([])
            os.setuid(65534)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect("agent.sock")
            connection.settimeout(10)
            os._exit(len(connection.recv(10)))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert "refused a connection of user id 65534" in caplog.text
        assert ask(tmp_path, call("mine")) == Answer(stdout=b"mine")


# --- handlers ----------------------------------------------------------------------------------------------------


def test_errors_of_ours_are_told_and_bugs_are_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def handler(asked: Call) -> Answer:
        if asked.argv == ("ours",):
            raise ConfigError("the plan 'x' is unknown.")
        raise KeyError("inner detail")

    caplog.set_level(logging.DEBUG)
    with serving(tmp_path, handler):
        assert ask(tmp_path, call("ours")) == Answer(stdout=b"the plan 'x' is unknown.\n", code=1)
        bug = ask(tmp_path, call("bug", family="ipam"))
    assert bug == Answer(stderr=b"The agent met a bug (KeyError) in ipam/provision/control: see its log.\n", code=1)
    tracebacks = [record.levelname for record in caplog.records if record.exc_info]
    assert tracebacks == ["DEBUG", "DEBUG"]


def test_blocked_calls_leave_room_for_quick_ones(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handler(asked: Call) -> Answer:
        if asked.family == "pm":
            go_on.wait(20)
        return echo(asked)

    with serving(tmp_path, handler, limit=8, slow_limit=4) as server:
        blocked = [connect(tmp_path) for _ in range(4)]
        for connection in blocked:
            connection.sendall(protocol.encode_call(call("slow", family="pm")))
        eventually(lambda: server.running == 4, "four calls block")
        assert ask(tmp_path, call("quick")) == Answer(stdout=b"quick")
        refused = ask(tmp_path, call("slow", family="pm"))
        assert refused is not None
        assert (refused.code, b"\nfailed: 4 calls are running already" in refused.stderr) == (255, True)
        go_on.set()
        assert [hear(connection) for connection in blocked] == [Answer(stdout=b"slow")] * 4
        assert ask(tmp_path, call("slow", family="pm")) == Answer(stdout=b"slow")


def test_more_callers_than_threads_wait_their_turn(tmp_path: Path) -> None:
    most = 0
    running = 0
    lock = threading.Lock()

    def handler(asked: Call) -> Answer:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return echo(asked)

    with serving(tmp_path, handler, limit=5) as server:
        waiting = [connect(tmp_path) for _ in range(200)]
        for number, connection in enumerate(waiting):
            connection.sendall(protocol.encode_call(call(str(number))))
        answers = [hear(connection) for connection in waiting]
        assert answers == [Answer(stdout=str(number).encode()) for number in range(200)]
        assert (server.served, 1 < most <= 5) == (200, True)


# --- the end -----------------------------------------------------------------------------------------------------


def test_stop_finishes_what_runs_and_closes_what_was_not_taken(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handler(asked: Call) -> Answer:
        go_on.wait(20)
        return echo(asked)

    with serving(tmp_path, handler) as server, connect(tmp_path) as taken, connect(tmp_path) as untaken:
        taken.sendall(protocol.encode_call(call("taken")))
        eventually(lambda: server.running == 1, "the call runs")
        untaken.sendall(b"\x01\x00")
        ended: list[bool] = []
        stopper = threading.Thread(target=lambda: ended.append(server.stop(10)))
        stopper.start()
        assert hear(untaken) is None  # not one byte: its client may ask another agent
        assert not (tmp_path / "agent.sock").exists()
        assert stopper.is_alive()
        go_on.set()
        assert hear(taken) == Answer(stdout=b"taken")
        stopper.join(10)
        assert ended == [True]


def test_stop_has_a_limit(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handler(asked: Call) -> Answer:
        go_on.wait(20)
        return echo(asked)

    with serving(tmp_path, handler) as server, connect(tmp_path) as connection:
        connection.sendall(protocol.encode_call(call()))
        eventually(lambda: server.running == 1, "the call runs")
        assert server.stop(0.1) is False
        go_on.set()


# --- the place ---------------------------------------------------------------------------------------------------


def test_a_socket_left_behind_is_replaced_and_ours_is_private(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "agent.sock"))
    with serving(tmp_path):
        assert oct((tmp_path / "agent.sock").stat().st_mode)[-3:] == "600"
        assert ask(tmp_path, call("x")) == Answer(stdout=b"x")


def test_a_path_too_long_for_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    folder.mkdir()
    assert len(str(folder / "agent.sock")) > SOCKET_PATH_LIMIT
    with serving(folder):
        assert ask(folder, call("x")) == Answer(stdout=b"x")


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    ensure_private_folder(folder)
    assert oct(folder.stat().st_mode)[-3:] == "700"
    with pytest.raises(AgentError, match="missing/state cannot be used as the agent's folder: No such file"):
        ensure_private_folder(tmp_path / "missing/state")
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        with pytest.raises(AgentError, match="belongs to another user"):
            ensure_private_folder(folder)
