"""What tests of several files here need."""

from __future__ import annotations

from tests.support.ansible_site import site, temporary  # noqa: F401 - fixtures
from tests.support.sshd import sshd  # noqa: F401 - a fixture
