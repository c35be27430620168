"""The layouts of the block formats and number types, by the format's name."""

from __future__ import annotations

from ..floats import FLOAT_LAYOUTS, FloatLayout
from ..layouts import Layout
from . import few_bits, iq1, iq2, iq3, k, simple

BLOCK_LAYOUTS: dict[str, type[Layout]] = {
    layout.__name__: layout
    for module in (simple, few_bits, k, iq1, iq2, iq3)
    for layout in vars(module).values()
    if isinstance(layout, type)
    and issubclass(layout, Layout)
    and layout.__module__ == module.__name__
    and not layout.__name__.startswith("_")
}
LAYOUTS: dict[str, type[Layout] | type[FloatLayout]] = {**FLOAT_LAYOUTS, **BLOCK_LAYOUTS}
