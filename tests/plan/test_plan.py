"""Recording, replaying, watching, and the arena."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends.numpy import NumPy
from llamapy.errors import UnsupportedError
from llamapy.ops import looking, scope, see
from llamapy.plan import Arena, PoisonedArena, record
from llamapy.tensor import FLOAT32, Tensor

NUMPY = backends.get("numpy")


def tensor(values):
    return Tensor.of(np.asarray(values, np.float32), NUMPY)


def chain(x):
    for i in range(6):
        x = see(f"step{i}", ops.scale(x, by=2.0))
    return x


def test_a_replay_computes_again_from_what_the_buffers_hold():
    x = tensor([1, 2, 3])
    plan = record(chain, x)
    assert plan.output.numpy().tolist() == [64, 128, 192]
    NUMPY.write(x.buffer, np.array([5, 6, 7], np.float32))
    assert plan.replay().numpy().tolist() == [320, 384, 448]
    assert len(plan) == 6


def test_memory_of_the_dead_is_used_again():
    plan = record(chain, tensor(np.ones(1000)))
    assert plan.arena.n_bytes <= 2 * 4096  # one in, one out, though there are six results

    def all_alive(x):
        return [ops.scale(x, by=float(i)) for i in range(6)]

    plan = record(all_alive, tensor(np.ones(1000)))
    assert plan.arena.n_bytes >= 6 * 4000
    assert [out.numpy()[0] for out in plan.output] == [0, 1, 2, 3, 4, 5]


def test_a_view_keeps_its_memory():
    def views(x):
        y = ops.scale(x, by=2.0).view(2, 2)  # only the view is kept
        z = ops.scale(x, by=3.0)
        return y, z

    y, z = record(views, tensor([1, 2, 3, 4])).output
    assert y.numpy().tolist() == [[2, 4], [6, 8]]
    assert z.numpy().tolist() == [3, 6, 9, 12]


def test_the_arena_takes_the_smallest_piece_that_fits():
    arena = Arena()
    large, small = (arena.take((n,), FLOAT32, NUMPY) for n in (1000, 600))
    places = address(large), address(small)
    del large, small
    again = arena.take((550,), FLOAT32, NUMPY)
    assert address(again) == places[1]
    other = arena.take((8,), FLOAT32, NUMPY)  # the free piece is a hundred times larger
    assert address(other) not in places


def address(x):
    return x.buffer.__array_interface__["data"][0]


def test_plans_share_an_arena_but_not_their_outputs():
    arena = Arena()
    first = record(chain, tensor([1.0]), arena=arena)
    size = arena.n_bytes
    second = record(chain, tensor([10.0]), arena=arena)
    assert arena.n_bytes <= size + 64
    first.replay()
    second.replay()
    assert (first.output.numpy()[0], second.output.numpy()[0]) == (64, 640)


class TestPoison:
    def leak(self, x):
        """Keeps what it must not: memory without its lease."""
        y = ops.scale(x, by=2.0)
        kept = y.unleased()
        del y
        return ops.scale(kept, by=3.0)

    def test_memory_read_after_its_release_shows(self):
        x = tensor([1, 2])
        assert record(self.leak, x).output.numpy().tolist() == [6, 12]  # by luck
        plan = record(self.leak, x, arena=PoisonedArena())
        assert np.isnan(plan.output.numpy()).all()
        assert np.isnan(plan.replay().numpy()).all()

    def test_what_is_right_stays_right(self):
        plan = record(chain, tensor([1.0]), arena=PoisonedArena())
        assert plan.output.numpy().tolist() == [64]
        assert plan.replay().numpy().tolist() == [64]
        assert len(plan) == 6

    def test_released_whole_numbers_are_poisoned_in_replays_too(self):
        def route(p):
            ids = ops.choose_experts(p, None, count=2)
            return ops.expert_weights(p, ids)

        p = tensor([[0.1, 0.2, 0.7]])
        plan = record(route, p, arena=PoisonedArena())
        np.testing.assert_allclose(plan.replay().numpy(), [[0.7, 0.2]])


class TestWatching:
    def test_every_point_can_be_watched_at_its_moment(self):
        x = tensor([1.0])
        plan = record(chain, x)
        NUMPY.write(x.buffer, np.array([3], np.float32))
        seen = {name: float(v[0]) for name, v in plan.replay(watch=["*"])}
        assert seen == {f"step{i}": 3 * 2.0 ** (i + 1) for i in range(6)}
        assert plan.output.numpy().tolist() == [192]
        assert plan.names == list(seen)

    def test_patterns_choose(self):
        plan = record(chain, tensor([1.0]))
        assert [name for name, _ in plan.replay(watch=["step[13]", "other"])] == ["step1", "step3"]

    def test_scopes_make_names(self):
        def layers(x):
            for i in range(2):
                with scope(f"blk.{i}."):
                    x = see("out", ops.scale(x, by=2.0))
            return x

        assert record(layers, tensor([1.0])).names == ["blk.0.out", "blk.1.out"]
        with looking(("blk.1.*",)) as look:
            layers(tensor([1.0]))
        assert {name: v.tolist() for name, v in look.seen.items()} == {"blk.1.out": [4]}

    def test_a_hook_replaces_eagerly_and_in_every_replay(self):
        calls = []

        def hook(name, values):
            calls.append(name)
            return values + 1 if name == "step2" else None

        x = tensor([1.0])
        with looking(hooks={"step[12]": hook}):
            assert chain(x).numpy().tolist() == [72]
            plan = record(chain, x)
        assert plan.output.numpy().tolist() == [72]
        NUMPY.write(x.buffer, np.array([0], np.float32))
        assert plan.replay().numpy().tolist() == [8]
        assert calls == ["step1", "step2"] * 3
        assert plan.fallbacks == ["hook", "scale"]

    def test_nobody_looks_nothing_is_kept(self):
        x = tensor([1.0])
        assert see("name", x) is x


class TestTelling:
    def test_a_plan_prints_as_a_table(self):
        weight = Tensor.of(np.ones((4, 3)), NUMPY, name="blk.0.ffn_up.weight")
        plan = record(lambda x: see("out", ops.silu(ops.matmul(x, weight))), tensor([[1, 2, 3]]))
        text = str(plan)
        assert "2 launches on numpy" in text
        assert "matmul" in text
        assert "blk.0.ffn_up" in text
        assert "[1,3] [4,3] -> [1,4]" in text
        plan.profile(repeats=2)
        assert all(launch.seconds > 0 for launch in plan.launches)
        assert str(plan) != text

    def test_a_profile_says_where_the_time_goes(self):
        profile = record(chain, tensor(np.ones(10))).profile()
        assert profile.by(lambda launch: launch.op)["scale"][0] == 6
        assert profile.seconds == pytest.approx(sum(x.seconds for x in profile.plan.launches))
        assert "100%" in str(profile)

    def test_fallbacks_are_operations_without_a_kernel(self):
        class Toy(NumPy):
            name = "toy"
            kernels = {"scale": lambda out, x, *, by: np.multiply(x, np.float32(by), out=out)}

        plan = record(lambda x: ops.tanh(ops.scale(x, by=2.0)), Tensor.of([1.0], Toy()))
        assert plan.fallbacks == ["tanh"]
        assert [launch.kernel_name for launch in plan.launches] == ["scale", ""]


class TestRules:
    def test_values_are_not_read_while_recording(self):
        def reads(x):
            y = ops.scale(x, by=2.0)
            return ops.scale(x, by=float(y.numpy()[0]))

        with pytest.raises(UnsupportedError, match="cannot be read while a plan is recorded"):
            record(reads, tensor([1.0]))
        assert reads(tensor([1.0])).numpy().tolist() == [2]  # eagerly it may

    def test_a_plan_of_several_backends_is_in_segments(self):
        first, second = NumPy(), NumPy()
        x = Tensor.of([1.0], first)
        plan = record(lambda: ops.tanh(ops.move(ops.tanh(ops.tanh(x)), second)))
        segments = list(plan.segments())
        assert [s.backend for s in segments] == [first, second]
        assert [[launch.op for launch in s.launches] for s in segments] == [
            ["tanh", "tanh"],
            ["move", "tanh"],
        ]
        want = plan.output.numpy().copy()
        plan.output.numpy()[:] = 0
        for segment in segments:
            segment.replay()
        assert plan.output.numpy() == want == np.tanh(np.tanh(np.tanh(np.float32(1))))

    def test_an_operation_has_one_backend(self):
        a, b = tensor([1.0]), Tensor.of([1.0], NumPy())
        with pytest.raises(UnsupportedError, match="move one of them"):
            ops.add(a, b)
        assert ops.add(a, ops.move(b, a.backend)).numpy() == 2

    def test_plans_do_not_nest(self):
        with pytest.raises(UnsupportedError, match="being recorded already"):
            record(lambda: record(chain, tensor([1.0])))
        assert record(chain, tensor([1.0])).output.numpy().tolist() == [64]
