"""Checking an AWS Signature Version 4 on a request, as the service does.

Source: AWS documentation, "Create a signed AWS API request" (canonical request, string to sign, signing key).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote, urlsplit

from hybrid_drivers.sandbox.http_server import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request),\s*SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


class BadSignature(Exception):
    """The request is not signed by someone we know; the text says why."""


def check(request: Request, access_key_id: str, secret_access_key: str, region: str) -> None:
    """Accept the request only when that key signed it for that region; raises BadSignature."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if not found:
        raise BadSignature("the request carries no AWS4-HMAC-SHA256 signature")
    if not hmac.compare_digest(found["key"], access_key_id):
        raise BadSignature("the access key is not known")
    if found["region"] != region:
        raise BadSignature(f"the credential is scoped to {found['region']}, not {region}")
    expected = _signature(request, found, secret_access_key)
    if not hmac.compare_digest(expected, found["signature"]):
        raise BadSignature("the signature does not match the request")


def _signature(request: Request, told: re.Match[str], secret: str) -> str:
    digest = hashlib.sha256(_canonical(request, told["signed"]).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), told["scope"], digest])
    key = b"AWS4" + secret.encode()
    for part in (told["day"], told["region"], told["service"], "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _canonical(request: Request, signed: str) -> str:
    parts = urlsplit(request.target)
    pairs = sorted((_quoted(k), _quoted(v)) for k, v in parse_qsl(parts.query, keep_blank_values=True))
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed.split(";")]
    return "\n".join(
        [
            request.method,
            parts.path or "/",
            "&".join(f"{k}={v}" for k, v in pairs),
            "".join(headers),
            signed,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
