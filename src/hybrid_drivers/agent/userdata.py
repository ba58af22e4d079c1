"""The user-data document handed to a new machine: its SSH host key and who may log in.

cloud-init's ``ssh_keys`` module installs the host key before sshd answers for the first time, so the very first
connection can be pinned (https://cloudinit.readthedocs.io/en/latest/reference/modules.html, "SSH"). The key is
replaced right after first contact, since the provider can read user-data.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import yaml


def build(*, host_private: str, host_public: str, authorized: Sequence[str], operators: str = "") -> str:
    """Return a cloud-config document; ``operators`` is the user-data the operator gave, kept as a second part."""
    document = {
        "disable_root": False,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_private, "ed25519_public": host_public},
        "ssh_authorized_keys": list(authorized),
    }
    ours = "#cloud-config\n" + yaml.safe_dump(document, sort_keys=True, default_flow_style=False)
    if not operators:
        return ours
    # The boundary is fixed: the same request must give the same bytes, or an idempotent create is refused.
    boundary = "onehybrid-user-data"
    parts = MIMEMultipart(boundary=boundary)
    parts.attach(MIMEText(ours, "cloud-config", "utf-8"))
    theirs = _plain(operators)
    kind = "cloud-config" if theirs.startswith("#cloud-config") else "x-shellscript"
    parts.attach(MIMEText(theirs, kind, "utf-8"))
    return parts.as_string()


def _plain(text: str) -> str:
    """Undo base64 when that is what the operator gave (5.12 takes both)."""
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text
    return decoded if decoded.startswith("#") else text
