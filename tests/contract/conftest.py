"""oned, as the contract tests see it: the stand-in, and a real one when ONE_XMLRPC and ONE_AUTH name it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from tests.support.ansible_site import site, temporary  # noqa: F401 - fixtures
from tests.support.oned_contract import Undo
from tests.support.sshd import sshd  # noqa: F401 - a fixture

from hybrid_drivers.config import Location
from hybrid_drivers.errors import NoSuchObject
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.sandbox.frontend.frontend import Frontend

REAL = "ONE_XMLRPC" in os.environ and "ONE_AUTH" in os.environ


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        yield started


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="ONE_XMLRPC and ONE_AUTH name no oned")),
    ]
)
def location(request: pytest.FixtureRequest) -> Location:
    if request.param == "real":
        return Location.from_environment(os.environ)
    return Location.from_environment(request.getfixturevalue("front_end").environment)


@pytest.fixture
def oned(location: Location) -> Oned:
    return Oned.from_location(location)


@pytest.fixture
def undo() -> Iterator[Undo]:
    """Collects what has to be deleted; things that are gone already are fine."""
    steps: list[Callable[[], object]] = []
    yield steps.append
    for step in reversed(steps):
        try:
            step()
        except NoSuchObject:
            continue


@pytest.fixture
def name() -> str:
    return f"contract-{uuid.uuid4().hex[:12]}"
