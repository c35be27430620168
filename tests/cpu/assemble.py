"""Print the assembly of some kernels, for the processor that Numba is told of, or for AArch64.

    python assemble.py [--arm] Q4_0 Q8_0            matrix products of these formats
    python assemble.py [--arm] --weights Q4_0       all that is done with these formats' weights
    python assemble.py [--arm] --caches q8_0        attention over such caches
    python assemble.py [--arm] --models llama       all that such models need
    python assemble.py [--arm] --small llama        the same without attention and products

A process of its own: what is compiled for another machine cannot run in it.
"""

from __future__ import annotations

import argparse
import functools

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


# what takes seconds to compile, or is looked at by format
LARGE = ("attend", "matmul", "float_matmul", "plain_", "rows_matmul", "read_", "expert_matmul")


def of_formats(names):
    """The products of these formats, of as many tokens as there are registers for."""
    from llamapy.backends.cpu import matmul, quantize_activations, targets
    from llamapy.backends.cpu.formats import BLOCK_LAYOUTS

    tile = targets.current().most_tokens
    products = [matmul.matmul(BLOCK_LAYOUTS[name], tile, streamed=False) for name in names]
    return [*(quantize_activations.quantizer(tile, group) for group in (32, 256)), *products]


def of_weights(names):
    """Packing, looking rows up, products with and without rounding, and those of experts."""
    from llamapy.backends.cpu import expert_matmul, lookup, matmul, packing, targets
    from llamapy.backends.cpu.formats import BLOCK_LAYOUTS

    tile = targets.current().most_tokens
    for name in names:
        layout = BLOCK_LAYOUTS[name]
        yield packing.packer(layout)
        yield packing.unpacker(layout)
        yield lookup.lookup(layout)
        for tokens in (1, tile):
            yield matmul.matmul(layout, tokens, streamed=tokens == 1, adds=True)
        yield matmul.float_matmul(layout, tile, streamed=False)
        yield expert_matmul.expert_matmul(layout, None)
        yield expert_matmul.expert_tiles(layout, None, tile)


def of_caches(kinds):
    """Attention of a model with caches of these types."""
    found = {}
    sizes = {"attention.key_length": 32, "attention.value_length": 32}
    for kind in kinds:
        found |= {each.name: each for each in of_models(["llama"], sizes, kind)}
    return list(found.values())


def of_models(names, sizes=None, kv_type="f16"):
    """All that these models need, in float32."""
    from llamapy import backends
    from llamapy.backends.cpu import ahead
    from llamapy.engine.foresight import needed_kernels
    from llamapy.testing.model import invented

    ahead.missing = list  # what is there for this processor, too
    backend = backends.get("cpu", threads=1)
    found = {}
    for name in names:
        make = functools.partial(invented, name, sizes, kv_type=kv_type)
        for kernel in needed_kernels(lambda device, make=make: make(device=device), backend):
            found[kernel.name] = kernel
    return list(found.values())


def main(options):
    if options.arm:
        codegen.JITCPUCodegen = CrossCodegen
        from llamapy.backends.cpu import targets

        targets.assume(targets.parse(TRIPLE, FEATURES))
    find = of_models if options.small else options.find
    for kernel in find(options.names):
        if options.small and kernel.name.startswith(LARGE):
            continue
        print(f"# kernel {kernel.name}")
        print(kernel.assembly())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("--arm", "--small"):
        parser.add_argument(flag, action="store_true")
    for find in (of_weights, of_caches, of_models):
        flag = find.__name__.replace("of_", "--")
        parser.add_argument(flag, dest="find", action="store_const", const=find)
    parser.set_defaults(find=of_formats)
    parser.add_argument("names", nargs="+")
    main(parser.parse_args())
