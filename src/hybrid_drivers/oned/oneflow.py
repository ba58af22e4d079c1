"""OneFlow, OpenNebula's service manager, over its REST API: what a provision needs of it.

Facts: OpenNebula ``oneflow-server.rb`` (paths, basic authentication with oned's user and password, 201 with the new
document), ``CloudServer.rb`` (codes), ``document_json.rb`` (what a document looks like), ``oneflow-server.conf`` (the
port). requests is imported when the first call is made, as that costs 120 ms.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hybrid_drivers.config import Location
from hybrid_drivers.errors import (
    ActionRefused,
    AuthenticationFailed,
    BadCall,
    ConfigError,
    InternalFailure,
    NoSuchObject,
    NotAuthorized,
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.secret import Secret

if TYPE_CHECKING:
    from requests import Response

DEFAULT_URL: Final = "http://localhost:2474"
_ERRORS: Final[Mapping[int, type[OnedError]]] = {
    400: BadCall,
    401: AuthenticationFailed,
    403: NotAuthorized,
    404: NoSuchObject,
    409: ActionRefused,
}
_WHOLE: Final = (  # keys whose values OneFlow wants as numbers (``service_template.rb``)
    *("adjust", "cardinality", "cooldown", "max_vms", "min_adjust_step"),
    *("min_vms", "period", "period_number", "template_id", "vm_template"),
)
_TAG: Final = "PROVISION"


@dataclass(frozen=True, kw_only=True)
class ServiceTemplate:
    """A service template; ``provision`` is the id of the provision that made it."""

    id: int
    name: str
    body: Mapping[str, Any]
    provision: int | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service; ``state`` is OneFlow's number (2 RUNNING, 5 DONE; ``service.rb``)."""

    id: int
    name: str
    state: int


