"""What the scanner cannot walk is refused, and never read as something else."""

from __future__ import annotations

import pytest

from llamapy import TokenizerError
from llamapy.tokenizers.scanner import scanner

ODD = [
    r"\d+",
    r"\w",
    r"\bx",
    r"\p{Lu}",
    r"\p{",
    ".",
    "^a",
    "(?=a)",
    "(?<!a)b",
    "a+?",
    "a*+",
    "+a",
    "a{",
    "a{x}",
    "(a",
    "[a",
]


@pytest.mark.parametrize("pattern", ODD)
def test_odd_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(TokenizerError):
        scanner(pattern)
