"""The contract of a backend: every operation gives what its NumPy definition gives.

    check_backend(MyBackend())

runs each operation that there is on generated operands: one row and many, none at all, sizes that
are no multiple of a tile, every block format, memory that was used before. A new operation is
checked without a line here, as long as it is known what its operands and parameters may be; where
that is not known, the check fails and says what to add.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..backends import get as get_backend
from ..errors import UnsupportedError
from ..nn import Linear
from ..ops import OPERATIONS, Fused, Op
from ..plan import Arena, Lease, Plan, record
from ..tensor import Tensor
from . import operands_together  # noqa: F401 - what it makes is found by `cases`
from .backend_report import Checked, Report
from .operands import Case, Packed, cases

Array = NDArray[Any]

# How far a kernel may be from the definition: the root of the mean square of the difference, over
# that of the result. Sums differ by their order.
TOLERANCE = 2e-6
# moving and choosing
EXACT = (
    "choose_experts",
    "chunk_ends",
    "chunks_of_experts",
    "columns",
    "copy_cells",
    "expert_weights",
    "fill_columns",
    "join",
    "lookup",
    "nearest_choice",
    "place",
    "relu",
    "repeat_heads",
    "store",
    "store_keys",
    "store_values",
    "top_candidates",
    "translate",
)
TOLERANCES = {
    # angles of float32: a rounding of a large angle turns a pair by that much
    "rope_pairs": 2e-5,
    "rope_halves": 2e-5,
    "rope_sections": 2e-5,
    "attend": 5e-6,
    "softplus": 5e-6,
    **dict.fromkeys(EXACT, 0.0),
}
GUARD = 128  # bytes behind a result that must stay as they are


def check_backend(
    backend: str | Backend,
    operations: Sequence[str] | None = None,
    *,
    tolerances: Mapping[str, float] | None = None,
    formats: Sequence[str] | None = None,
    seed: int = 0,
) -> Report:
    """Assert that all operations, or some, agree with their definitions.

    `tolerances` replaces those of `TOLERANCES` for a backend that rounds more, such as one that
    brings activations to 8 bits. Each call is made eagerly, recorded, replayed and compiled. An
    operation is given up at its first fault; when all are done, an AssertionError names the faults,
    each by its operation, case and seed.
    """
    tested = get_backend(backend)
    allowed = {**TOLERANCES, **(tolerances or {})}
    rows = []
    for name in operations or sorted(OPERATIONS):
        operation = OPERATIONS[name]
        check_cases(operation, seed)
        row = Checked(name, allowed.get(name, TOLERANCE))
        if isinstance(operation, Fused):
            row.otherwise = "its parts"
        for number, case in enumerate(cases(operation, formats, seed)):
            says = f"{case.says}, {dict(case.params)}"
            try:
                _try(operation, case, tested, row)
            except _Fault as fault:
                row.fault = f"{name} on {tested.name}{fault} (case {number} of seed {seed}: {says})"
                break
            except Exception as error:
                error.add_note(f"in {name} on {tested.name}, case {number} of seed {seed}: {says}")
                raise
        rows.append(row)
    report = Report(tested.name, rows)
    report.assert_ok()
    return report


class _Fault(Exception):
    """What a call did wrong."""


def _try(operation: Op, case: Case, tested: Backend, row: Checked) -> None:
    """One call in every way that there is; what was seen goes into the row."""
    wanted = _reference(operation, case)
    call = _Call(operation, case, tested)
    call()
    row.note(_compared("", call, wanted, row.tolerance))
    call.check_operands("")
    arena = GuardedArena(tested)
    call = _Call(operation, case, tested, viewed=True)
    plan = record(call, arena=arena)
    ways: dict[str, Callable[[], object] | None] = {
        "recorded": None,
        "replayed": plan.replay,
        "compiled": tested.compile(plan),
    }
    for how, run in ways.items():
        if run is not None:
            arena.spoil()
            call.restore()
            run()
        row.note(_compared(f", {how}", call, wanted, row.tolerance))
        call.check_operands(f", {how}")
        if not arena.is_whole():
            raise _Fault(f", {how}, writes behind the end of a result")
    row.ran(*_kernels(operation, plan, call))


def _kernels(operation: Op, plan: Plan, call: _Call) -> tuple[str, bool]:
    """The name that a kernel for this call has, and whether it was one that ran."""
    name = operation.kernel_name([getattr(arg, "weight", arg) for arg in call.args])
    return name, any(launch.kernel_name == name for launch in plan.launches)


class _Call:
    """An operation with its operands on a backend; of a fused one, weights come in blocks."""

    def __init__(
        self, operation: Op, case: Case, backend: Backend, *, viewed: bool = False
    ) -> None:
        self.operation, self.case, self.backend = operation, case, backend
        signature = operation.signature
        pairs = list(zip(signature.operands, case.args, strict=True))
        self.tensors = [_tensor(value, backend, viewed) for _, value in pairs]
        blocks = [isinstance(operation, Fused) and operand.kind == "any" for operand, _ in pairs]
        self.args = [
            Linear(tensor) if tensor is not None and is_block else tensor
            for tensor, is_block in zip(self.tensors, blocks, strict=True)
        ]
        written = [signature.writes, *signature.also_writes]
        self.written = [at for at in written if at is not None]
        self.out: Tensor | None = None

    def __call__(self) -> Tensor:
        self.out = self.operation(*self.args, **self.case.params)
        return self.out

    def results(self) -> list[Array]:
        """What was computed, and what was written into beside it."""
        assert self.out is not None
        beside = [at for at in self.written if at != self.operation.signature.writes]
        tensors = [self.out, *(self.tensors[at] for at in beside)]
        return [np.array(tensor.numpy()) for tensor in tensors if tensor is not None]

    def restore(self) -> None:
        """Make operands that were written into what they were."""
        for at in self.written:
            tensor, value = self.tensors[at], self.case.args[at]
            if tensor is not None:
                raw = value.raw if isinstance(value, Packed) else value
                self.backend.write(tensor.buffer, raw)

    def check_operands(self, how: str) -> None:
        """All others are as they were."""
        for at, (tensor, value) in enumerate(zip(self.tensors, self.case.args, strict=True)):
            if tensor is None or at in self.written:
                continue
            raw = value.raw if isinstance(value, Packed) else value
            if not np.array_equal(self.backend.get(tensor.buffer), raw, equal_nan=True):
                operand = self.operation.signature.operands[at].name
                raise _Fault(f"{how}, writes into its operand {operand}")


def _tensor(value: Any, backend: Backend, viewed: bool) -> Tensor | None:
    """A value on a backend: as it is, or as a view of memory in another shape."""
    if value is None:
        return None
    if isinstance(value, Packed):
        return Tensor.packed(value.raw.copy(), value.shape, value.quant, backend)
    if viewed:
        return Tensor.of(value.reshape(-1), backend).view(*value.shape)
    # the same values in every second place of a larger array
    wide = np.zeros((*value.shape, 2), value.dtype)
    wide[..., 0] = value
    return Tensor.of(wide[..., 0], backend)


def _reference(operation: Op, case: Case) -> _Call:
    """The call as NumPy computes it."""
    call = _Call(operation, case, get_backend("numpy"))
    try:
        call()
    except Exception as error:
        raise UnsupportedError(
            f"the definition of {operation.name} cannot compute {case.says}: {error}. Its operands "
            f"fit together in a way that the signature does not say: add rows for it to LETTERS "
            f"and NUMBERS in llamapy.testing.operands, or a function that makes its cases to MAKERS"
        ) from error
    return call


class GuardedArena(Arena):
    """An arena of which nothing is used twice, with a guard behind each piece of memory."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._backend = backend
        self._pieces: list[tuple[Any, int, int]] = []  # memory, bytes in use, bytes in all

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], backend: Backend) -> Tensor:
        used = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        size = used + GUARD
        piece = backend.empty((size,), np.dtype(np.uint8))
        self._pieces.append((piece, used, size))
        self._spoil(piece, size)
        lease = Lease(self, piece, size, backend)
        return Tensor(backend.view(piece, shape, dtype), shape, dtype, backend, lease=lease)

    def release(self, piece: Any, size: int, backend: Backend) -> None:
        pass

    def spoil(self) -> None:
        """Fill all memory with NaN, so that what a replay does not compute shows."""
        for piece, _, size in self._pieces:
            self._spoil(piece, size)

    def _spoil(self, piece: Any, size: int) -> None:
        self._backend.write(piece, np.full(size, 0xFF, np.uint8))

    def is_whole(self) -> bool:
        """Whether nobody wrote into a guard."""
        return all(
            (np.asarray(self._backend.get(piece))[used:] == 0xFF).all()
            for piece, used, _ in self._pieces
        )


