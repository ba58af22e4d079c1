"""User-data: read back by an ordinary YAML and MIME reader, and the same each time."""

from __future__ import annotations

import base64
import email

import yaml

from hybrid_drivers.agent import userdata

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


def build(operators: str = "") -> str:
    return userdata.build(
        host_private=PRIVATE, host_public="ssh-ed25519 AAAA", authorized=["ssh-rsa BBBB"], operators=operators
    )


def test_it_is_a_cloud_config_with_host_key_and_login() -> None:
    text = build()
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert document["ssh_keys"] == {"ed25519_private": PRIVATE, "ed25519_public": "ssh-ed25519 AAAA"}
    assert document["ssh_authorized_keys"] == ["ssh-rsa BBBB"]
    assert document["ssh_deletekeys"] is True
    assert document["ssh_pwauth"] is False


def test_the_same_request_gives_the_same_bytes() -> None:
    assert build() == build()
    assert build("#!/bin/sh\ntrue\n") == build("#!/bin/sh\ntrue\n")


def parts(text: str) -> dict[str, str]:
    message = email.message_from_string(text)
    assert message.is_multipart()
    found = {}
    for part in message.walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            found[part.get_content_type()] = payload.decode()
    return found


def test_the_operators_script_goes_along() -> None:
    found = parts(build("#!/bin/sh\necho ü\n"))
    assert found["text/x-shellscript"] == "#!/bin/sh\necho ü\n"
    assert "ssh_keys" in yaml.safe_load(found["text/cloud-config"])


def test_what_the_operator_gave_in_base64_is_decoded() -> None:
    script = "#!/bin/sh\ntrue\n"
    assert parts(build(base64.b64encode(script.encode()).decode()))["text/x-shellscript"] == script
