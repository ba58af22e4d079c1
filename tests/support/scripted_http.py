"""A real HTTP server on loopback that answers what a test says, for replies no simulator gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Scripted:
    """One answer. ``drop`` closes the connection instead; ``body`` is sent as it is when it is text."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


class ScriptedServer:
    """A real HTTP server on loopback; answers in order, the last one again and again. ``seen`` are the requests."""

    def __init__(self, *answers: Scripted) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, str, Mapping[str, str], str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.seen.append((self.command, self.path, dict(self.headers.items()), body))
                scripted = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if scripted.drop:
                    self.close_connection = True
                    return
                raw = scripted.body if isinstance(scripted.body, str) else json.dumps(scripted.body)
                data = b"" if scripted.body is None else raw.encode()
                self.send_response(scripted.status)
                for name, value in {"Content-Length": str(len(data)), **scripted.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names http.server calls

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                return  # a client that gave up is part of the test

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
