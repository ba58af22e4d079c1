"""A stand-in for oned and monitord of OpenNebula 7.4, as far as this project talks to them.

``Frontend`` runs in this process: real XML-RPC over HTTP, real executables, monitord's real port. ``main`` is
``python -m hybrid_drivers.sandbox frontend``.
"""

from hybrid_drivers.sandbox.frontend.cli import main
from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.frontend import Frontend
from hybrid_drivers.sandbox.frontend.knobs import Knobs, RaftState
from hybrid_drivers.sandbox.frontend.store import Store

__all__ = ["DriverRun", "Frontend", "Knobs", "RaftState", "Store", "main"]
