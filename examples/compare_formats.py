"""What each block format would cost a model, as a picture and as the best choice for each tensor.

usage: python examples/compare_formats.py [MODEL.gguf] [PICTURE.png]
"""

import sys
import tempfile
from pathlib import Path

import llamapy
from llamapy.testing import tiny_model

FORMATS = ["Q3_K", "Q4_0", "Q4_K", "IQ4_XS", "Q5_K", "Q6_K", "Q8_0"]
ENOUGH = 25  # decibels of signal over noise


def main(path: str, picture: str | None) -> None:
    with llamapy.GGUF.open(path) as model:
        report = llamapy.quants.report(model, FORMATS)
    print(f"the fewest bits that keep {ENOUGH} dB:")
    for kind in dict.fromkeys(error.tensor for error in report.by_kind()):
        good = [e for e in report.by_kind() if e.tensor == kind and e.snr >= ENOUGH]
        best = min(good, key=lambda error: error.bits, default=None)
        print(f"  {kind:28} {best.format if best else 'none of these'}")
    if picture:
        report.plot().savefig(picture, dpi=120)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        model = sys.argv[1] if len(sys.argv) > 1 else tiny_model(Path(folder) / "tiny.gguf")
        main(str(model), sys.argv[2] if len(sys.argv) > 2 else None)
