"""The table of block formats in docs/formats.md, measured on the golden matrices of the tests.

usage: python -m benchmarks.formats [--write]

NMSE is for 4 x 512 normal numbers, without and with importance weights. The last column compares
our bytes with those of llama.cpp's quantizers, over all golden matrices.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np

from llamapy import quants

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "quants"
PAGE = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- table: python -m benchmarks.formats --write -->", "<!-- end of table -->"


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


def replace_table(page: str, new: str) -> str:
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no table between {BEGIN!r} and {END!r}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{new}\n\n{END}", page)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--write", action="store_true", help="put it into docs/formats.md")
    if options.parse_args().write:
        PAGE.write_text(replace_table(PAGE.read_text(), table()))
    else:
        print(table())


if __name__ == "__main__":
    main()
