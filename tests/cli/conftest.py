"""Phones for the verbs that need one."""

from tests.support.phone.fixtures import adb_environment, adb_server, make_phone, phone

__all__ = ["adb_environment", "adb_server", "make_phone", "phone"]
