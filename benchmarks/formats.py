"""The table of block formats in docs/formats.md, measured on the golden matrices of the tests.

usage: python -m benchmarks.formats [--write]

NMSE is for 4 x 512 normal numbers, without and with importance weights. The last column compares
our bytes with those of llama.cpp's quantizers, over all golden matrices.
"""

from __future__ import annotations

import json

import numpy as np

from llamapy import quants

from .pages import ROOT, print_or_write

DATA = ROOT / "tests" / "data" / "quants"


def nmse(rows: np.ndarray, got: np.ndarray) -> float:
    rows = rows.astype(np.float64)
    return float(np.square(got - rows).sum() / np.square(rows).sum())


def row(quant: type[quants.Quant], inputs: dict, golden: dict | None) -> str:
    errors = {"none": "", "imat": ""}
    same = total = 0
    for matrix in ("gauss", "heavy", "edges", "smooth"):
        for how, importance in (("none", None), ("imat", inputs["imatrix"])):
            if golden is not None and f"q_{matrix}_{how}" not in golden:
                continue
            raw = quant.quantize(inputs[matrix], importance)
            if matrix == "gauss":
                error = nmse(inputs[matrix], quant.dequantize(raw, inputs[matrix].shape))
                if how == "none" or quant.importance != "ignored":
                    errors[how] = f"{error:.3e}"
            if golden is not None:
                same += int((raw == golden[f"q_{matrix}_{how}"]).sum())
                total += raw.size
    identical = f"{same} of {total}" if total else "no golden bytes"
    summary = (quant.__doc__ or "").partition("\n")[0]
    cells = (
        f"`{quant.name}`",
        quant.id,
        quant.block,
        quant.layout.itemsize,
        f"{quant.bits_per_weight():.4g}",
        quant.importance,
        errors["none"],
        errors["imat"],
        identical,
        summary.replace("|", "\\|"),
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table() -> str:
    inputs = dict(np.load(DATA / "inputs.npz"))
    known = json.loads((DATA / "index.json").read_text())["types"]
    lines = [
        "| format | id | block | bytes | bits | importance | NMSE | with importance "
        "| bytes identical | weights |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for quant in quants.formats():
        if quant.block > 1 or quant.name in known:
            golden = dict(np.load(DATA / f"{quant.name}.npz")) if quant.name in known else None
            lines.append(row(quant, inputs, golden))
    return "\n".join(lines)


if __name__ == "__main__":
    print_or_write(__doc__ or "", "formats", ROOT / "docs" / "formats.md", table)
