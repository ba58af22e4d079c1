"""A stand-in for OneFlow: service templates and services are documents of oned, as with the real one.

Facts: OpenNebula ``src/flow/oneflow-server.rb``, ``service_template.rb`` and ``document_json.rb``; nothing is recorded,
so the words of refused bodies are ours.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.objects import DocumentObject
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.http_server import HttpServer, Reply, Request, json_reply

SERVICE, SERVICE_TEMPLATE = 100, 101  # types of documents
_TYPES: Final = {"service": SERVICE, "service_template": SERVICE_TEMPLATE}


class OneFlowServer:
    """OneFlow over HTTP on ``host``, on a free port; ``session`` is ``user:password`` of who may call."""

    def __init__(self, store: Store, session: Callable[[], str], host: str = "127.0.0.1") -> None:
        self._store, self._session = store, session
        self._server = HttpServer(self, host=host)
        self.url = self._server.url
        self.calls: list[str] = []  # method and path, for tests

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self) -> None:
        """Give the port back."""
        self._server.stop()

    def answer(self, request: Request) -> Reply:
        """Carry a call out."""
        self.calls.append(f"{request.method} {request.path}")
        given = request.headers.get("authorization", "")
        if not given.lower().startswith("basic "):
            return _text(401, "A username and password must be provided")
        if given != f"Basic {base64.b64encode(self._session().encode()).decode()}":
            return _text(401, "User couldn't be authenticated, aborting call.")
        kind, _, number = request.path.strip("/").partition("/")
        if kind not in _TYPES or (number and not number.isdecimal()):
            return _text(404, "")
        with self._store.lock:
            return self._pool(request, kind) if not number else self._one(request, kind, int(number))

    def _pool(self, request: Request, kind: str) -> Reply:
        if request.method == "GET":
            documents = [one for one in self._store.documents.newest_first() if one.type == _TYPES[kind]]
            return json_reply(
                200, {"DOCUMENT_POOL": {"DOCUMENT": [_shown(one) for one in documents]} if documents else {}}
            )
        if request.method == "POST" and kind == "service_template":
            return self._create(request.body)
        return _text(404, "")

    def _one(self, request: Request, kind: str, number: int) -> Reply:
        found = self._store.documents.get(number)
        if found is None or found.type != _TYPES[kind]:
            return _error(404, f"[one.document.info] Error getting document [{number}].")
        if request.method == "GET":
            return json_reply(200, {"DOCUMENT": _shown(found)})
        if request.method == "DELETE":
            del self._store.documents[number]
            return Reply(status=204)
        return _text(404, "")

    def _create(self, body: bytes) -> Reply:
        try:
            told = json.loads(body)
            _check(told)
        except ValueError as exc:
            return _error(400, str(exc))
        template = Attributes([("BODY", json.dumps(told))])
        made = DocumentObject(id=-1, name=told["name"], type=SERVICE_TEMPLATE, template=template)
        return json_reply(201, {"DOCUMENT": _shown(self._store.documents.put(made))})


def _check(told: Any) -> None:
    """Refuse what the real validator does: a name, and roles with a name and the number of a template."""
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        raise ValueError("KEY: 'name' is required")
    roles = told.get("roles")
    if not isinstance(roles, list):
        raise ValueError("KEY: 'roles' is required and must be an Array")
    for role in roles:
        name = role.get("name") if isinstance(role, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise ValueError("KEY: 'name' of a role must match the regex ^\\w+$")
        if not isinstance(role.get("vm_template", role.get("template_id")), int):
            raise ValueError(f"KEY: 'vm_template' of role '{name}' must be an Integer")


def _shown(document: DocumentObject) -> Mapping[str, object]:
    return {
        "ID": str(document.id),
        "UID": str(document.uid),
        "GID": str(document.gid),
        "UNAME": document.uname,
        "GNAME": document.gname,
        "NAME": document.name,
        "TYPE": str(document.type),
        "TEMPLATE": {"BODY": json.loads(document.template.text("BODY") or "{}")},
    }


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"error": {"message": message}})


def _text(status: int, message: str) -> Reply:
    return Reply(status=status, body=message.encode(), content_type="text/plain")
