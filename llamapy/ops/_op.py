"""Operations: one NumPy body each, which a backend may replace with a kernel.

    @op("x[n,k], w[k] -> [n,k]")
    def rms_norm(x, w, *, eps): ...     # arrays in, array out: the definition

A call checks shapes, finds the backend's kernel of that name, or else runs the body, and notes the
launch if a plan is being recorded. A `@fused` operation has a body written in other operations; a
backend that has a kernel of its name skips the body.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ShapeError, UnsupportedError
from ..plan import Launch, new_tensor, recording
from ..quants.base import Quant
from ..tensor import DType, Tensor
from ._signature import Signature, letters_of
from .see import current_scope, looks_inside

# every operation by name: what `check_backend` goes through
OPERATIONS: dict[str, Op] = {}

CALLS_KEPT = 512  # shapes that an operation remembers to have checked

_log = logging.getLogger("llamapy")
_told: set[tuple[str, str]] = set()


class Rows:
    """Packed rows, decoded when they are read and encoded when they are written."""

    def __init__(self, raw: Any, quant: type[Quant], shape: tuple[int, ...]) -> None:
        self.raw, self.quant, self.shape = raw, quant, shape

    def __getitem__(self, ids: Any) -> Any:
        return self.quant.dequantize(self.raw[ids])

    def __setitem__(self, ids: Any, rows: Any) -> None:
        self.raw[ids] = self.quant.quantize(rows)

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class _Call:
    """What a call is, whatever the values: the result's shape, a kernel's name, how to read."""

    shape: tuple[int, ...]
    kernel_name: str
    readers: list[Callable[[Any], Any] | None]


class Op:
    """An operation. Operands are tensors of one backend; parameters are named."""

    def __init__(self, signature: str, body: Callable[..., Any]) -> None:
        self.name = body.__name__
        self.signature = Signature(signature)
        self.definition = body
        parameters = inspect.signature(body).parameters.values()
        self.params = {
            p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        self._sized_by_parameters = any(
            letters_of(size) & self.params.keys() for size in self.signature.result if size != "..."
        )
        self._calls: dict[Any, _Call] = {}
        functools.update_wrapper(self, body)
        other = OPERATIONS.get(self.name)
        # running a notebook cell again defines the same operation again, which is no conflict
        if other is not None and other.__module__ != self.__module__:
            raise UnsupportedError(
                f"an operation {self.name!r} is in {other.__module__} already: choose another name"
            )
        OPERATIONS[self.name] = self

    def __call__(self, *args: Any, **params: Any) -> Tensor:
        call = self._prepared(args, params)
        params = {**self.params, **params}
        backend = self._backend(args)
        if self.signature.writes is not None:
            out = args[self.signature.writes]
        else:
            out = new_tensor(call.shape, self.signature.result_dtype, backend)  # type: ignore[arg-type]
        # tensors that are everywhere give one that is everywhere: each part computes its own
        for part in getattr(backend, "parts", (backend,)):
            self._launch(part, call, out, args, params)
        return out

    def _launch(
        self, backend: Any, call: _Call, out: Tensor, args: Sequence[Any], params: dict[str, Any]
    ) -> None:
        """Compute a result on one backend, and note it if a plan is recorded."""
        out, args = out.on(backend), [None if arg is None else arg.on(backend) for arg in args]
        kernel, name = backend.kernels.get(call.kernel_name), call.kernel_name
        if kernel is None:
            if backend.kernels:
                self._tell(backend.name, name)
            kernel, name = functools.partial(self._run_definition, backend, call.readers), ""
        kernel(out.buffer, *[None if arg is None else arg.buffer for arg in args], **params)
        plan = recording()
        if plan is not None:
            launch = Launch(self.name, kernel, out, args, params, kernel_name=name)
            launch.name = launch.name or current_scope()
            plan.add(launch)

    def _prepared(self, args: Sequence[Any], params: dict[str, Any]) -> _Call:
        """What follows from the shapes, types and parameters alone; found once for each."""
        try:
            key: tuple[Any, ...] = tuple(
                [None if arg is None else (arg.shape, arg.dtype) for arg in args]
            )
            key = (key, *(params.items() if self._sized_by_parameters else params))
            return self._calls[key]
        except (KeyError, AttributeError):  # new, or no tensor at all
            sizes = self.signature.solve(self.name, args)
            shape: tuple[int, ...] = ()
            filled = self._with_defaults(params)
            if self.signature.writes is None:
                shape = self.signature.result_shape({**filled, **sizes})
            readers = [
                None if arg is None else _reader(operand.kind, arg.dtype, arg.shape)
                for operand, arg in zip(self.signature.operands, args, strict=True)
            ]
            call = _Call(shape, self.kernel_name(args), readers)
            if len(self._calls) >= CALLS_KEPT:
                self._calls.clear()
            self._calls[key] = call
            return call

    def kernel_name(self, args: Sequence[Any]) -> str:
        """The name under which a backend may have a kernel: with the formats of packed operands."""
        formats = [arg.dtype.name for arg in args if isinstance(arg, Tensor) and arg.quant]
        return ".".join((self.name, *formats))

    def _with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        params = {**self.params, **given}
        unknown = given.keys() - self.params.keys()
        missing = [name for name, value in params.items() if value is inspect.Parameter.empty]
        if unknown or missing:
            raise TypeError(
                f"{self.name} takes the parameters {', '.join(self.params) or 'none'}: "
                + (f"{min(unknown)!r} is not one" if unknown else f"{missing[0]!r} is missing")
            )
        return params

    def _backend(self, args: Sequence[Any]) -> Any:
        """Where this is computed: where all operands are."""
        backend: Any = None
        for arg in args:
            if arg is None:
                continue
            if not isinstance(arg, Tensor):
                self.signature.solve(self.name, args)  # says what is wrong with it
            if backend is None:
                backend, first = arg.backend, arg
            elif arg.backend is backend or arg.is_on(backend):
                continue
            elif first.is_on(arg.backend):
                backend, first = arg.backend, arg
            else:
                raise UnsupportedError(
                    f"{self.name} got {first!s} and {arg!s}: "
                    f"move one of them to the other's backend first"
                )
        if self.signature.writes is not None:
            for at in (self.signature.writes, *self.signature.also_writes):
                if args[at].backend is not backend:
                    raise UnsupportedError(
                        f"{self.name} would write into {args[at]!s} on {backend.name} alone, but "
                        f"what is everywhere is the same everywhere: use {first!s} there, too"
                    )
        return backend

    def _run_definition(
        self, backend: Any, readers: Sequence[Any], out: Any, *buffers: Any, **params: Any
    ) -> None:
        """A stand-in for a kernel: the body, on arrays from the backend."""
        hosts = [None if buffer is None else backend.get(buffer) for buffer in buffers]
        arrays = [
            host if read is None else read(host) for read, host in zip(readers, hosts, strict=True)
        ]
        with np.errstate(all="ignore"):
            result = self.definition(*arrays, **params)
        written = self.signature.writes
        if written is None:
            backend.write(out, result)
        elif hosts[written] is not out:  # what the body wrote into is a copy
            backend.write(out, hosts[written])
        for at in self.signature.also_writes:
            if hosts[at] is not buffers[at]:
                backend.write(buffers[at], hosts[at])

    @staticmethod
    def _tell(backend: str, kernel: str) -> None:
        """Say once that an operation has no kernel: it is right, but slow."""
        if (backend, kernel) not in _told:
            _told.add((backend, kernel))
            _log.info("%s has no kernel %s: NumPy computes it", backend, kernel)

    def __repr__(self) -> str:
        return f"<operation {self.name}({self.signature.text})>"


class Fused(Op):
    """An operation whose definition is written in other operations.

    An operand may be a block of weights. A kernel gets its weight; a block that has more than
    that, such as a bias or an adapter, runs the body, which calls it.
    """

    def __init__(self, signature: str, body: Callable[..., Any], sees: Sequence[str]) -> None:
        super().__init__(signature, body)
        self.sees = tuple(sees)

    def __call__(self, *args: Any, **params: Any) -> Tensor:
        tensors = [_bare(arg) for arg in args]
        if not any(tensor is NotImplemented for tensor in tensors):
            backend = self._backend(tensors)
            names = (*self.sees, *(getattr(arg, "name", "") for arg in args))
            if self.kernel_name(tensors) in backend.kernels and not looks_inside(names):
                return super().__call__(*tensors, **params)
        return self.definition(*args, **self._with_defaults(params))


def op(signature: str) -> Callable[[Callable[..., Any]], Op]:
    """Make an operation of its NumPy definition."""
    return lambda body: Op(signature, body)


def fused(signature: str, *, sees: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Fused]:
    """Make an operation of a body in other operations; `sees` are the names inside of it."""
    return lambda body: Fused(signature, body, sees)


def _bare(arg: Any) -> Any:
    """The tensor that stands for an operand; NotImplemented if the block is more than a weight."""
    if arg is None or isinstance(arg, Tensor):
        return arg
    bare = getattr(arg, "bare_weight", None)
    if not callable(bare):
        raise ShapeError(f"{arg!r} is neither a tensor nor a block with a weight")
    weight = bare()
    return NotImplemented if weight is None else weight


def _reader(kind: str, dtype: DType, shape: tuple[int, ...]) -> Callable[[Any], Any] | None:
    """How a definition sees what lies in memory; None for plain numbers."""
    if isinstance(dtype, np.dtype):
        return None
    if kind == "rows":
        return lambda raw: Rows(raw, dtype, shape)
    return lambda raw: dtype.dequantize(raw, shape)
