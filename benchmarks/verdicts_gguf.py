"""Judge damaged GGUF files beside llama.cpp, and count where the verdicts differ, and why.

    python -m benchmarks.verdicts_gguf [count] [seed]

The rules that differ on purpose are those named in llamapy/gguf/header.py. A file on which
llama.cpp ends its process is counted as such.
"""

from __future__ import annotations

import collections
import ctypes
import mmap
import os
import sys
import tempfile

from llamapy import FormatError
from llamapy.gguf import GGUF
from llamapy.testing import hostile
from llamapy.testing.mutants import mutants

from . import peer

JUDGED = {0: "?", 1: "accepted", 2: "refused", 3: "process ended"}


class Parameters(ctypes.Structure):
    """How the peer opens a file: here only its header."""

    _fields_ = [("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p)]


def peer_verdicts(files: list[bytes]) -> list[str]:
    """llama.cpp's verdicts, from child processes, because some files end them."""
    ggml = peer.library()
    ggml.gguf_init_from_file.restype = ctypes.c_void_p
    ggml.gguf_init_from_file.argtypes = [ctypes.c_char_p, Parameters]
    ggml.gguf_free.argtypes = [ctypes.c_void_p]
    verdicts = mmap.mmap(-1, len(files))
    with tempfile.NamedTemporaryFile() as file:
        while (first := verdicts[:].find(b"\0")) >= 0:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                continue
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for i in range(first, len(files)):
                verdicts[i] = 3  # until it returns
                with open(file.name, "wb") as out:
                    out.write(files[i])
                opened = ggml.gguf_init_from_file(file.name.encode(), Parameters(True, None))
                verdicts[i] = 1 if opened else 2
                if opened:
                    ggml.gguf_free(opened)
            os._exit(0)
    return [JUDGED[verdict] for verdict in verdicts[:]]


def our_verdict(data: bytes) -> str:
    try:
        GGUF.open(data)
    except FormatError as error:
        return f"refused at {error.field}"
    return "accepted"


def main(count: int, seed: int) -> None:
    kinds = hostile.kinds()
    bases = [kind.data for kind in kinds if not kind.verdict and len(kind.data) < 4096]
    files = [kind.data for kind in kinds] + list(mutants(bases, seed, count))
    pairs = zip(map(our_verdict, files), peer_verdicts(files), strict=True)
    table = collections.Counter(
        (ours, theirs) for ours, theirs in pairs if ours.split()[0] != theirs
    )
    total = sum(table.values())
    print(f"{len(files):,} files, the same verdict on {1 - total / len(files):.1%}")
    for (ours, theirs), number in table.most_common():
        print(f"{number:>8}  llamapy {ours}, llama.cpp {theirs}")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [20_000, 1][len(given) :]))
