"""The part of ``#cloud-config`` user-data that sandbox machines apply, as cloud-init does.

Source of the keys: cloud-init's module reference, "SSH" and "Users and Groups"
(https://cloudinit.readthedocs.io/en/latest/reference/modules.html). Other keys are ignored, as an image without that
module ignores them.
"""

from __future__ import annotations

import email
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

HEADER = "#cloud-config"


@dataclass(frozen=True, kw_only=True)
class CloudConfig:
    """What a machine does with its user-data. Empty keys mean: the machine makes its own host key, lets nobody in."""

    host_private_key: str = field(default="", repr=False)  # OpenSSH text
    host_public_key: str = ""  # "ssh-ed25519 AAAA..."
    authorized_keys: tuple[str, ...] = ()
    disable_root: bool = False
    problem: str = ""  # why the document was not understood; the machine starts without it, as a real one does


def parse(user_data: str) -> CloudConfig:
    """Read user-data. A document that is not cloud-config is ignored, a broken one too, with ``problem`` saying why."""
    if not user_data.strip():
        return CloudConfig()
    parts = _parts(user_data)
    if not parts:
        return CloudConfig(problem=f"the user-data does not start with {HEADER}")
    document: dict[object, object] = {}
    for part in parts:
        try:
            read = yaml.safe_load(part)
        except yaml.YAMLError as exc:
            place = getattr(exc, "problem_mark", None)  # the text of the error could quote a key
            return CloudConfig(problem=f"the user-data is not YAML (line {place.line + 1 if place else '?'})")
        if not isinstance(read, Mapping):
            return CloudConfig(problem="the user-data is not a YAML mapping")
        document = {**read, **document}  # cloud-init's default: what an earlier part says stays
    keys = document.get("ssh_keys")
    keys = keys if isinstance(keys, Mapping) else {}
    private = str(keys.get("ed25519_private") or "").strip()
    listed = document.get("ssh_authorized_keys")
    return CloudConfig(
        host_private_key=f"{private}\n" if private else "",
        host_public_key=str(keys.get("ed25519_public") or "").strip(),
        authorized_keys=_lines(listed),
        disable_root=bool(document.get("disable_root", False)),
    )


def _parts(user_data: str) -> list[str]:
    """Return the cloud-config documents: the whole text, or the parts of that type of a MIME message."""
    if user_data.lstrip().startswith(HEADER):
        return [user_data]
    message = email.message_from_string(user_data)
    if not message.is_multipart():
        return []
    wanted = [part for part in message.walk() if part.get_content_type() == "text/cloud-config"]
    return [bytes(part.get_payload(decode=True)).decode(errors="replace") for part in wanted]


def _lines(listed: object) -> tuple[str, ...]:
    if isinstance(listed, str):
        return tuple(line.strip() for line in listed.splitlines() if line.strip())
    if isinstance(listed, list):
        return tuple(str(one).strip() for one in listed if str(one).strip())
    return ()
