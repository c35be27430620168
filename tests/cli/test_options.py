"""Options that commands share."""

from __future__ import annotations

import argparse

import pytest

from llamapy import UnsupportedError
from llamapy.cli import _options
from llamapy.sampling.options import DEFAULTS


def parsed(*words, adders=(_options.add_sampling, _options.add_prompt)):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for add in adders:
        add(parser)
    return parser.parse_args(words)


def test_defaults_are_those_of_the_sampler():
    for name, _, _, default, _ in _options.SAMPLING:
        assert DEFAULTS[name] == default, name


def test_only_what_was_given_is_passed_on():
    assert _options.sampling(parsed()) == {}
    words = ["--temp", "0", "--top-k", "7", "-s", "3", "-l", "5-inf", "-l", "6+1.5"]
    assert _options.sampling(parsed(*words)) == {
        "temperature": 0.0,
        "top_k": 7,
        "seed": 3,
        "logit_bias": {5: float("-inf"), 6: 1.5},
    }
    assert _options.sampling(parsed("--seed", "-1")) == {}
    breakers = ["--dry-sequence-breaker", "\\n", "--dry-sequence-breaker", "none"]
    assert _options.sampling(parsed(*breakers)) == {"dry_sequence_breakers": ("\n",)}
    assert _options.sampling(parsed("--samplers", "top_k;temp")) == {"samplers": "top_k;temp"}
    with pytest.raises(UnsupportedError, match="two orders"):
        _options.sampling(parsed("--samplers", "top_k", "--sampler-seq", "k"))


def test_every_option_makes_a_sampler():
    from llamapy import Sampler

    for _, flags, kind, default, _ in _options.SAMPLING:
        value = kind(2) if default is None else default
        for flag in flags:
            Sampler.from_options(**_options.sampling(parsed(flag, str(value))))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"a\nb\tc\r", "a\nb\tc\r"),
        (r"\\n \" \'", "\\n \" '"),
        (r"\x41\xe9\xg", "A\xe9\\xg"),
        (r"C:\dir\ end" + "\\", r"C:\dir\ end" + "\\"),
    ],
)
def test_escapes(written, text):
    assert _options.unescaped(written, parsed()) == text
    assert _options.unescaped(written, parsed("--no-escape")) == written


def test_constraints(tmp_path):
    def constraint(*words):
        return _options.constraint(parsed(*words, adders=(_options.add_constraint,)))

    assert constraint() == {}
    assert constraint("--grammar", "root ::= [a]") == {"grammar": "root ::= [a]"}
    assert constraint("-j", '{"type": "object"}') == {"schema": {"type": "object"}}
    (tmp_path / "g").write_text("root ::= [b]")
    assert constraint("--grammar-file", str(tmp_path / "g")) == {"grammar": "root ::= [b]"}
    with pytest.raises(UnsupportedError, match="g is no JSON"):
        constraint("-jf", str(tmp_path / "g"))
    (tmp_path / "g").write_bytes(b"\xff")
    with pytest.raises(UnsupportedError, match="not UTF-8"):
        constraint("--grammar-file", str(tmp_path / "g"))
    with pytest.raises(SystemExit):
        constraint("--grammar", "a", "-j", "b")


def test_how_models_are_loaded():
    def add_context(parser):
        _options.add_context(parser, "the context")

    def options(*words):
        adders = (_options.add_device, add_context)
        return _options.load_options(parsed(*words, adders=adders))

    assert options() == {"device": "auto", "kv_type": "f16"}
    assert options("-c", "0", "-ngl", "all")["n_gpu_layers"] == -1
    words = ["-c", "64", "-t", "3", "-dev", "numpy", "-ngl", "2", "--precision", "float32"]
    assert options(*words, "-ctk", "q8_0", "-ctv", "q8_0") == {
        "device": "numpy",
        "threads": 3,
        "n_gpu_layers": 2,
        "precision": "float32",
        "n_ctx": 64,
        "kv_type": "q8_0",
    }
    assert options("--cache-type", "q4_0")["kv_type"] == "q4_0"
    with pytest.raises(UnsupportedError, match="--cache-type q8_0"):
        options("-ctk", "q8_0")
