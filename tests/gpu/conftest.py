"""The OpenCL device of these tests: PoCL, or whichever comes first."""

from __future__ import annotations

import pytest

from llamapy import backends
from llamapy.backends import opencl


@pytest.fixture(scope="session")
def gpu():
    if problem := opencl.problem():
        pytest.skip(problem)
    return backends.get("opencl")


@pytest.fixture(scope="session")
def exact():
    """The same, without rounding of activations."""
    if problem := opencl.problem():
        pytest.skip(problem)
    return backends.get("opencl", precision="float32")
