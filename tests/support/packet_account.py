"""A user of the packet simulator, with plain HTTP and no client library between."""

from __future__ import annotations

from typing import Any

import requests
from tests.support.simulators import wait_for

from hybrid_drivers.sandbox.packet_api import PacketSimulator

ORDER = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "am"}


class Account:
    """A user of the simulator: plain HTTP with the right token."""

    def __init__(self, simulator: PacketSimulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.session.headers["X-Auth-Token"] = simulator.token
        self.devices = f"/projects/{simulator.project}/devices"

    def call(self, method: str, path: str, body: object = None, **more: Any) -> requests.Response:
        return self.session.request(method, self.simulator.url + path, json=body, timeout=5, **more)

    def create(self, **more: object) -> str:
        reply = self.call("POST", self.devices, {**ORDER, **more})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def get(self, device: str) -> dict[str, Any]:
        reply = self.call("GET", f"/devices/{device}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def listed(self, **query: str) -> list[str]:
        return [one["id"] for one in self.call("GET", self.devices, params=query).json()["devices"]]

    def until(self, device: str, state: str) -> dict[str, Any]:
        wait_for(lambda: self.get(device)["state"] == state)
        return self.get(device)

    def active(self, **more: object) -> str:
        device = self.create(**more)
        self.until(device, "active")
        return device

    def knobs(self, **changes: object) -> requests.Response:
        return requests.put(f"{self.simulator.url}/_sandbox/knobs", json=changes, timeout=5)

    def left(self) -> list[dict[str, Any]]:
        everything: list[dict[str, Any]] = self.call("GET", "/_sandbox/machines").json()["machines"]
        return [one for one in everything if one["state"] != "gone"]


def complaints(reply: requests.Response) -> str:
    body = reply.json()
    return "; ".join(body["errors"]) if "errors" in body else str(body["error"])
