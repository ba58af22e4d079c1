from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_drivers.sandbox import sigv4
from hybrid_drivers.sandbox.http_server import Request

VECTORS = json.loads((Path(__file__).parents[2] / "data/ec2/sigv4-vectors.json").read_text())


def signed(vector: dict[str, Any], **changes: str) -> Request:
    told = {"key": VECTORS["access_key_id"], "region": "us-east-1", "signature": vector["signature"], **changes}
    names = ";".join(sorted(vector["headers"]))
    scope = f"{told['key']}/20150830/{told['region']}/service/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={told['signature']}"
    return Request(
        method=vector["method"],
        target=vector["target"],
        path="/",
        query={},
        headers={**vector["headers"], "authorization": header},
        body=vector["body"].encode(),
    )


def check(request: Request, secret: str = VECTORS["secret_access_key"]) -> None:
    sigv4.check(request, VECTORS["access_key_id"], secret, VECTORS["region"])


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda one: str(one["name"]))
def test_published_signatures_are_accepted_and_others_are_not(vector: dict[str, Any]) -> None:
    check(signed(vector))
    with pytest.raises(sigv4.BadSignature, match="does not match"):
        check(signed(vector), secret="another")
    with pytest.raises(sigv4.BadSignature, match="does not match"):
        check(signed({**vector, "body": "changed"}))
    with pytest.raises(sigv4.BadSignature, match="does not match"):
        check(signed({**vector, "target": "/?changed=1"}))
    with pytest.raises(sigv4.BadSignature, match="not known"):
        check(signed(vector, key="AKIDOTHER"))
    with pytest.raises(sigv4.BadSignature, match="scoped to eu-west-1"):
        check(signed(vector, region="eu-west-1"))


def test_unsigned_requests_are_refused() -> None:
    request = Request(method="POST", target="/", path="/", query={}, headers={}, body=b"")
    with pytest.raises(sigv4.BadSignature, match="no AWS4-HMAC-SHA256 signature"):
        check(request)
