"""The agent's socket: takes calls of the thin client, hands them to a handler, sends the answers back.

One thread a connection, made when it comes and ended with it. A handler blocks (on oned, a provider, SSH), so
calls need threads anyway; a thread that ends with its call costs an idle agent nothing, and a slow or silent sender
holds only its own, for ``request_timeout`` at most. Up to ``limit`` connections are served at once, the rest wait in
the kernel's queue. Of these at most ``slow_limit`` may be calls of families that may take minutes (``pm``, ``vnm``,
``hooks``), so that the calls oned gives up after 90 s always find a thread.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hybrid_drivers.agent import protocol
from hybrid_drivers.agent.sockets import peer_allowed, read_request, short_path, shut
from hybrid_drivers.errors import HybridError
from hybrid_drivers.oned.process import Answer, Call, failure

log = logging.getLogger(__name__)

Handler = Callable[[Call], Answer]
QUICK_FAMILIES = frozenset({"im", "ipam", "agent"})
QUIET_ACTIONS = frozenset({"configure-poll"})  # come several times a second
BACKLOG = 4096  # the kernel lowers it to net.core.somaxconn; a client that finds it full waits in connect()


class Server:
    """Serves calls on a unix socket. ``start`` and ``stop`` are called once each; the caller owns the folder.

    ``request_timeout``: seconds in which a whole call must have come; ``answer_timeout``: seconds in which the client
    must have taken its answer.
    """

    def __init__(
        self,
        socket_path: Path,
        handler: Handler,
        *,
        limit: int = 600,
        slow_limit: int = 400,
        request_timeout: float = 30.0,
        answer_timeout: float = 30.0,
    ) -> None:
        self._path = socket_path
        self._handler = handler
        self._limit = limit
        self._slow = threading.BoundedSemaphore(slow_limit)
        self._slow_limit = slow_limit
        self._request_timeout = request_timeout
        self._answer_timeout = answer_timeout
        self._listener: socket.socket | None = None
        self._bound: tuple[int, int] | None = None
        self._changed = threading.Condition()  # guards what follows
        self._reading: set[socket.socket] = set()
        self._running: set[socket.socket] = set()
        self._stopping = False
        self._served = 0

    @property
    def running(self) -> int:
        """Return how many calls are being carried out."""
        return len(self._running)

    @property
    def served(self) -> int:
        """Return how many calls were taken since the start."""
        return self._served

    @property
    def reachable(self) -> bool:
        """Tell whether the socket's file is still the one we made: without it nobody can call."""
        return self._bound is not None and self._found() == self._bound

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def start(self) -> None:
        """Open the socket (in place of one that was left behind) and take calls from now on."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        with short_path(self._path) as path:
            listener.bind(path)
        self._path.chmod(0o600)  # before anybody can connect
        self._bound = self._found()
        listener.listen(BACKLOG)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()

    def stop(self, timeout: float) -> bool:
        """Take no more calls, wait up to ``timeout`` seconds for the running ones; tell whether all have ended.

        Connections whose call was not yet taken are closed: their clients turn to the next agent.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._listener is not None:  # first: a client sent away must not find this agent again
            if self.reachable:
                self._path.unlink(missing_ok=True)
            shut(self._listener)  # wakes accept(); close() alone would not
            self._listener.close()
        with self._changed:
            for connection in self._reading:
                shut(connection)
            ended = self._changed.wait_for(lambda: not self._running, timeout)
            for connection in self._running:
                shut(connection)
        return ended

    def _accept(self, listener: socket.socket) -> None:
        while self._room():
            try:
                connection, _ = listener.accept()
            except OSError as exc:
                if not self._stopping:  # out of file descriptors or memory: others will be freed
                    log.warning("a connection could not be accepted: %s", exc)
                    time.sleep(0.1)
                continue
            with self._changed:
                self._reading.add(connection)
                if self._stopping:
                    shut(connection)
            try:
                threading.Thread(target=self._serve, args=(connection,), name="call", daemon=True).start()
            except RuntimeError as exc:  # no more threads for this user
                log.warning("a call could not be served: %s", exc)
                self._forget(connection)

    def _room(self) -> bool:
        """Wait until one more connection may be served; False when the server stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(self._reading) + len(self._running) < self._limit)
            return not self._stopping

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            self._reading.discard(connection)
            self._running.discard(connection)
            self._changed.notify_all()
        connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if peer_allowed(connection):
                self._converse(connection)
        except ConnectionAbortedError as exc:
            log.debug("a connection without a call: %s", exc)
        except OSError as exc:
            log.info("a client left or was too slow: %s", exc)
        finally:
            self._forget(connection)

    def _converse(self, connection: socket.socket) -> None:
        family = "im"
        try:
            body = read_request(connection, self._request_timeout)
            family = protocol.family_of(body)
            call = protocol.decode_call(body)
        except protocol.BadFrame as error:
            if self._stopping:  # it is we who cut it short
                return
            log.warning("refused a call: %s", error)
            refusal = failure(f"The agent refused the call: {error}.", family=family)
            self._send(connection, protocol.VERSION + protocol.encode_answer(refusal))
            return
        if self._take(connection):
            self._send(connection, protocol.VERSION)
            self._send(connection, protocol.encode_answer(self._answer(call)))

    def _take(self, connection: socket.socket) -> bool:
        """Move a connection from reading to running, unless the server stops."""
        with self._changed:
            if self._stopping:
                return False
            self._reading.discard(connection)
            self._running.add(connection)
            self._served += 1
            return True

    def _send(self, connection: socket.socket, data: bytes) -> None:
        connection.settimeout(self._answer_timeout)  # of the whole sendall()
        connection.sendall(data)

    def _answer(self, call: Call) -> Answer:
        slow = call.family not in QUICK_FAMILIES
        if slow and not self._slow.acquire(blocking=False):
            return failure(f"{self._slow_limit} calls are running already: try again later.", family=call.family)
        began = time.monotonic()
        try:
            answer = run_handler(self._handler, call)
        finally:
            if slow:
                self._slow.release()
        what = f"{call.family}/{call.driver}/{call.action}"
        level = logging.DEBUG if call.action in QUIET_ACTIONS and answer.code == 0 else logging.INFO
        log.log(level, "%s %s: exit code %d, %.3f s", what, list(call.argv), answer.code, time.monotonic() - began)
        return answer


def run_handler(handler: Handler, call: Call) -> Answer:
    """Run the handler of a call; whatever it raises becomes one sentence for the caller."""
    what = f"{call.family}/{call.driver}/{call.action}"
    try:
        return handler(call)
    except HybridError as error:
        log.warning("%s failed: %s", what, error)
        log.debug("%s failed", what, exc_info=error)
        return failure(error, family=call.family)
    except Exception as error:  # the process boundary: a bug must end its own call only
        log.error("%s met a bug: %s: %s", what, type(error).__name__, error)
        log.debug("%s met a bug", what, exc_info=error)
        return failure(f"The agent met a bug ({type(error).__name__}) in {what}: see its log.", family=call.family)
