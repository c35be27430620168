"""What llama.cpp's pre-tokenizers make of made-up texts: tests/data/tokenizers/pretokenizers.json.

usage: python -m benchmarks.golden_tokenizers [--texts 400] [--check SEED]

Each name is written into a made-up vocabulary, where places to part a text show in the tokens. What
is kept of a name's tokens is a hash. --check compares texts of another seed and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

from llamapy import gguf
from llamapy.tokenizers import from_metadata

from .peer_tokenizer import PeerTokenizer

TESTS = Path(__file__).parent.parent / "tests"
TARGET = TESTS / "data" / "tokenizers" / "pretokenizers.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--check", type=int)
    options = parser.parse_args()
    invented: dict[str, Any] = runpy.run_path(str(TESTS / "tokenizers" / "invented.py"))
    texts = invented["texts"](options.texts, options.check or 1)
    data = [text.encode("utf-8", "surrogatepass") for text in texts] + invented["BROKEN"]
    hashes, differing = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocabulary.gguf")
        for case, metadata in invented["cases"]().items():
            gguf.write(path, gguf.Metadata(metadata), {})
            peer = PeerTokenizer(path)
            theirs = [peer.encode(each, special=True) for each in data]
            peer.close()
            tokenizer = from_metadata(metadata)
            ours = [tokenizer.encode(each, special=True, bos=False) for each in data]
            wrong = sum(a != b for a, b in zip(ours, theirs, strict=True))
            differing += wrong
            hashes[case] = invented["digest"](theirs)
            print(f"{case:40} {wrong} of {len(data)} differ", flush=True)
    print(f"{len(hashes)} names, {len(data)} texts each, {differing} differ")
    if options.check is None:
        TARGET.write_text(json.dumps({"texts": options.texts, "hashes": hashes}, indent=1) + "\n")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
