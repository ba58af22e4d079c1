"""A front-end stand-in without drivers, the provider entries on it, and what oned was asked for them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result
from tests.support.providers import CANARY, FakeClock, SwiftClock

from hybrid_drivers.config import Location
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned, read_session
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.provision.directory import ProviderDirectory
from hybrid_drivers.sandbox.frontend import Frontend

PACKET = f"driver: packet\ntoken: {CANARY}\nproject: p1\ndefaults: {{METRO: am}}\n"
AWS_6 = f"""\
name: aws-frankfurt
description: Edge cluster in AWS Frankfurt
provider: aws
plain: {{image: AWS, location_key: region, provision_type: metal}}
connection:
  access_key: AKIAEXAMPLE
  secret_key: {CANARY}
  region: eu-central-1
inputs:
  - {{name: aws_instance_type, type: list, options: [c5.metal, m5.metal]}}
"""
EQUINIX_6 = f"""\
name: equinix-amsterdam
provider: equinix
connection:
  token: {CANARY}
  project: p1
  metro: am
"""


class CountingOned(Oned):
    """Notes every call; for those that ask for a secret, with ``!``."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.asked: list[str] = []

    def _send(self, method: str, what: str, args: tuple[object, ...]) -> Any:
        self.asked.append(method + ("!" if True in args else ""))
        return super()._send(method, what, args)


class ProviderSite:
    """The front-end and what tests do on it."""

    def __init__(self, frontend: Frontend, folder: Path) -> None:
        self.frontend, self.scratch = frontend, folder
        self.location = Location.from_environment(frontend.environment)
        self.oned = CountingOned(self.location.endpoint, read_session(self.location))
        self.objects = Objects(self.oned)
        self.clock = FakeClock()
        self.directory = ProviderDirectory(self.oned, self.location, self.clock)

    def file(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file of ``providers.d``."""
        return self._write(self.directory.folder / f"{name}.yaml", text, mode)

    def draft(self, text: str, name: str = "draft.yaml", mode: int = 0o600) -> Path:
        """Write a file to be handed to ``create``."""
        return self._write(self.scratch / name, text, mode)

    def document(self, name: str, body: str, kind: int = 702, **extra: Mapping[str, str]) -> int:
        """Make a document past our code."""
        return self.oned.allocate_document(name, body, kind, Template(extra.items()))

    def host(self, name: str, cluster: int = 0, **provision: str) -> int:
        """Make a host with such a PROVISION; no driver runs for it."""
        made = self.oned.allocate_host(name, "provision", "kvm", cluster)
        if provision:
            self.oned.update_host(made, Template([("PROVISION", provision)]))
        return made

    def counted(self) -> list[str]:
        """Return what oned was asked since the last look."""
        asked, self.oned.asked = self.oned.asked, []
        return asked

    def run(self, *words: str, typed: str | None = None) -> Result:
        """Run ``oneprovider`` with these words."""
        from hybrid_drivers.cli.provider.group import provider

        before = dict(os.environ)
        clock = patch("hybrid_drivers.cli.provider.front_end.SystemClock", SwiftClock)  # waits cost nothing
        with clock, patch("hybrid_drivers.agent.logs._secrets", ()):  # what another test hid is no secret here
            result = CliRunner(env=self.frontend.environment).invoke(provider, words, input=typed)
        assert dict(os.environ) == before
        return result

    def ok(self, *words: str, typed: str | None = None) -> str:
        """Run ``oneprovider``, which must succeed, and return what it printed on both channels."""
        result = self.run(*words, typed=typed)
        assert result.exit_code == 0, result.output
        assert CANARY not in result.output
        return result.output

    def refused(self, *words: str, typed: str | None = None) -> str:
        """Run ``oneprovider``, which must fail with a sentence and nothing else, and return that."""
        result = self.run(*words, typed=typed)
        assert result.exit_code == 255, result.output
        assert isinstance(result.exception, SystemExit)
        assert CANARY not in result.output
        assert result.output.startswith("Error: ")
        return result.output.removeprefix("Error: ").rstrip("\n")

    def _write(self, path: Path, text: str, mode: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


@contextmanager
def provider_site(folder: Path) -> Iterator[ProviderSite]:
    with Frontend(folder / "one", repository=None) as frontend:
        yield ProviderSite(frontend, folder)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ProviderSite]:
    with provider_site(tmp_path) as one:
        yield one
