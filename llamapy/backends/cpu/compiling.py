# mypy: check-untyped-defs=False
"""From Python to machine code: Numba finds the types, and LLVM optimizes a kernel once.

Left alone, Numba optimizes each function that a kernel is made of, and makes machine code of it
that nobody calls, before it does the same for those that call it. Here all of them stay as they
were lowered until the kernel is complete, which is as good, and takes a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import codegen, compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

OPTIONS = {"nogil": True, "error_model": "numpy"}


class _WithoutGlobals:
    """A code generator that leaves functions alone: what a kernel calls has no Python globals."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def set_env(self, name: str, environment: Any) -> None:
        pass


class _Part(codegen.CPUCodeLibrary):
    """Lowered code that is to be linked into a kernel: as it is, and nowhere in memory."""

    @property
    def codegen(self) -> Any:
        return _WithoutGlobals(self._codegen)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def _finalize_specific(self) -> None:
        pass

    def get_pointer_to_function(self, name: str) -> int:
        return 0


class Code(_Part):
    """A kernel with all that it is made of, optimized. `symbol` is its name for the linker."""

    symbol = ""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.name != self.symbol:
                function.linkage = "internal"
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def needs(self) -> list[str]:
        """The functions that it calls and does not have, such as `sqrtf`."""
        names = [each.name for each in self._final_module.functions if each.is_declaration]
        return [name for name in names if not name.startswith("llvm.")]

    def machine_code(self) -> bytes:
        """What an assembler gives: an object file."""
        made: bytes = self._codegen._tm.emit_object(self._final_module)
        return made

    def assembly(self) -> str:
        """The machine code to read."""
        return str(self._codegen._tm.emit_assembly(self._final_module))


class PartCompiler(compiler.Compiler):
    """Compiles a function that becomes a part of kernels."""

    library: Any = _Part

    def compile_extra(self, function: Any) -> Any:
        generator = self.state.targetctx.codegen()
        self.state.library = self.library(generator, function.__qualname__)
        return super().compile_extra(function)


class _KernelCompiler(PartCompiler):
    library = Code


def compile_function(entry: Callable[..., Any], signature: Any, symbol: str) -> Code:
    """The code of a function, to be called as C calls."""
    with global_compiler_lock:
        flags: Any = compiler.Flags()
        cpu_target.options.parse_as_flags(flags, {"nopython": True, **OPTIONS})
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        made = compiler.compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            entry,
            signature.args,
            signature.return_type,
            flags,
            {},
            pipeline_class=_KernelCompiler,
        )
        code: Code = made.library
        code.symbol = symbol
        code.add_ir_module(_wrapper(made.target_context, made.fndesc, symbol))
        code._ensure_finalized()
        foreign = [name for name in code.needs() if llvm.address_of_symbol(name) is None]
        python = [name for name in code.needs() if name.startswith(("Py", "numba_", "NRT_"))]
        if foreign or python:
            raise TypeError(
                f"{symbol} calls {', '.join(foreign + python)}: a kernel makes no objects"
            )
        return code


def _wrapper(context: Any, described: Any, symbol: str) -> Any:
    """The function that C calls, which calls as Numba does.

    A kernel has nobody to tell of an error: one that raises ends the process.
    """
    module = context.create_module(f"wrapper.{symbol}")
    convention = context.call_conv
    kind = convention.get_function_type(described.restype, described.argtypes)
    callee = ir.Function(module, kind, described.llvm_func_name)
    given = [context.get_value_type(each) for each in described.argtypes]
    is_void = described.restype == types.void
    result = ir.VoidType() if is_void else context.get_value_type(described.restype)
    function = ir.Function(module, ir.FunctionType(result, given), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    status, value = convention.call_function(
        builder, callee, described.restype, described.argtypes, function.args
    )
    with builder.if_then(status.is_error, likely=False):
        trap = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "llvm.trap")
        builder.call(trap, [])
    builder.ret_void() if is_void else builder.ret(value)
    return module
