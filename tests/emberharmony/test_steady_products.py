"""Products whose bits do not depend on the place of a window; others are found."""

import numpy as np
import pytest

from emberharmony import ops
from emberharmony import steady_products as module


class Steady(module.Layout):
    """A product that is rounded once, so that the order of its terms does not show."""

    def operand(self, loadings):
        return loadings.T.astype(np.float32)

    def scores(self, lines, operand):
        return (lines.astype(np.float64) @ operand.astype(np.float64)).mT.astype(np.float32)


class Unsteady(Steady):
    """The same, but the scores of the last line are rounded after every term."""

    def scores(self, lines, operand):
        found = super().scores(lines, operand)
        found[-1, :, -1] = np.cumsum(lines[-1, -1][:, None] * operand, axis=0)[-1]
        return found


@pytest.mark.parametrize("n_components", [1, 5, 32])
@pytest.mark.parametrize("depth", [3, 16, 225])
def test_a_product_whose_bits_depend_on_the_place_is_found(n_components, depth):
    assert module._are_steady((Steady(ops.float32, 16),), n_components, depth, "numpy")
    assert not module._are_steady((Unsteady(ops.float32, 16),), n_components, depth, "numpy")


class UnsteadyTogether(Unsteady):
    """The same, if three products are asked for at once."""

    def scores(self, lines, operand):
        return super().scores(lines, operand) if len(lines) == 3 else Steady.scores(self, lines, operand)


def test_products_whose_bits_depend_on_their_number_are_found():
    assert module._are_steady((UnsteadyTogether(ops.float32, 16, at_once=2),), 5, 225, "numpy")
    assert not module._are_steady((UnsteadyTogether(ops.float32, 16, at_once=4),), 5, 225, "numpy")


class InAnotherOrder(Steady):
    """A product of the same lines that adds its terms up from the last one, in float32."""

    def scores(self, lines, operand):
        terms = (lines[..., None] * operand)[..., ::-1, :]
        return np.cumsum(terms, axis=-2, dtype=np.float32)[..., -1, :].mT


def test_products_of_other_bits_are_found():
    several = Steady(ops.float32, 16), Steady(ops.float32, 64)
    assert module._are_steady(several, 5, 225, "numpy")
    assert not module._are_steady((several[1], InAnotherOrder(ops.float32, 16)), 5, 225, "numpy")


def test_a_few_windows_have_products_of_few_lines_if_the_bits_are_the_same(monkeypatch):
    layout = Steady(ops.float32, 4_096, margin=8)
    lines = {n: module.enough_for(n, layout, 5, 70).n_lines for n in (0, 1, 48, 49, 496, 497, 9_000)}
    assert lines == {0: 64, 1: 64, 48: 64, 49: 512, 496: 512, 497: 4_096, 9_000: 4_096}
    assert module.enough_for(1, Steady(ops.float32, 64), 5, 7_200).n_lines == 64
    monkeypatch.setattr(module, "_are_steady", lambda layouts, *_: layouts[-1].n_lines > 64)
    assert module.enough_for(1, layout, 5, 70).n_lines == 512
    monkeypatch.setattr(module, "_are_steady", lambda layouts, *_: len(layouts) == 1)
    assert module.enough_for(1, layout, 5, 70) is layout
