"""Phones for the tests of this folder, and the runners of tests/device."""

from tests.device.conftest import arm64_onnx_runner, arm64_runner, host_onnx_runner, host_runner
from tests.support.phone.fixtures import adb_environment, adb_server, make_phone, phone

__all__ = [
    "adb_environment",
    "adb_server",
    "arm64_onnx_runner",
    "arm64_runner",
    "host_onnx_runner",
    "host_runner",
    "make_phone",
    "phone",
]
