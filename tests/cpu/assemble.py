"""Print the assembly of some kernels, for the processor that Numba is told of, or for AArch64.

A process of its own: what is compiled for another machine cannot run in it.
"""

from __future__ import annotations

import sys

import llvmlite.binding as llvm
from numba.core import codegen

TRIPLE = "aarch64-unknown-linux-gnu"
FEATURES = "+neon,+fullfp16,+dotprod"


class CrossLibrary(codegen.AOTCodeLibrary):
    """Code that is nowhere in memory."""

    def get_pointer_to_function(self, name):
        return 0


class CrossCodegen(codegen.AOTCPUCodegen):
    """Numba's code generator, for another machine."""

    _library_class = CrossLibrary

    def __init__(self, module_name):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        super().__init__(module_name)

    def _init(self, module):
        self._tm_features = FEATURES
        target = llvm.Target.from_triple(TRIPLE)
        self._tm = target.create_target_machine(opt=3, features=FEATURES, codemodel="default")
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        self._loopvect, self._opt_level = False, 0

    def set_env(self, name, env):
        pass

    def _create_empty_module(self, name):
        module = super()._create_empty_module(name)
        module.triple = TRIPLE
        return module


def main(formats, for_arm):
    if for_arm:
        codegen.JITCPUCodegen = CrossCodegen
    from llamapy.backends.cpu import matmul, quantize_activations, targets
    from llamapy.backends.cpu.formats import BLOCK_LAYOUTS

    if for_arm:
        targets.assume(targets.parse(TRIPLE, FEATURES))
    tile = targets.current().most_tokens
    kernels = [quantize_activations.quantizer(tile)]
    for name in formats:
        kernels.append(matmul.matmul(BLOCK_LAYOUTS[name], tile, streamed=False))
    for kernel in kernels:
        print(f"# kernel {kernel.name}")
        print(kernel.assembly())


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--arm"]
    main(names, "--arm" in sys.argv)