class OneFlow:
    """OneFlow as one user. ``timeout``: seconds to connect, and for each piece of an answer.

    Every method raises an ``OnedError``, as ``Oned`` does; nothing is tried again.
    """

    def __init__(self, url: str, user: str, password: Secret, *, timeout: float = 30.0) -> None:
        if not re.fullmatch(r"https?://[^/\s]+(/.*)?", url):
            raise ConfigError(f"OneFlow's address '{url}' is not of the form {DEFAULT_URL} (ONEFLOW_URL)")
        self._url, self._user, self._password, self._timeout = url.rstrip("/"), user, password, timeout

    @classmethod
    def from_location(cls, location: Location, env: Mapping[str, str] | None = None) -> OneFlow:
        """Speak with the OneFlow that ONEFLOW_URL names, or this front-end's, as the user of ``one_auth``.

        Raises:
            ConfigError: the file or the address is not as it has to be.
        """
        from hybrid_drivers.oned.api import read_session

        user, _, password = read_session(location).reveal().partition(":")
        return cls((os.environ if env is None else env).get("ONEFLOW_URL") or DEFAULT_URL, user, Secret(password))

    def __repr__(self) -> str:
        return f"OneFlow({self._url})"

    # --- service templates ---

    def service_templates(self) -> list[ServiceTemplate]:
        """Return all service templates, in one call."""
        return [_template(one) for one in self._pool("service_template", "the service templates")]

    def create_service_template(self, name: str, body: Mapping[str, Any], provision_id: int | None = None) -> int:
        """Make a service template of ``body`` and return its id; it carries ``provision_id`` from its first moment.

        Texts that are numbers become numbers where OneFlow wants them.

        Raises:
            BadCall: OneFlow does not accept the body; the text is its reason.
        """
        told: dict[str, Any] = {**_typed(body), "name": name}
        if provision_id is not None:
            told[_TAG] = {"PROVISION_ID": str(provision_id)}
        what = f"new service template {name}"
        answer = self._call("POST", "service_template", what, told)
        return _template(_document(answer, what)).id

    def delete_service_template(self, template_id: int) -> None:
        """Delete a service template. Raises: NoSuchObject."""
        self._call("DELETE", f"service_template/{template_id}", f"service template {template_id}")

    # --- services ---

    def services(self) -> list[Service]:
        """Return all services, in one call."""
        return [_service(one) for one in self._pool("service", "the services")]

    def service(self, service_id: int) -> Service:
        """Return a service. Raises: NoSuchObject."""
        what = f"service {service_id}"
        return _service(_document(self._call("GET", f"service/{service_id}", what), what))

    def delete_service(self, service_id: int) -> None:
        """End a service with all its virtual machines; it goes on for a while. Raises: NoSuchObject."""
        self._call("DELETE", f"service/{service_id}", f"service {service_id}")

    # --- the one way to OneFlow ---

    def _pool(self, path: str, what: str) -> list[Mapping[str, Any]]:
        pool = self._call("GET", path, what).get("DOCUMENT_POOL")
        found = pool.get("DOCUMENT", []) if isinstance(pool, dict) else []
        documents = found if isinstance(found, list) else [found]
        if not all(isinstance(one, dict) for one in documents):
            raise OnedError(f"{what}: OneFlow's answer is not a pool of documents")
        return documents

    def _call(self, method: str, path: str, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        response = self._send(method, path, what, body)
        if response.status_code >= 400:
            raise _ERRORS.get(response.status_code, InternalFailure)(f"{what}: {_reason(response)}")
        if not response.content:
            return {}
        try:
            answer = response.json()
        except ValueError as exc:
            raise OnedError(f"{what}: {self._url} did not answer with JSON: is it OneFlow (ONEFLOW_URL)?") from exc
        return answer if isinstance(answer, dict) else {}

    def _send(self, method: str, path: str, what: str, body: Mapping[str, Any] | None) -> Response:
        import requests

        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy on the way to the front-end itself, no .netrc
                return session.request(
                    method,
                    f"{self._url}/{path}",
                    data=None if body is None else json.dumps(body),
                    headers={"Accept": "application/json", "Content-Type": "application/json"},
                    auth=(self._user, self._password.reveal()),
                    timeout=self._timeout,
                    allow_redirects=False,
                )
        except requests.ConnectTimeout as exc:
            raise OnedUnreachable(f"{what}: OneFlow at {self._url} gave no answer in {self._timeout:g} s") from exc
        except requests.ConnectionError as exc:
            raise OnedUnreachable(
                f"{what}: OneFlow at {self._url} cannot be reached: is opennebula-flow running (ONEFLOW_URL)?",
                sent="refused" not in str(exc).lower(),
            ) from exc
        except requests.RequestException as exc:
            raise OnedUnreachable(f"{what}: OneFlow at {self._url} gave no whole answer", sent=True) from exc


def _reason(response: Response) -> str:
    """Return OneFlow's reason: plain text, or JSON with error/message since 5.12."""
    text = response.text.strip()
    try:
        said = json.loads(text)
        error = said.get("error", said) if isinstance(said, dict) else said
        text = str(error.get("message", text)) if isinstance(error, dict) else str(error)
    except ValueError:
        pass
    text = " ".join(re.sub(r"^\[one\.[\w.]+\]\s*", "", text).split())[:300]
    if response.status_code == 401:
        text += " Check the user and password in the one_auth file (ONE_AUTH)."
    return text.strip() or f"OneFlow answered HTTP {response.status_code} without a reason"


def _document(answer: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    found = answer.get("DOCUMENT")
    if not isinstance(found, dict):
        raise OnedError(f"{what}: OneFlow's answer is not a document")
    return found


def _body(document: Mapping[str, Any]) -> dict[str, Any]:
    template = document.get("TEMPLATE")
    body = template.get("BODY") if isinstance(template, dict) else None
    return body if isinstance(body, dict) else {}


def _id(document: Mapping[str, Any]) -> int:
    try:
        return int(str(document.get("ID")))
    except ValueError as exc:
        raise OnedError("OneFlow's answer holds a document without an id") from exc


def _template(document: Mapping[str, Any]) -> ServiceTemplate:
    body = _body(document)
    tag = body.get(_TAG)
    owner = str(tag.get("PROVISION_ID", "")) if isinstance(tag, dict) else ""
    return ServiceTemplate(
        id=_id(document),
        name=str(document.get("NAME", "")),
        body=body,
        provision=int(owner) if owner.isdecimal() else None,
    )


def _service(document: Mapping[str, Any]) -> Service:
    state = str(_body(document).get("state", ""))
    return Service(id=_id(document), name=str(document.get("NAME", "")), state=int(state) if state.isdecimal() else -1)


def _typed(value: Any, key: str = "") -> Any:
    """Return a body with numbers where OneFlow wants numbers, and nothing that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(inner): _typed(one, str(inner)) for inner, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_typed(one, key) for one in value]
    if isinstance(value, str) and key in _WHOLE and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    return value