# ---- comparing


def _compared(how: str, call: _Call, wanted: _Call, tolerance: float) -> float:
    """The largest error of the results; more than the tolerance is a fault."""
    pairs = zip(call.results(), wanted.results(), strict=True)
    return max(_difference(how, got, want, tolerance) for got, want in pairs)


def _difference(how: str, got: Array, want: Array, tolerance: float) -> float:
    if got.shape != want.shape:
        raise _Fault(f"{how}: the shape is {got.shape}, and must be {want.shape}")
    if not want.size:
        return 0.0
    finite = np.isfinite(want)
    odd = np.isnan(got) != np.isnan(want)
    if odd.any() or not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        raise _Fault(f"{how}: {_at(got, want, np.isfinite(got) != finite)}: one is no number")
    difference = np.where(finite, got, 0).astype(np.float64) - np.where(finite, want, 0)
    size = float(np.sqrt(np.square(np.where(finite, want, 0).astype(np.float64)).mean()))
    error = float(np.sqrt(np.square(difference).mean()))
    if not error <= tolerance * size:
        share = error / size if size else np.inf
        raise _Fault(
            f"{how}: differs from the definition by {share:.1e} of its size, and {tolerance:.0e} "
            f"is allowed; the worst is {_at(got, want, np.abs(difference))}"
        )
    return error / size if size else 0.0


