"""Fixtures of several files here."""

from tests.support.installer import checkout, one  # noqa: F401 - fixtures
