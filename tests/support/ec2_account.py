"""A user of the EC2 simulator, with boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.simulators import wait_for

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator

USER_DATA = "#cloud-config\nssh_keys: {ed25519_public: ssh-ed25519 AAAAC3Nza edge1}\n"


class Account:
    """A user of the simulator: boto3 without retries."""

    def __init__(self, simulator: Ec2Simulator, **changes: str) -> None:
        self.simulator = simulator
        settings = {
            "endpoint_url": simulator.url,
            "region_name": simulator.region,
            "aws_access_key_id": simulator.access_key_id,
            "aws_secret_access_key": simulator.secret_access_key,
            **changes,
        }
        config = Config(retries={"total_max_attempts": 1}, read_timeout=10, max_pool_connections=40)
        self.ec2: Any = boto3.client("ec2", config=config, **settings)  # type: ignore[call-overload] # one dict of texts

    def order(self, **changes: object) -> dict[str, object]:
        order = {"ImageId": self.simulator.image, "InstanceType": "c5.metal", "MinCount": 1, "MaxCount": 1, **changes}
        return {key: value for key, value in order.items() if value is not None}

    def run(self, **changes: object) -> str:
        return str(self.ec2.run_instances(**self.order(**changes))["Instances"][0]["InstanceId"])

    def get(self, instance: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return found

    def ids(self, **query: object) -> list[str]:
        reply = self.ec2.describe_instances(**query)
        return [one["InstanceId"] for group in reply["Reservations"] for one in group["Instances"]]

    def by(self, name: str, *values: str) -> list[str]:
        return self.ids(Filters=[{"Name": name, "Values": list(values)}])

    def until(self, instance: str, state: str) -> dict[str, Any]:
        wait_for(lambda: self.get(instance)["State"]["Name"] == state)
        return self.get(instance)

    def running(self, **changes: object) -> str:
        instance = self.run(**changes)
        self.until(instance, "running")
        return instance

    def terminate(self, instance: str) -> None:
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.until(instance, "terminated")


def refused(call: Callable[[], object]) -> tuple[str, int]:
    """Return the error code and HTTP status of a call that fails."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def tags(**values: str) -> list[dict[str, object]]:
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": one} for key, one in values.items()]}]
