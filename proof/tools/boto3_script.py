"""A script that keeps one machine with boto3, run by a venv that has it: as ``libcloud_script.py``.

Calls are those of boto3's documentation ("Amazon EC2 examples"); its default retries are on ("Retries": legacy mode,
five attempts), and botocore fills in a ClientToken for each call of ``run_instances``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import boto3


def main() -> None:
    """Do what the arguments say; any failure ends with a traceback, as in most such scripts."""
    action, name, note = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    ec2 = boto3.client(
        "ec2",
        endpoint_url=os.environ["ENDPOINT"],
        region_name=os.environ["REGION"],
        aws_access_key_id=os.environ["ACCESS"],
        aws_secret_access_key=os.environ["SECRET"],
    )
    told = ec2.describe_instances(
        Filters=[
            {"Name": "tag:Name", "Values": [name]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
    )["Reservations"]
    found = [one["InstanceId"] for part in told for one in part["Instances"]]
    if action == "remove":
        if found:
            ec2.terminate_instances(InstanceIds=found)
        note.unlink(missing_ok=True)
        return
    if not found:
        made = ec2.run_instances(
            ImageId=os.environ["IMAGE"],
            InstanceType="c5.metal",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )
        found = [made["Instances"][0]["InstanceId"]]
    if os.environ.get("DIE"):
        os._exit(9)
    note.write_text(found[0])


main()
