"""BLOCKDEVICEMAPPING: disks in the syntax OpenNebula's EC2 driver took over from Amazon's first command line."""

from __future__ import annotations

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.attributes import truth

_FORM = "NAME=[SNAPSHOT]:[GiB]:[delete on termination]:[type[:iops]]:[encrypted], separated by spaces"


def block_devices(text: str) -> list[dict[str, object]]:
    """Return the disks for RunInstances: ``/dev/sda1=:100:true:gp3``, ``/dev/sdb=ephemeral0``, ``/dev/sdc=none``.

    Raises:
        ConfigError: a part is not of that form.
    """
    return [_device(part) for part in text.split()]


def _device(part: str) -> dict[str, object]:
    name, equals, value = part.partition("=")
    if not name or not equals or not value:
        raise ConfigError(f"BLOCKDEVICEMAPPING must be {_FORM}; '{part[:60]}' is not")
    if value == "none":
        return {"DeviceName": name, "NoDevice": ""}
    if value.startswith("ephemeral"):
        return {"DeviceName": name, "VirtualName": value}
    try:
        return {"DeviceName": name, "Ebs": _volume(value.split(":"))}
    except ValueError:
        raise ConfigError(f"BLOCKDEVICEMAPPING must be {_FORM}; '{part[:60]}' is not") from None


def _volume(fields: list[str]) -> dict[str, object]:
    if len(fields) > 6:
        raise ValueError
    snapshot, size, delete, kind = (fields + [""] * 4)[:4]
    rest = fields[4:]
    volume: dict[str, object] = {"DeleteOnTermination": truth(delete or "YES", "BLOCKDEVICEMAPPING")}
    if snapshot:
        volume["SnapshotId"] = snapshot
    if size:
        volume["VolumeSize"] = int(size)
    if kind:
        volume["VolumeType"] = kind
    if rest and rest[0].isdigit():
        volume["Iops"] = int(rest.pop(0))
    if rest and rest[0]:
        volume["Encrypted"] = rest[0] == "encrypted" or truth(rest[0], "BLOCKDEVICEMAPPING")
    return volume
