"""How EC2 shows instances, as values for :func:`hybrid_drivers.sandbox.ec2_wire.answer`.

Facts: Amazon EC2 API reference (Instance, InstanceState, StateReason); the console text is what cloud-init's
``write-ssh-key-fingerprints`` prints.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox.ec2_order import InstanceOrder
from hybrid_drivers.sandbox.unit import State, Unit
from hybrid_drivers.sandbox.user_data import host_key

Instance = Unit[InstanceOrder]

WORDS: Mapping[State, str] = {
    State.QUEUED: "pending",
    State.PROVISIONING: "pending",
    State.BOOTING: "pending",
    State.ACTIVE: "running",
    State.STOPPING: "stopping",
    State.STOPPED: "stopped",
    State.STARTING: "pending",
    State.REINSTALLING: "pending",
    State.FAILED: "terminated",
    State.DELETING: "shutting-down",
    State.GONE: "terminated",
}
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_WITH_PUBLIC_ADDRESS = (State.BOOTING, State.ACTIVE, State.STARTING)


def state(word: str) -> dict[str, object]:
    """Describe a state by its word."""
    return {"code": CODES[word], "name": word}


def timestamp(seconds: float) -> str:
    """Write unix seconds as EC2 does."""
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Describe tags."""
    return [{"key": key, "value": value} for key, value in sorted(values.items())]


def public_address(unit: Instance) -> str | None:
    """Return the public address; it comes only while the instance starts and goes when it stops."""
    return (unit.addresses.public_v4 or None) if unit.state in _WITH_PUBLIC_ADDRESS else None


def private_address(unit: Instance) -> str | None:
    """Return the private address; a terminated instance has none. Machines with one address only show that."""
    over = unit.state in (State.FAILED, State.GONE)
    return None if over else unit.addresses.private_v4 or unit.addresses.public_v4 or None


def request_id(unit: Instance) -> str:
    """Return the id of the request that a spot instance came of."""
    return f"sir-{unit.id[-8:]}"


def instance(unit: Instance) -> dict[str, object]:
    """Describe one instance."""
    order, public, private = unit.order, public_address(unit), private_address(unit)
    return {
        "instanceId": unit.id,
        "imageId": order.image,
        "instanceState": state(WORDS[unit.state]),
        "privateDnsName": f"ip-{private.replace('.', '-')}.{order.place[:-1]}.compute.internal" if private else "",
        "dnsName": f"ec2-{public.replace('.', '-')}.{order.place[:-1]}.compute.amazonaws.com" if public else "",
        "reason": _reason(unit).get("message", ""),
        "keyName": order.key_name or None,
        "amiLaunchIndex": order.launch_index,
        "instanceType": order.plan,
        "launchTime": timestamp(unit.created),
        "placement": {"availabilityZone": order.place, "groupName": "", "tenancy": "default"},
        "monitoring": {"state": "disabled"},
        "subnetId": order.subnet if private else None,
        "vpcId": catalogue.VPC if private else None,
        "privateIpAddress": private,
        "ipAddress": public,
        "sourceDestCheck": True,
        "groupSet": [{"groupId": one, "groupName": one} for one in order.groups],
        "stateReason": _reason(unit) or None,
        "architecture": "x86_64",
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/xvda",
        "virtualizationType": "hvm",
        "clientToken": order.client_token,
        "tagSet": tags(order.tags),
        "hypervisor": "xen",
        "instanceLifecycle": "spot" if order.spot else None,
        "spotInstanceRequestId": request_id(unit) if order.spot else None,
        "networkInterfaceSet": [_interface(unit, private, public)] if private else [],
        "ebsOptimized": False,
        "metadataOptions": {
            "state": "applied",
            "httpTokens": order.metadata.get("HttpTokens", "required"),
            "httpPutResponseHopLimit": order.metadata.get("HttpPutResponseHopLimit", "2"),
            "httpEndpoint": order.metadata.get("HttpEndpoint", "enabled"),
        },
    }


def reservation(units: list[Instance]) -> dict[str, object]:
    """Describe the instances of one reservation."""
    return {
        "reservationId": units[0].order.reservation,
        "ownerId": catalogue.ACCOUNT,
        "groupSet": [],
        "instancesSet": [instance(unit) for unit in units],
    }


def change(unit: Instance, before: str, after: str) -> dict[str, object]:
    """Describe what a start, stop or terminate call did."""
    return {"instanceId": unit.id, "currentState": state(after), "previousState": state(before)}


def console(unit: Instance) -> str | None:
    """Return the console text in base64 once the instance has booted: boot noise and its SSH host key."""
    if not unit.switched_on:
        return None
    key = host_key(unit.user_data)
    lines = ["[    0.000000] Linux version 6.1.0 (sandbox)", "cloud-init: Cloud-init v. 22.4.2 running 'modules:final'"]
    if key:
        lines += [
            "-----BEGIN SSH HOST KEY KEYS-----",
            f"{' '.join(key.split()[:2])} root@{unit.id}",
            "-----END SSH HOST KEY KEYS-----",
        ]
    lines.append(f"{unit.id} login: ")
    return base64.b64encode("\r\n".join(lines).encode()).decode()


def _reason(unit: Instance) -> dict[str, str]:
    if unit.failure:
        code = unit.failure if unit.failure.startswith(("Server.", "Client.")) else "Server.InternalError"
        why = "Spot instance termination" if unit.notice else "Internal error on launch"
        return {"code": code, "message": f"{code}: {why}"}
    if unit.state in (State.DELETING, State.GONE, State.STOPPING, State.STOPPED):
        code = "Client.UserInitiatedShutdown"
        return {"code": code, "message": f"{code}: User initiated shutdown"}
    return {}


def _interface(unit: Instance, private: str | None, public: str | None) -> dict[str, object]:
    interface = f"eni-{unit.id.removeprefix('i-')}"
    association = {"publicIp": public, "ipOwnerId": "amazon"} if public else None
    return {
        "networkInterfaceId": interface,
        "subnetId": unit.order.subnet,
        "vpcId": catalogue.VPC,
        "ownerId": catalogue.ACCOUNT,
        "status": "in-use",
        "privateIpAddress": private,
        "sourceDestCheck": True,
        "groupSet": [{"groupId": one, "groupName": one} for one in unit.order.groups],
        "attachment": {"attachmentId": f"eni-attach-{interface[4:]}", "deviceIndex": 0, "status": "attached"},
        "association": association,
        "privateIpAddressesSet": [{"privateIpAddress": private, "primary": True, "association": association}],
    }
