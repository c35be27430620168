"""Every operation on OpenCL gives what its definition gives."""

from __future__ import annotations

import pytest

from llamapy.backends.gpu import runtime
from llamapy.ops import OPERATIONS
from llamapy.testing import check_backend

BASES = sorted({name.partition(".")[0] for family in runtime.FAMILIES for name in family.KERNELS})
# formats of the default run: plain numbers, and blocks that caches have, too
FORMATS = ("F16", "Q8_0")


@pytest.mark.parametrize("name", BASES)
def test_kernels_agree_with_definitions(name, exact):
    report = check_backend(exact, [name], formats=FORMATS)
    assert report[0].kernels


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_all_operations_in_all_formats(name, exact):
    check_backend(exact, [name])
