"""Samplers by option names: those of llama.cpp, of OpenAI's interface, and of GGUF files."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from .choosing import Draw
from .cutting import XTC, MinP, TopK, TopNSigma, TopP, Typical
from .infill import Infill
from .repeating import DRY, Penalties
from .reweighing import DynamicTemperature, LogitBias, Temperature
from .sampler import Sampler
from .stage import Stage
from .steering import AdaptiveP, Mirostat, Mirostat2

# options with llama.cpp's defaults
DEFAULTS: dict[str, Any] = {
    "logit_bias": {},
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "penalty_decay": 1.0,
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": 64,
    "dry_sequence_breakers": ("\n", ":", '"', "*"),
    "top_n_sigma": -1.0,
    "top_k": 40,
    "typical_p": 1.0,
    "top_p": 0.95,
    "min_p": 0.05,
    "xtc_probability": 0.0,
    "xtc_threshold": 0.1,
    "temperature": 0.8,
    "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0,
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "adaptive_target": -1.0,
    "adaptive_decay": 0.9,
    "min_keep": 0,
    "seed": None,
    "samplers": "llama.cpp",
}

OTHER_NAMES = {
    "temp": "temperature",
    "typ_p": "typical_p",
    "typical": "typical_p",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
    "repetition_penalty": "repeat_penalty",
    "penalty_freq": "frequency_penalty",
    "penalty_present": "presence_penalty",
    "mirostat_mode": "mirostat",
    "dry_breakers": "dry_sequence_breakers",
    "sequence": "samplers",
}

# orders that have a name; stages are written as llama.cpp's letters or names
ORDERS = {
    "llama.cpp": "edskypmxt",
    "temperature-first": "etkpmydsx",
}

STAGES = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "i": "infill",
    "a": "adaptive_p",
}
STAGE_NAMES = {
    **{name: name for name in STAGES.values()},
    **{name.replace("_", ""): name for name in STAGES.values()},
    "nucleus": "top_p",
    "temp": "temperature",
    "typ": "typ_p",
    "typical": "typ_p",
    "typical_p": "typ_p",
}

# the metadata that carries a model's own defaults
METADATA = "general.sampling."


def from_options(
    *, tokenizer: Any = None, metadata: Mapping[str, Any] | None = None, **options: Any
) -> Sampler:
    """A sampler made of options, in llama.cpp's order unless `samplers` says otherwise.

    `samplers` is the name of an order, letters, or a list of names. What is not given is as
    `metadata` says under general.sampling, and else as in llama.cpp. None is not given. The
    tokenizer is for stages that look at text: breakers of DRY, and infill.
    """
    values = {**DEFAULTS, **_known(_stored(metadata or {})), **_known(options)}
    stages = [*_bias(values["logit_bias"])]
    mirostat = values["mirostat"]
    if mirostat:
        choosing = _mirostat(mirostat, values)
        return Sampler([*stages, Temperature(float(values["temperature"])), choosing])
    names = _order(values["samplers"])
    stages += [MAKERS[name](values, tokenizer) for name in names]
    if "adaptive_p" not in names:
        if values["adaptive_target"] >= 0:
            stages.append(MAKERS["adaptive_p"](values, tokenizer))
        else:
            stages.append(Draw(values["seed"]))
    return Sampler(stages)


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their first names; what nobody knows is refused."""
    known = {}
    for name, value in options.items():
        option = OTHER_NAMES.get(name, name)
        if option not in DEFAULTS:
            near = difflib.get_close_matches(name, [*DEFAULTS, *OTHER_NAMES], 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UnsupportedError(
                f"there is no sampling option {name!r}{hint}: there are {', '.join(DEFAULTS)}"
            )
        if value is not None:
            _check_number(name, value, DEFAULTS[option])
            known[option] = value
    return known


def _check_number(name: str, value: Any, default: Any) -> None:
    """Refuse what is no number where one belongs."""
    if isinstance(default, int | float):
        is_number = isinstance(value, numbers.Real | np.number)
        if not is_number or math.isnan(value) or (type(default) is int and value != int(value)):
            kind = "whole number" if type(default) is int else "number"
            raise UnsupportedError(f"{name} is {value!r}: pass a {kind}, such as {default}")
        if OTHER_NAMES.get(name, name) == "repeat_penalty" and value <= 0:
            raise UnsupportedError(f"{name} is {value}, and logits are divided by it: pass 1 or so")


def _stored(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says; llama.cpp leaves alone what it does not know, and so do we."""
    found = {
        key.removeprefix(METADATA): metadata[key] for key in metadata if key.startswith(METADATA)
    }
    if "sequence" in found:
        found["sequence"] = [name for name in str(found["sequence"]).split(";") if name]
    return {k: v for k, v in found.items() if OTHER_NAMES.get(k, k) in DEFAULTS}


def _order(given: str | Iterable[str]) -> list[str]:
    """The names of stages in order."""
    if isinstance(given, str):
        given = ORDERS.get(given, given)
        given = given.split(";") if ";" in given or given in STAGE_NAMES else list(given)
    names = []
    for each in given:
        name = STAGES.get(each) or STAGE_NAMES.get(each.replace("-", "_"))
        if name is None:
            raise UnsupportedError(
                f"there is no stage {each!r}: write one of {', '.join(STAGES.values())}, or their "
                f"letters {''.join(STAGES)}; orders with a name are {', '.join(ORDERS)}"
            )
        names.append(name)
    return names


def _bias(given: Any) -> list[Stage]:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        bias = {int(token): float(amount) for token, amount in pairs}
    except (ValueError, TypeError):
        raise UnsupportedError(
            f"logit_bias is {given!r:.200}: pass a dict of numbers by the ids of tokens"
        ) from None
    if any(math.isnan(amount) for amount in bias.values()):
        raise UnsupportedError(f"logit_bias is {given!r:.200}, and one amount is no number")
    return [LogitBias(bias)] if bias else []


def _mirostat(version: Any, values: Mapping[str, Any]) -> Stage:
    tau, eta = float(values["mirostat_tau"]), float(values["mirostat_eta"])
    if version == 1:
        return Mirostat(values["seed"], tau, eta)
    if version == 2:
        return Mirostat2(values["seed"], tau, eta)
    raise UnsupportedError(f"mirostat is {version!r}: choose 0 for none, 1 or 2")


def _penalties(values: Mapping[str, Any], tokenizer: Any) -> Stage:
    return Penalties(
        int(values["repeat_last_n"]),
        float(values["repeat_penalty"]),
        float(values["frequency_penalty"]),
        float(values["presence_penalty"]),
        float(values["penalty_decay"]),
    )


def _dry(values: Mapping[str, Any], tokenizer: Any) -> Stage:
    multiplier = float(values["dry_multiplier"])
    if multiplier and values["dry_sequence_breakers"] and tokenizer is None:
        raise UnsupportedError(
            "DRY's sequence breakers are text, and need a tokenizer: pass tokenizer=, or "
            "dry_sequence_breakers=()"
        )
    return DRY(
        multiplier,
        float(values["dry_base"]),
        int(values["dry_allowed_length"]),
        int(values["dry_penalty_last_n"]),
        tuple(values["dry_sequence_breakers"]) if multiplier else (),
        tokenizer if multiplier else None,
    )


def _temperature(values: Mapping[str, Any], tokenizer: Any) -> Stage:
    t, spread = float(values["temperature"]), float(values["dynatemp_range"])
    if spread > 0:
        return DynamicTemperature(t, spread, float(values["dynatemp_exponent"]))
    return Temperature(t)


def _infill(values: Mapping[str, Any], tokenizer: Any) -> Stage:
    if tokenizer is None:
        raise UnsupportedError("infill looks at the text of tokens: pass tokenizer=")
    return Infill(tokenizer)


MAKERS: dict[str, Callable[[Mapping[str, Any], Any], Stage]] = {
    "penalties": _penalties,
    "dry": _dry,
    "top_n_sigma": lambda v, _: TopNSigma(float(v["top_n_sigma"])),
    "top_k": lambda v, _: TopK(int(v["top_k"])),
    "typ_p": lambda v, _: Typical(float(v["typical_p"]), int(v["min_keep"])),
    "top_p": lambda v, _: TopP(float(v["top_p"]), int(v["min_keep"])),
    "min_p": lambda v, _: MinP(float(v["min_p"]), int(v["min_keep"])),
    "xtc": lambda v, _: XTC(
        float(v["xtc_probability"]), float(v["xtc_threshold"]), int(v["min_keep"]), v["seed"]
    ),
    "temperature": _temperature,
    "infill": _infill,
    "adaptive_p": lambda v, _: AdaptiveP(
        float(v["adaptive_target"]), float(v["adaptive_decay"]), v["seed"]
    ),
}
