"""The pages of the command line say what its `--help` says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from llamapy.cli import _commands, main

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="runs in a checkout")


@pytest.fixture(scope="module")
def command_pages():
    spec = importlib.util.spec_from_file_location("command_pages", DOCS / "command_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_not_stale(command_pages):
    made = command_pages.pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "cli").glob("*.md")}
    assert there == made, "run: python docs/command_pages.py"


def test_every_option_of_every_command_is_there(command_pages, capsys):
    for name in _commands():
        page = command_pages.page(name)
        assert main([name, "--help"]) == 0
        options = [
            word.rstrip(",")
            for line in capsys.readouterr().out.splitlines()
            if line.startswith("  -")
            for word in line.split("  ")[1].split()
            if word.startswith("-")
        ]
        assert "--help" in options
        for option in set(options) - {"-h", "--help"}:
            assert f"`{option}" in page, f"{option} of {name}"
