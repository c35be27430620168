"""Mixing: which block format each tensor of a model gets, for every file type.

A file type gives most tensors one format, and more or fewer bits to some: `mixing_rules` has the
tables. Here they are applied, with the user's exceptions before them and the shapes after them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ... import quants
from ...errors import FormatError, UnsupportedError
from .file_types import COPY, FileType
from .mixing_rules import (
    EIGHT_BITS_IN_GLM5_NEXT,
    EMBEDDINGS,
    FEED_FORWARD,
    OUTPUT,
    OUTPUT_RULES,
    PER_LAYER_EMBEDDING,
    TINY,
    Model,
    Place,
    kind_of,
    may_quantize,
    rules_for,
)

LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class Request:
    """What the user asks: a file type, and exceptions from it."""

    file_type: FileType
    pure: bool = False
    imatrix: bool = False
    leave_output: bool = False
    output: str = ""
    embedding: str = ""
    by_name: Sequence[tuple[re.Pattern[str], str]] = field(default=())

    def named(self, name: str) -> str:
        """The format that the first pattern found in the name asks for, or ''."""
        return next((format for pattern, format in self.by_name if pattern.search(name)), "")


def formats(
    model: Model, tensors: Sequence[tuple[str, Sequence[int], str]], request: Request
) -> list[str]:
    """The block format of each tensor (name, shape, present format), in the order of the file made.

    The order counts, because some rules count the tensors of a kind.
    """
    values = sum(kind_of(name) == "value" for name, _, _ in tensors)
    tied = all(name != OUTPUT for name, _, _ in tensors)
    seen: Counter[str] = Counter()
    return [
        _format(model, name, shape, present, request, tied, values, seen)
        for name, shape, present in tensors
    ]


def _format(
    model: Model,
    name: str,
    shape: Sequence[int],
    present: str,
    request: Request,
    tied: bool,
    values: int,
    seen: Counter[str],
) -> str:
    kind = kind_of(name)
    if request.file_type is COPY or not may_quantize(name, shape, model.architecture):
        return present
    if request.leave_output and kind == "output":
        return present
    named = request.named(name)
    # the table of per-layer embeddings is large, so a pattern may name it in particular
    if request.embedding and kind == "embedding" and not (named and name == PER_LAYER_EMBEDDING):
        return request.embedding
    if request.output and kind == "output":
        return request.output
    default = request.file_type.default
    if quants.get(default).block == 1:
        return default
    if named:
        chosen = named
    elif request.pure:
        chosen = default
    elif kind == "output" or (tied and kind == "embedding"):
        chosen = request.output or _output(model, shape, request.file_type)
    else:
        chosen = _by_kind(model, name, shape, kind, request, values, seen)
    return fitting(name, shape[-1], chosen)


def _output(model: Model, shape: Sequence[int], file_type: FileType) -> str:
    """The format of the output's weights, which the token embedding may be at the same time."""
    default = quants.get(file_type.default)
    if file_type.name in ("MXFP4_MOE", "Q8_0") or model.architecture == "falcon":
        return "Q8_0"
    if shape[-1] % default.block:
        return "Q8_0"
    return str(OUTPUT_RULES.get(file_type.name, "Q6_K"))


def _eight_bits_at_least(model: Model, name: str) -> bool:
    return model.architecture == "glm5-next" and any(
        part in name for part in EIGHT_BITS_IN_GLM5_NEXT
    )


def _by_kind(
    model: Model,
    name: str,
    shape: Sequence[int],
    kind: str,
    request: Request,
    values: int,
    seen: Counter[str],
) -> str:
    default, file_type = request.file_type.default, request.file_type.name
    if _eight_bits_at_least(model, name):
        return "Q8_0"
    if file_type == "MXFP4_MOE":
        stacked = len(shape) > 2 and shape[-3] > 1
        # bailingmoe3 also stacks matrices that belong to no expert
        expert = model.architecture != "bailingmoe3" or kind in FEED_FORWARD
        return "MXFP4" if stacked and expert else "Q8_0"

    index = seen[kind]
    seen[kind] += 1
    if kind in FEED_FORWARD and model.experts > 1 and file_type not in TINY:
        index = _layer(name, model.layers)
    place = Place(model, request.imatrix, index, values if kind == "value" else model.layers)

    chosen = default
    rule = rules_for(kind, model, file_type).get(file_type)
    if rule is not None:
        chosen = rule if isinstance(rule, str) else rule(place) or default
    if file_type in TINY:
        return chosen
    if kind == "value" and model.is_70b and chosen in ("Q3_K", "Q4_K"):
        chosen = "Q5_K"  # 8 heads share these values: an eighth of the size, eight times the use
    if kind in ("value", "key") and model.experts == 8:
        chosen = "Q8_0"
    return chosen


def _layer(name: str, layers: int) -> int:
    """The layer in a tensor's name; experts stand in a file in no order that could be counted."""
    found = LAYER.match(name)
    if found is None or int(found[1]) >= layers:
        raise FormatError(
            f"its layer is not one of the model's {layers}, so the rules for its place cannot be "
            f"applied: name tensors blk.N. with N below block_count, or choose pure=True",
            field=name,
        )
    return int(found[1])


# ---- shapes that a format cannot hold

FALLBACK = {
    **dict.fromkeys(
        ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"
    ),
    **dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}


def fitting(name: str, n_cols: int, chosen: str) -> str:
    """The chosen format, or the nearest one whose blocks divide a row of this length."""
    block = quants.get(chosen).block
    if n_cols % block == 0:
        return chosen
    smaller = FALLBACK.get(chosen)
    if smaller is None and block > 32:
        raise UnsupportedError(
            f"{name} has rows of {n_cols} weights, which blocks of {block} do not divide, and no "
            f"smaller format stands in for {chosen}: ask for another with tensor_types"
        )
    return smaller if smaller and n_cols % quants.get(smaller).block == 0 else "F16"


def needs_importance(name: str, chosen: str, file_type: FileType) -> bool:
    """Whether a tensor of this format is worthless without an importance matrix."""
    if name in EMBEDDINGS or name == OUTPUT:
        return False
    if chosen == "Q2_K":
        return file_type.name == "Q2_K_S"
    return chosen in ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS")
