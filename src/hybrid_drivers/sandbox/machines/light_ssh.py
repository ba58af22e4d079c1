"""The SSH server of light machines (paramiko): public keys only, commands only."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Callable

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from hybrid_drivers.sandbox.machines.light_commands import Handler, Order, find, not_found
from hybrid_drivers.sandbox.machines.light_node import LightNode
from hybrid_drivers.sandbox.machines.light_probes import Probes

log = logging.getLogger(__name__)
_CHUNK = 65536
_SETTLE = 0.05  # seconds for the "request accepted" to leave before an answer that does not wait for input
_BROKEN = (OSError, EOFError, paramiko.SSHException)


def serve(node: LightNode, sock: socket.socket, probes: Probes, step_delay: float) -> paramiko.Transport:
    """Speak SSH on a fresh connection, in threads of its own.

    Raises:
        OSError, paramiko.SSHException: the other side is gone already.
    """
    transport = paramiko.Transport(sock)
    transport.daemon = True
    transport.local_version = "SSH-2.0-OpenNebula-Hybrid-light"
    transport.add_server_key(paramiko.Ed25519Key.from_private_key(io.StringIO(node.key[0])))
    transport.start_server(event=threading.Event(), server=_Server(node, probes, step_delay))
    return transport


class _Server(paramiko.ServerInterface):
    """One connection: any user, but only with a key of the machine's user-data."""

    def __init__(self, node: LightNode, probes: Probes, step_delay: float) -> None:
        self._node, self._probes, self._step_delay = node, probes, step_delay

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = key.get_base64() in self._node.authorized
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode(errors="replace")
        threading.Thread(target=self._run, args=(channel, text), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        words, handler = find(command)
        log.info("%s: %s", self._node.machine_id, command[:80])
        try:
            stdin = _read_all(channel) if handler else _wait()
            order = Order(
                node=self._node,
                words=words,
                stdin=stdin,
                out=channel.sendall,
                err=channel.sendall_stderr,
                probes=self._probes,
                step_delay=self._step_delay,
            )
            channel.send_exit_status(_answer(handler or not_found, order))
        except _BROKEN as exc:
            log.info("%s: connection lost: %s", self._node.machine_id, exc)
            channel.get_transport().close()  # whole, as a broken one is
        finally:
            channel.close()


def _answer(handler: Callable[[Order], int] | Handler, order: Order) -> int:
    try:
        return handler(order)
    except _BROKEN:
        raise
    except Exception as exc:  # the boundary of a stand-in for a process: it crashes alone
        log.exception("light machine %s: %s crashed", order.node.machine_id, order.words[:1])
        return order.fail(255, f"the light machine's answer crashed: {exc!r}")


def _read_all(channel: paramiko.Channel) -> bytes:
    """Read to the end of input. By then the request's acceptance has been sent: one thread does both, in order."""
    data = bytearray()
    while piece := channel.recv(_CHUNK):
        data += piece
    return bytes(data)


def _wait() -> bytes:
    time.sleep(_SETTLE)
    return b""
