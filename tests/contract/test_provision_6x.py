"""A 6.x template of several files, made on the sandbox at EC2's simulator, and taken away again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.contract.test_provision_examples import lab_of
from tests.support.lab import no_secret_came_out
from tests.support.oneprovision import created, oneprovision, shown

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator

FOLDER = Path(__file__).parents[1] / "data/provision/dialects/edge"


def test_a_6x_edge_cluster(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    template = tmp_path / "aws.yml"
    text = template.read_text()
    template.write_text(text.replace("name: 'edge'", "name: 'far'", 1))  # the sandbox has a cluster edge
    with lab_of("ec2") as lab:
        assert isinstance(lab.simulator, Ec2Simulator)
        lab.write_entry("aws", lab.entry())
        inputs = f"number_hosts=2,aws_ami_image={lab.simulator.image}"
        valid = oneprovision(lab, "validate", str(template))
        assert valid.returncode == 0, valid.stderr
        number = created(lab, str(template), "--batch", "--user-inputs", inputs)
        found = shown(lab, number)
        assert (found["STATE"], found["PROBLEM"]) == ("RUNNING", "")
        assert [one["STATE"] for one in found["HOSTS"]] == ["READY", "READY"]
        datastores = {one["NAME"]: one["ID"] for one in found["DATASTORES"]}
        assert list(datastores) == ["far-image", "far-system", "default", "files"]
        system = lab.objects.get("datastore", datastores["far-system"])
        assert system.template.text("REPLICA_HOST") == found["HOSTS"][0]["ADDRESS"]
        public = lab.objects.get("vnet", found["NETWORKS"][0]["ID"])
        assert public.template.text("VN_MAD") == "hybrid"
        assert [(one["IPAM_MAD"], one["SIZE"]) for one in public.address_ranges] == [("ec2", "1")]
        assert len(list(lab.simulator.blocks)) == 1
        assert oneprovision(lab, "ip", "add", number, "--amount", "2").returncode == 0
        assert len(list(lab.simulator.blocks)) == 3
        done = oneprovision(lab, "delete", number)
        assert done.returncode == 0, done.stderr
        assert (lab.oned.hosts(), lab.alive(), lab.oned.documents(703), list(lab.simulator.blocks)) == ([], [], [], [])
        no_secret_came_out(lab)
