"""Attention on the CPU over caches in the forms that it likes, and what it promises of bits."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.errors import UnsupportedError
from llamapy.plan import record
from llamapy.quants import get
from llamapy.tensor import Tensor

PAGE = 32
FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q4_0")
# what a query that is rounded to 8 bits, or to BF16, may change of the result's size
ROUNDING = {"F32": 5e-6, "F16": 5e-6, "BF16": 1e-2, "Q8_0": 3e-2, "Q4_0": 3e-2}
NUMPY = backends.get("numpy")


@pytest.fixture(scope="module")
def exact():
    return backends.get("cpu", threads=2, precision="float32")


@pytest.fixture(scope="module")
def cpu():
    return backends.get("cpu", threads=2)


class Case:
    """Sequences on scattered pages, and queries from a position on; the same on every backend."""

    def __init__(self, heads, groups, d, *, n_pages, sequences=1, e=None, page=PAGE, extras=()):
        random = np.random.default_rng(heads * d + n_pages)
        self.heads, self.groups, self.d, self.e, self.page = heads, groups, d, e or d, page
        self.n_cells = sequences * n_pages * page
        self.pages = random.permutation(sequences * n_pages).reshape(sequences, n_pages)
        self.length = n_pages * page - 5
        self.positions = np.full(self.n_cells, -1)
        for row in self.pages:
            cells = (row[:, None] * page + np.arange(page)).reshape(-1)[: self.length]
            self.positions[cells] = np.arange(self.length)
        self.k = random.standard_normal((self.n_cells, groups, d), np.float32) * 2
        self.v = random.standard_normal((self.n_cells, groups, self.e), np.float32)
        self.q = random.standard_normal((self.length, sequences, heads, d), np.float32)
        self.sinks = random.standard_normal(heads, np.float32) if "sinks" in extras else None
        self.slopes = random.random(heads, np.float32) / 10 if "slopes" in extras else None
        shape = (self.length, sequences, heads, n_pages * page)
        self.bias = random.standard_normal(shape, np.float32) if "bias" in extras else None

    def cache(self, backend, name, positions=None):
        """Keys and values, stored as a model stores them."""
        made = []
        for values, store in ((self.k, ops.store_keys), (self.v, ops.store_values)):
            quant = get(name)
            cells = Tensor(backend.empty(values.shape, quant), values.shape, quant, backend)
            store(Tensor.of(values, backend), cells, Tensor.of(np.arange(len(values)), backend))
            made.append(cells)
        return made

    def attend(self, backend, cache, tokens, **options):
        """The tokens, pairs of a position and a sequence."""
        at, of = np.array(tokens).T
        ints = (at, at, of, self.positions, self.pages, [self.length] * len(self.pages))
        given = [Tensor.of(np.asarray(x, np.int32), backend) for x in ints]
        bias = None if self.bias is None else self.bias[at, of]
        for each in (self.sinks, self.slopes, bias):
            given.append(None if each is None else Tensor.of(each, backend))
        q = Tensor.of(self.q[at, of], backend)
        return ops.attend(q, *cache, *given, page=self.page, scale=self.d**-0.5, **options)


CASES = {
    "groups of four": (Case(8, 2, 64, n_pages=40), 1100, 1, {}),
    "many tokens": (Case(8, 2, 64, n_pages=40), 1000, 33, {}),
    "one key head": (Case(24, 1, 32, n_pages=9), 200, 3, {}),
    "a window": (Case(4, 4, 32, n_pages=40), 1040, 70, {"window": 90}),
    "sequences": (Case(4, 2, 32, n_pages=6, sequences=3, extras=("sinks",)), 150, 5, {}),
    "distances": (Case(4, 2, 64, n_pages=8, extras=("slopes", "bias")), 130, 6, {}),
    "a cap, odd values": (Case(2, 2, 32, e=64, n_pages=8), 100, 2, {"softcap": 5.0}),
    "small pages": (Case(4, 2, 32, n_pages=20, page=8), 100, 3, {}),
    "large pages": (Case(4, 2, 32, n_pages=3, page=64), 150, 3, {}),
}


# every kind in two formats, and every format in two kinds: each pair is a kernel to compile
PAIRS = [(name, kind) for kind in CASES for name in ("F16", "Q8_0")]
PAIRS += [(name, kind) for name in ("F32", "BF16", "Q4_0") for kind in list(CASES)[:2]]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_attention_is_its_definition(name, kind, exact, cpu):
    case, start, n, options = CASES[kind]
    tokens = [(at, s) for s in range(len(case.pages)) for at in range(start, start + n)]
    want = case.attend(NUMPY, case.cache(NUMPY, name), tokens, **options).numpy()
    size = np.sqrt(np.square(want).mean())
    for backend, allowed in ((exact, 5e-6), (cpu, ROUNDING[name])):
        got = case.attend(backend, case.cache(backend, name), tokens, **options).numpy()
        assert np.sqrt(np.square(got - want).mean()) <= allowed * size


@pytest.mark.parametrize("name", ["F16", "Q8_0"])
def test_bits_depend_neither_on_company_nor_on_threads(name):
    """One token with the keys shared out, several, and many, which meet the keys otherwise."""
    case, results = Case(8, 2, 64, n_pages=80, sequences=2), []
    for threads in (1, 2, 3):
        backend = backends.get("cpu", threads=threads)
        cache = case.cache(backend, name)
        many = [(at, s) for at in range(2400, 2440) for s in (1, 0)]
        for tokens in (many, sorted(many, key=lambda token: token[1]), many[7:10]):
            got = case.attend(backend, cache, tokens).numpy()
            results.append(dict(zip(tokens, got, strict=True)))
        for token in many[7:10]:
            results.append({token: case.attend(backend, cache, [token]).numpy()[0]})
    for result in results:
        assert all(np.array_equal(got, results[0][token]) for token, got in result.items())


def test_a_plan_stays_right_while_the_context_grows(cpu):
    case = Case(8, 2, 64, n_pages=40)
    cache, at = case.cache(cpu, "F16"), 40
    lengths = Tensor.of(np.array([41], np.int32), cpu)
    position, q = Tensor.of(np.array([40]), cpu), Tensor.of(case.q[40], cpu)
    rest = [Tensor.of(np.asarray(x, np.int32), cpu) for x in ([0], case.positions, case.pages)]

    def attend():
        return ops.attend(
            q, *cache, position, position, *rest, lengths, None, None, None, page=PAGE, scale=0.1
        )

    plan = record(attend)
    run = cpu.compile(plan)
    for at in (40, 700, 1024, 1200):
        for tensor, value in ((position, at), (lengths, at + 1)):
            cpu.write(tensor.buffer, np.array([value], np.int32))
        cpu.write(q.buffer, case.q[at])
        run()
        replayed = plan.output.numpy().copy()
        assert np.array_equal(replayed, attend().numpy())


@pytest.mark.parametrize("name", FORMATS)
class TestCells:
    """Whatever the form, cells are read and written as rows."""

    def cells(self, backend, name, store, n_cells=96):
        quant, shape = get(name), (n_cells, 3, 64)
        cells = Tensor(backend.empty(shape, quant), shape, quant, backend)
        values = np.random.default_rng(1).standard_normal(shape, np.float32)
        store(Tensor.of(values, backend), cells, Tensor.of(np.arange(n_cells), backend))
        return cells, quant.quantize(values)

    @pytest.mark.parametrize("store", [ops.store_keys, ops.store_values])
    def test_read_and_write(self, name, store, cpu):
        cells, raw = self.cells(cpu, name, store)
        some = np.array([95, 3, 40, 41])
        assert np.array_equal(cpu.get(cells.buffer), raw)
        assert np.array_equal(cpu.get(cells.buffer, some), raw[some])
        cpu.write(cells.buffer, raw[:4], some)
        raw[some] = raw[:4].copy()
        assert np.array_equal(cpu.get(cells.buffer), raw)

    @pytest.mark.parametrize("store", [ops.store_keys, ops.store_values])
    def test_copies(self, name, store, cpu):
        cells, raw = self.cells(cpu, name, store)
        sources, targets = np.arange(0, 32), np.arange(64, 96)
        ops.copy_cells(cells, Tensor.of(sources, cpu), Tensor.of(targets, cpu))
        raw[targets] = raw[sources]
        assert np.array_equal(cpu.get(cells.buffer), raw)

    def test_a_slot_below_zero_is_none_and_the_last_of_equal_ones_counts(self, name, cpu):
        cells, raw = self.cells(cpu, name, ops.store_keys)
        new = np.random.default_rng(2).standard_normal((4, 3, 64), np.float32)
        ops.store_keys(Tensor.of(new, cpu), cells, Tensor.of(np.array([7, -1, 33, 7]), cpu))
        raw[[33, 7]] = get(name).quantize(new[[2, 3]])
        assert np.array_equal(cpu.get(cells.buffer), raw)


def test_cells_that_attention_cannot_lay_out_stay_rows(cpu):
    quant, shape = get("F16"), (20, 2, 30)
    cells = Tensor(cpu.empty(shape, quant), shape, quant, cpu)
    new = np.random.default_rng(3).standard_normal((2, 2, 30), np.float32)
    ops.store_keys(Tensor.of(new, cpu), cells, Tensor.of(np.array([19, 4]), cpu))
    assert cells.buffer.form == "rows"
    assert np.array_equal(cells.numpy()[[19, 4]], new.astype(np.float16))


def test_cells_that_a_plan_uses_keep_their_form(cpu):
    case = Case(2, 1, 32, n_pages=2)
    cache = case.cache(cpu, "F16")
    cpu.compile(record(lambda: case.attend(cpu, cache, [(40, 0)])))
    with pytest.raises(UnsupportedError, match="a plan uses these rows of F16 in another form"):
        cache[0].buffer.rows  # noqa: B018
