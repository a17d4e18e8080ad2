"""Random numbers depend on the seed and their place alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from emberharmony import ops
from emberharmony.backend import set_random_seed, using_backend
from emberharmony.ops.random import Generator, uniform_at
from tests.backends import BACKENDS, on_device


def words(rows, seed):
    return [int(np.random.Philox(key=seed).advance(int(r) // 4).random_raw(4)[int(r) % 4]) for r in rows]


ROWS = {
    "run": np.arange(10),
    "run far out": np.arange(2**40 - 3, 2**40 + 9),
    "reversed": np.arange(20)[::-1],
    "almost a run": np.delete(np.arange(50), [3, 17]),
    "repeated": np.array([5, 5, 1]),
    "scattered": np.array([5, 1, 10**12, 4096, 4095, 2**62]),
    "unsigned": np.array([3, 2], dtype=np.uint32),
    "empty": np.array([], dtype=np.int64),
}


@pytest.mark.parametrize("what", sorted(ROWS))
@pytest.mark.parametrize("seed", [0, 7, 2**127 + 1])
def test_uniform_at(what, seed):
    rows = ROWS[what]
    want = np.array([(w >> 40) * 2.0**-24 for w in words(rows, seed)], dtype=np.float64)
    got = uniform_at(rows, seed=seed)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got.astype(np.float32), got)


def test_uniform_at_refuses():
    with pytest.raises(ValueError, match="start at 0"):
        uniform_at(np.array([-1]), seed=0)
    with pytest.raises(TypeError, match="integers"):
        uniform_at(np.array([1.0]), seed=0)


DRAWS = {
    "uniform": lambda g, n: g.uniform(size=n),
    "normal": lambda g, n: g.normal(size=n),
    "integers": lambda g, n: g.integers(10, size=n),
    "uniform between": lambda g, n: g.uniform(-2, 5, size=n),
}


@pytest.mark.parametrize("what", sorted(DRAWS))
def test_any_chunking_on_any_backend(what):
    draw = DRAWS[what]
    with using_backend("numpy"):
        want = draw(Generator(11), 1000).numpy()
    for backend in BACKENDS:
        with using_backend(on_device(backend)):
            g = Generator(11)
            parts = [draw(g, n).numpy() for n in (1, 2, 997)]
            np.testing.assert_array_equal(np.concatenate(parts), want)
            assert parts[0].dtype == want.dtype


def test_permutation(backend):
    g = Generator(5)
    order = g.permutation(100)
    assert order.dtype is ops.int64
    assert sorted(order.tolist()) == list(range(100)) != order.tolist()
    x = ops.reshape(ops.arange(20), (10, 2))
    shuffled = g.permutation(x)
    assert shuffled.backend == backend
    assert sorted(shuffled.tolist()) == x.tolist()


def test_set_random_seed(backend):
    set_random_seed(42)
    first = [ops.random.uniform(size=3).tolist(), ops.random.normal(size=(2, 2)).tolist(), ops.random.permutation(5).tolist()]
    set_random_seed(42)
    again = [ops.random.uniform(size=3).tolist(), ops.random.normal(size=(2, 2)).tolist(), ops.random.permutation(5).tolist()]
    assert first == again
    ops.random.seed()
    assert ops.random.uniform(size=3).tolist() != first[0]
    assert ops.random.uniform().shape == ()
    assert ops.random.integers(3, 4, size=2).tolist() == [3, 3]


def test_threads_share_a_stream_without_repeating():
    g = Generator(1)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: g.integers(2**32, size=100).numpy(), range(50)))
    want = Generator(1).integers(2**32, size=5000).numpy()
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(want))


def test_distributions():
    u = Generator(2).uniform(size=100_000).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 0.001
    z = Generator(3).normal(size=100_000, dtype=ops.float64).numpy()
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert (Generator(4).uniform(0.0, 1e-3, size=10_000).numpy() < np.float32(1e-3)).all()


def test_refusals():
    with pytest.raises(ValueError, match="seed"):
        Generator(-1)
    with pytest.raises(TypeError, match="float"):
        set_random_seed(1.5)
    with pytest.raises(ValueError, match="range"):
        Generator(1).integers(5, 5)


NO_DRAWS = {
    "uniform of nothing": (lambda g: g.uniform(1.0, 1.0), ValueError, "`low` must be less than `high`"),
    "uniform reversed": (lambda g: g.uniform(2, 1), ValueError, "low=2 and high=1"),
    "uniform to NaN": (lambda g: g.uniform(0, np.nan), ValueError, "`high` must be a finite number"),
    "uniform from infinity": (lambda g: g.uniform(-np.inf, 0), ValueError, "`low` must be a finite number"),
    "uniform beyond float32": (lambda g: g.uniform(0, 1e39), ValueError, "finite number within float32"),
    "uniform of too wide a range": (lambda g: g.uniform(-1e308, 1e308, dtype=ops.float64), ValueError, "difference finite"),
    "uniform integers": (lambda g: g.uniform(dtype=ops.int32), TypeError, "not int32"),
    "uniform complex": (lambda g: g.uniform(dtype="complex64"), TypeError, "not complex64"),
    "uniform between texts": (lambda g: g.uniform("0", "1"), ValueError, "`low`"),
    "uniform between arrays": (lambda g: g.uniform(np.zeros(2), 1.0), TypeError, "`low` must be one number"),
    "negative deviation": (lambda g: g.normal(0.0, -1.0), ValueError, "must not be negative, got -1"),
    "infinite deviation": (lambda g: g.normal(0.0, np.inf), ValueError, "`scale` must be a finite number"),
    "NaN for a mean": (lambda g: g.normal(np.nan), ValueError, "`loc` must be a finite number"),
    "normal booleans": (lambda g: g.normal(dtype=ops.bool), TypeError, "not bool"),
    "integers from a fraction": (lambda g: g.integers(0.5, 3), TypeError, "`low` must be an integer, got 0.5"),
    "integers to a fraction": (lambda g: g.integers(0, 3.5), TypeError, "`high` must be an integer"),
    "integers below a boolean": (lambda g: g.integers(True), TypeError, "`low`"),
    "integers beyond 64 bits": (lambda g: g.integers(2**63, 2**63 + 2), OverflowError, "does not fit in int64"),
    "negative size": (lambda g: g.uniform(size=-1), ValueError, "`size` must not be negative, got -1"),
    "negative length": (lambda g: g.normal(size=(2, -3)), ValueError, "got -3"),
    "size of a fraction": (lambda g: g.uniform(size=2.5), TypeError, "`size` must be an integer, got 2.5"),
    "length of a fraction": (lambda g: g.integers(3, size=(2.0,)), TypeError, "got 2.0"),
    "size of a boolean": (lambda g: g.uniform(size=True), TypeError, "`size`"),
    "order of less than nothing": (lambda g: g.permutation(-1), ValueError, "got -1"),
    "order of one number": (lambda g: g.permutation(ops.asarray(3)), ValueError, "without axes"),
}


@pytest.mark.parametrize("what", NO_DRAWS)
def test_impossible_draws_are_refused_and_draw_nothing(backend, what):
    draw, error, message = NO_DRAWS[what]
    g = Generator(1)
    with pytest.raises(error, match=message):
        draw(g)
    assert g.uniform(size=2).tolist() == Generator(1).uniform(size=2).tolist()


def test_integers_up_to_the_last_one(backend):
    assert set(Generator(1).integers(2**63 - 2, 2**63, size=20).tolist()) == {2**63 - 2, 2**63 - 1}
    assert Generator(1).permutation(np.int64(3)).shape == Generator(1).uniform(size=np.int64(3)).shape == (3,)
