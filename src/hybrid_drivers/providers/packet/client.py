"""The calls of the packet API that we use, one method each, and nothing but the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from hybrid_drivers.errors import OutcomeUnknown, TransientError
from hybrid_drivers.model import Machine
from hybrid_drivers.providers.http import Call, HttpApi
from hybrid_drivers.providers.packet import states
from hybrid_drivers.providers.tagging import OWNER

PAGE = 1000  # the most the API gives at once
_MOST_PAGES = 1000  # a guard against an API that always names a next page


class PacketClient:
    """One project of one account."""

    def __init__(self, api: HttpApi, project: str) -> None:
        self._api, self._project = api, project
        self._devices = f"/projects/{quote(project, safe='')}/devices"

    def create_device(self, body: Mapping[str, object], user_data: str, last_look: Callable[[], None]) -> Machine:
        """POST a device; ``user_data``, part of ``body``, is named to keep it out of errors.

        ``last_look`` is that of the request.

        Raises:
            OutcomeUnknown: no usable answer, so the device may exist.
        """
        what = f"creating {body.get('hostname') or 'a device'}"
        call = Call(
            method="POST",
            path=self._devices,
            what=what,
            rules=states.CREATE_RULES,
            body=body,
            lost=OutcomeUnknown,
            hide=(user_data,),
            last_look=last_look,
        )
        try:
            return states.machine(self._api.run(call))
        except ValueError as exc:
            raise OutcomeUnknown(f"packet: {what}: the answer is {exc}; the device must be looked up") from exc

    def device(self, device_id: str) -> Machine:
        """GET a device."""
        call = Call(
            method="GET",
            path=_device(device_id),
            what=f"looking at device {device_id}",
            rules=states.MACHINE_RULES,
        )
        return _read(self._api.run(call))

    def devices(self, owner: str) -> list[Machine]:
        """GET all devices of the project with the owner's tag, over all pages, each once.

        A page can shift while another is read, so one device may be missed: absence counts only when seen twice.
        """
        return list({one.id: one for one in map(_read, self._documents(owner))}.values())

    def terminations(self, owner: str) -> dict[str, float]:
        """GET the same devices, for when the provider ends those that have a time for it: id -> unix seconds."""
        return dict(found for one in self._documents(owner) if (found := states.termination(one)) is not None)

    def spot_prices(self, kind: Literal["metros", "facilities"]) -> object:
        """GET the spot market's prices: place -> plan -> ``price``."""
        path = "/market/spot/prices" + ("/metros" if kind == "metros" else "")
        call = Call(method="GET", path=path, what=f"listing the spot prices of {kind}", rules=states.LIST_RULES)
        document = self._api.run(call)
        return document.get("spot_market_prices") if isinstance(document, dict) else None

    def _documents(self, owner: str) -> list[object]:
        found: list[object] = []
        for page in range(1, _MOST_PAGES + 1):
            document = self._page({"tag": f"{OWNER}={owner}", "per_page": str(PAGE), "page": str(page)})
            rows = _rows(document, "devices")
            found += rows
            if not rows or not states.has_next(document, page):
                return found
        raise TransientError(f"packet: listing the devices of project {self._project}: more than {_MOST_PAGES} pages")

    def check_access(self) -> None:
        """Ask for the smallest page of the project's devices: an error says that the token or the project is wrong."""
        self._page({"per_page": "1"})

    def project_name(self) -> str:
        """GET the project: an error says that the token or the project is wrong; empty when it has no name."""
        path, what = f"/projects/{quote(self._project, safe='')}", f"looking at project {self._project}"
        document = self._api.run(Call(method="GET", path=path, what=what, rules=states.LIST_RULES))
        return str(document.get("name") or "") if isinstance(document, dict) else ""

    def plans(self) -> list[Mapping[str, object]]:
        """GET all plans; the API gives them in one page."""
        call = Call(method="GET", path="/plans", what="listing the plans", rules=states.LIST_RULES)
        return [one for one in _rows(self._api.run(call), "plans") if isinstance(one, dict)]

    def places(self, kind: Literal["metros", "facilities"]) -> dict[str, str]:
        """GET all metros or facilities: id -> code."""
        path = {"metros": "/locations/metros", "facilities": "/facilities"}[kind]
        call = Call(method="GET", path=path, what=f"listing the {kind}", rules=states.LIST_RULES)
        rows = [one for one in _rows(self._api.run(call), kind) if isinstance(one, dict)]
        return {str(one.get("id")): str(one.get("code")) for one in rows}

    def delete_device(self, device_id: str) -> None:
        """DELETE a device."""
        what = f"deleting device {device_id}"
        self._api.run(Call(method="DELETE", path=_device(device_id), what=what, rules=states.MACHINE_RULES))

    def act(self, device_id: str, action: str) -> None:
        """POST an action: power_on, power_off or reboot."""
        call = Call(
            method="POST",
            path=f"{_device(device_id)}/actions",
            what=f"{action} of device {device_id}",
            rules=states.MACHINE_RULES,
            body={"type": action},
            lost=OutcomeUnknown,
        )
        self._api.run(call)

    def _page(self, query: Mapping[str, str]) -> object:
        what = f"listing the devices of project {self._project}"
        return self._api.run(Call(method="GET", path=self._devices, what=what, rules=states.LIST_RULES, query=query))


def _device(device_id: str) -> str:
    return f"/devices/{quote(device_id, safe='')}"


def _read(document: object) -> Machine:
    try:
        return states.machine(document)
    except ValueError as exc:
        raise TransientError(f"packet: the API answered with {exc}; it will be asked again") from exc


def _rows(document: object, key: str) -> list[object]:
    rows = document.get(key) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise TransientError(f"packet: the API answered a list without '{key}'; it will be asked again")
    return rows
