"""Phones without a phone: a fake adbd that the real adb program talks to, and its toy shell."""

from tests.support.phone.device import ScriptedPhone
from tests.support.phone.faults import Faults
from tests.support.phone.server import AdbServer

__all__ = ["AdbServer", "Faults", "ScriptedPhone"]
