"""How the packet API shows devices, pages and capacity, as JSON values.

Facts: the provider's published API description and replies recorded in packet-python and libcloud.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlencode

from hybrid_drivers.sandbox import packet_catalogue as catalogue
from hybrid_drivers.sandbox.machines import MachineAddresses
from hybrid_drivers.sandbox.packet_order import PacketOrder
from hybrid_drivers.sandbox.unit import State, Unit

Device = Unit[PacketOrder]
Item = TypeVar("Item")

WORDS: Mapping[State, str] = {
    State.QUEUED: "queued",
    State.PROVISIONING: "provisioning",
    State.BOOTING: "provisioning",
    State.ACTIVE: "active",
    State.STOPPING: "powering_off",
    State.STOPPED: "inactive",
    State.STARTING: "powering_on",
    State.REINSTALLING: "reinstalling",
    State.FAILED: "failed",
    State.DELETING: "deprovisioning",
    State.GONE: "deprovisioning",  # a list that lags still shows it so
}
_PERCENT = {State.QUEUED: 0.0, State.PROVISIONING: 40.0, State.BOOTING: 80.0, State.REINSTALLING: 40.0}


def timestamp(seconds: float) -> str:
    """Write unix seconds as the API does."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def device(unit: Device, project: str, root_password: str) -> dict[str, object]:
    """Describe one device in full; the real API shows user-data and, at first, the root password too."""
    order = unit.order
    facility = order.facility or next(key for key, metro in catalogue.FACILITIES.items() if metro == order.place)
    return {
        "id": unit.id,
        "short_id": unit.id[:8],
        "hostname": order.hostname,
        "description": order.description or None,
        "state": WORDS[unit.state],
        "tags": list(order.tags),
        "customdata": dict(order.customdata),
        "billing_cycle": order.billing_cycle,
        "user": "root",
        "locked": order.locked,
        "bonding_mode": 5,
        "created_at": timestamp(unit.created),
        "updated_at": timestamp(unit.created),
        "provisioning_percentage": _PERCENT.get(unit.state, 100.0),
        "operating_system": catalogue.system_view(order.operating_system),
        "plan": catalogue.PLANS[order.plan].view,
        "metro": catalogue.metro_view(order.place),
        "facility": catalogue.facility_view(facility),
        "project": {"href": f"/projects/{project}"},
        "project_lite": {"href": f"/projects/{project}"},
        "ssh_keys": [],
        "volumes": [],
        "network_ports": [],
        "ip_addresses": addresses(unit),
        "spot_instance": order.spot,
        "spot_price_max": order.max_price,
        "termination_time": _ends(unit),
        "hardware_reservation": {"href": f"/hardware-reservations/{order.reservation}"} if order.reservation else None,
        "userdata": order.user_data,
        "root_password": root_password if unit.state is State.ACTIVE else None,
        "href": f"/devices/{unit.id}",
    }


def _ends(unit: Device) -> str | None:
    when = unit.notice.ends if unit.notice else unit.order.termination_time
    return None if when is None else timestamp(when)


def addresses(unit: Device) -> list[dict[str, object]]:
    """Describe the device's addresses: none while it is queued, then public v4, public v6 and private v4."""
    return [] if unit.state is State.QUEUED else _addresses(unit.id, unit.addresses, unit.created)


@lru_cache(maxsize=4096)  # lists of a thousand devices are asked for again and again
def _addresses(device_id: str, own: MachineAddresses, created: float) -> list[dict[str, object]]:
    # 2001:db8::/32 is for documentation (RFC 3849): nobody reaches it; the last bits keep it different per device
    v6 = str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8::")) + (int(device_id[:8], 16) << 1) + 1))
    shown = [_address(device_id, created, own.public_v4, public=True, prefix=own.prefix, gateway=own.gateway)]
    shown.append(_address(device_id, created, v6, public=True, prefix=127))
    if own.private_v4:
        shown.append(_address(device_id, created, own.private_v4, public=False, prefix=own.prefix))
    return shown


def _address(
    device_id: str, created: float, text: str, *, public: bool, prefix: int, gateway: str = ""
) -> dict[str, object]:
    network = ipaddress.ip_interface(f"{text}/{prefix}").network
    identifier = catalogue.fixed_id("assignment", f"{device_id}/{text}")
    return {
        "id": identifier,
        "address": text,
        "address_family": network.version,
        "cidr": prefix,
        "netmask": str(network.netmask),
        "network": str(network.network_address),
        "gateway": gateway or str(network[0 if network.num_addresses <= 2 else 1]),
        "public": public,
        "management": True,
        "manageable": True,
        "enabled": True,
        "global_ip": None,
        "tags": [],
        "created_at": timestamp(created),
        "assigned_to": {"href": f"/devices/{device_id}"},
        "href": f"/ips/{identifier}",
    }


def page(
    key: str, items: Sequence[Item], view: Callable[[Item], object], path: str, query: Mapping[str, str]
) -> dict[str, object]:
    """Show one page of ``items``: ``per_page`` (10, at most 1000) of them, with the ``meta`` to go on."""
    size = min(_number(query.get("per_page"), 10), 1000)
    last = max(1, -(-len(items) // size))
    current = _number(query.get("page"), 1)

    def link(number: int) -> dict[str, str]:
        return {"href": f"{path}?{urlencode({**query, 'page': str(number)})}"}

    return {
        key: [view(one) for one in items[(current - 1) * size : current * size]],
        "meta": {
            "total": len(items),
            "current_page": current,
            "last_page": last,
            "first": link(1),
            "self": link(current),
            "last": link(last),
            "previous": link(current - 1) if current > 1 else None,
            "next": link(current + 1) if current < last else None,
        },
    }


def _number(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isascii() and text.isdigit() else default


def capacity(room: Callable[[str, str], int | None], *, metros: bool) -> dict[str, object]:
    """Describe how much is free, by metro or by facility, then by plan."""
    places = {code: code for code in catalogue.METROS} if metros else catalogue.FACILITIES
    return {
        "capacity": {
            code: {plan: _level(room(plan, metro)) for plan in catalogue.PLANS} for code, metro in places.items()
        }
    }


def _level(left: int | None) -> dict[str, object]:
    if left is None:
        return {"level": "normal", "servers": "100+"}
    if left == 0:
        return {"level": "unavailable", "servers": 0}
    return {"level": "critical" if left == 1 else "limited", "servers": f"{left}+"}