def _at(got: Array, want: Array, worst: Array) -> str:
    place = np.unravel_index(worst.argmax(), want.shape)
    return f"{got[place]!r} for {want[place]!r} at {[int(i) for i in place]}"


# ---- whether the cases say anything


def check_cases(operation: Op, seed: int = 0) -> None:
    """Assert that every operand and parameter of an operation makes a difference in some case.

    Otherwise a kernel that ignores it would pass.
    """
    tried = list(cases(operation, (), seed))
    unseen = {*operation.params, *(operand.name for operand in operation.signature.operands)}
    for case in tried:
        base = _reference(operation, case).results()
        for name, other in _changed(operation, case, tried):
            if name in unseen and _differs(operation, other, base):
                unseen.discard(name)
        if not unseen:
            return
    raise AssertionError(
        f"in no case of {operation.name} does {min(unseen)!r} make a difference, so that a kernel "
        f"that ignores it would pass: add a row for '{operation.name}.{min(unseen)}', or change "
        f"the one that there is, in llamapy.testing.operands"
    )


def _differs(operation: Op, case: Case, base: Sequence[Array]) -> bool:
    try:
        call = _Call(operation, case, get_backend("numpy"))
        call()
    except (IndexError, ValueError):  # a size of pages, say, that does not fit the cells
        return True
    pairs = zip(call.results(), base, strict=True)
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _changed(operation: Op, case: Case, tried: Sequence[Case]) -> list[tuple[str, Case]]:
    """The case with one operand or one parameter changed, for each."""
    found = []
    for at, operand in enumerate(operation.signature.operands):
        value = case.args[at]
        if value is not None and value.shape and value.shape[0]:
            args = [*case.args]
            args[at] = _other(value)
            found.append((operand.name, Case(case.says, args, case.params)))
    for name, default in operation.params.items():
        values = [each.params.get(name, default) for each in tried]
        others = [value for value in values if value != case.params.get(name, default)]
        found += [(name, Case(case.says, case.args, {**case.params, name: v})) for v in others[:1]]
    return found


def _other(value: Any) -> Any:
    """Other values that are as possible: what stands in a place moves on by one."""
    if isinstance(value, Packed):
        rows = value.raw.reshape(-1, value.raw.shape[-1])
        return Packed(np.roll(rows, 1, 0).reshape(value.raw.shape), value.shape, value.quant)
    moved = np.roll(value.reshape(-1), 1).reshape(value.shape)
    return moved * 0.5 + np.float32(0.1) if moved.dtype == np.float32 else moved
