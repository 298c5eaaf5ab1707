"""Grids as text: what the small language lets through, and what it gives."""

from __future__ import annotations

import pytest
import triton
from triton import cdiv

from twill.errors import InputError
from twill.frontend.grid import Extents, evaluate_grid, grid_text

TILE = 4


def test_names_of_the_module_become_part_of_the_text() -> None:
    heads = 3
    text = grid_text(lambda a: (cdiv(a["N"], TILE), triton.cdiv(a["M"], 2), heads))
    assert text == "lambda a: (triton.cdiv(a['N'], 4), triton.cdiv(a['M'], 2), 3)"
    assert evaluate_grid(text, {"N": 9, "M": 4}) == (3, 2, 3)


def test_two_lambdas_on_a_line_are_told_apart() -> None:
    one, two = (lambda a: (a["x"],)), (lambda b: (b["y"], 2))
    assert (grid_text(one), grid_text(two)) == ("lambda a: (a['x'],)", "lambda b: (b['y'], 2)")


def test_functions_and_tuples() -> None:
    def grid(META):
        """One program a tile."""
        return (META["x"], max(1, META["y"]))

    assert grid_text(grid) == "lambda META: (META['x'], max(1, META['y']))"
    assert grid_text((8, 2)) == "lambda a: (8, 2)"
    assert evaluate_grid("lambda a: a['x']", {"x": 5}) == (5, 1, 1)


def test_extents_of_tensors() -> None:
    text = grid_text(lambda a: (triton.cdiv(a["S"], 128), a["q"].shape[0], a["q"].size(-1) + a["k"].numel()))
    assert text == "lambda a: (triton.cdiv(a['S'], 128), a['q'].shape[0], a['q'].size(-1) + a['k'].numel())"
    assert evaluate_grid(text, {"S": 200, "q": Extents((3, 8)), "k": Extents((2, 5))}) == (2, 3, 18)


def test_anything_else_is_not_self_contained() -> None:
    assert grid_text(lambda a: (a["q"].stride(0),)) is None
    assert grid_text(lambda a: (len(open("x").read()),)) is None  # noqa: SIM115
    assert grid_text(lambda a: tuple(i for i in (1, 2))) is None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "lambda a: (__import__('os'),)",
        "lambda a: (a.__class__,)",
        "lambda a: (a.shape[0],)",
        "lambda a: (a['x'].__class__,)",
        "lambda a: (9 ** 9 ** 9,)",
        "lambda a: (1 << 10 ** 9,)",
        "lambda a: ('x' * 10 ** 12,)",
        "lambda a, b=1: (1,)",
        "lambda a: (triton.testing,)",
        "lambda a: (",
        "lambda a: ()",
        "lambda a: (1, 2, 3, 4)",
        "lambda a: (a['missing'],)",
    ],
)
def test_hostile_or_broken_text_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        evaluate_grid(text, {"x": 1})
