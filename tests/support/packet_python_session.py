"""One session of the published client ``packet-python`` with a packet API; run by that client's own venv.

Arguments: host:port (TLS), token, project. Prints one JSON object of what the client's own objects said.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import packet

PLAN, SYSTEM, METRO = "c3.small.x86", "debian_12", "am"


def refused(call: Any) -> str:
    """Return what the client says of a call that fails."""
    try:
        call()
    except packet.ResponseError as exc:
        return str(exc)
    return "no error"


def until(manager: Any, device: str, state: str) -> Any:
    """Ask until the device is there."""
    for _ in range(500):
        found = manager.get_device(device)
        if found.state == state:
            return found
        time.sleep(0.01)
    raise SystemExit(f"never {state}")


def addresses(manager: Any, project: str, device: str) -> dict[str, Any]:
    """Reserve a block, send a part of it to a device, and give all back."""
    told: dict[str, Any] = {}
    block = manager.reserve_ip_address(project, "public_ipv4", 2, metro=METRO, tags=["one-owner=me"])
    told["reserved"] = [block.cidr, block.address_family, block.public, block.tags, block.metro.code, block.network]
    # its own get_available_ip_subnets hands over text where a mapping is expected
    told["free"] = manager.call_api(f"ips/{block.id}/available", params={"cidr": 32})["available"]
    told["listed"] = [one.tags for one in manager.list_project_ips(project) if one.id == block.id]
    given = manager.create_device_ip(device, told["free"][0])
    told["given"] = [
        f"{given.address}/{given.cidr}",
        given.assigned_to["href"],
        manager.get_ip(given.id).id == given.id,
    ]
    told["of device"] = [one.address for one in manager.list_device_ips(device) if one.id == given.id]
    told["twice"] = refused(lambda: manager.create_device_ip(device, told["free"][0]))
    told["not ours"] = refused(lambda: manager.create_device_ip(device, "192.0.2.200/32"))
    told["in use"] = refused(block.delete)
    given.delete()
    block.delete()
    told["released"] = refused(lambda: manager.get_ip(block.id))
    told["odd"] = refused(lambda: manager.reserve_ip_address(project, "public_ipv4", 3, metro=METRO))
    return told


def session(manager: Any, project: str) -> dict[str, Any]:
    """Use every call of the client that the simulator knows."""
    told: dict[str, Any] = {
        "plans": {one.slug: one.pricing["hour"] for one in manager.list_plans()},
        "systems": [f"{one.slug} {one.distro} {one.version}" for one in manager.list_operating_systems()],
        "metros": {one.code: one.country for one in manager.list_metros()},
        "facilities": {one.code: one.name for one in manager.list_facilities()},
        "projects": [one.id for one in manager.list_projects()],
        "project": manager.get_project(project).name,
        "user": manager.get_user()["full_name"],
        "capacity": manager.get_capacity()["am6"][PLAN]["level"],
        "fits": manager.validate_capacity([("am6", PLAN, 1)]),
        "fits metro": manager.validate_metro_capacity([("am", PLAN, 1), ("da", PLAN, 2)]),
    }
    made = manager.create_device(
        project, "edge1", PLAN, operating_system=SYSTEM, metro=METRO, tags=["one-host=1"], userdata="#cloud-config\n"
    )
    told["made"] = [made.state, made.ip_addresses, made.tags, made.hostname, made.operating_system.slug, made.locked]
    told["early delete"] = refused(made.delete)
    active = until(manager, made.id, "active")
    told["active"] = [
        active.metro["code"],
        active.plan["slug"],
        active.provisioning_percentage,
        bool(active.root_password),
    ]
    told["addresses"] = [(one.address_family, one.public, one.cidr) for one in active.ips()]
    told["ips"] = addresses(manager, project, made.id)
    active.hostname = "edge2"
    told["renamed"] = active.update()["hostname"]
    active.power_off()
    until(manager, made.id, "inactive").power_on()
    until(manager, made.id, "active").reboot()
    until(manager, made.id, "active").reinstall(operating_system=SYSTEM)
    until(manager, made.id, "active")
    for number in range(12):
        manager.create_device(project, f"more{number}", PLAN, facility="am6", operating_system=SYSTEM)
    told["pages"] = [len(manager.list_devices(project)), len(manager.list_all_devices(project))]
    told["by tag"] = [one.id == made.id for one in manager.list_devices(project, params={"tag": "one-host=1"})]
    told["bad order"] = refused(lambda: manager.create_device(project, "x", "c9.huge", operating_system=SYSTEM))
    active.delete()
    for _ in range(500):
        told["gone"] = refused(lambda: manager.get_device(made.id))
        if told["gone"] != "no error":
            break
        time.sleep(0.01)
    manager.auth_token = "wrong"
    told["wrong token"] = refused(lambda: manager.list_devices(project))
    return told


if __name__ == "__main__":
    address, token, project_id = sys.argv[1:]
    client = packet.Manager(auth_token=token)
    client.end_point = address
    print(json.dumps(session(client, project_id)))
