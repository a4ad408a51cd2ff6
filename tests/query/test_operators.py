import numpy as np
import pytest

from airis_mon.query.operators import number

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("lhs", "rhs", "result"),
    [(7, 3, 1), (-7, 3, -1), (7, -3, 1), (-7, -3, -1), (5.5, 2, 1.5), (1, INF, 1), (1, 0, NAN), (INF, 2, NAN)],
)
def test_modulo_has_the_sign_of_the_dividend(lhs: float, rhs: float, result: float) -> None:
    assert number("%", np.array([lhs], float), np.array([rhs], float)) == pytest.approx([result], nan_ok=True)


@pytest.mark.parametrize(
    ("lhs", "rhs", "result"),
    [
        (0, 0, 1), (NAN, 0, 1), (1, NAN, 1), (0, -1, INF), (-0.0, -1, -INF), (-1, INF, 1), (-8, 1 / 3, NAN),
        (INF, -1, 0), (0.5, INF, 0), (2, -INF, 0), (-2, 3, -8), (-INF, 3, -INF),
    ],
)  # fmt: skip
def test_power_is_that_of_ieee_754(lhs: float, rhs: float, result: float) -> None:
    assert number("^", np.array([lhs], float), np.array([rhs], float)) == pytest.approx([result], nan_ok=True)


@pytest.mark.parametrize(("lhs", "result"), [(1, INF), (-1, -INF), (0, NAN), (NAN, NAN)])
def test_division_by_zero_gives_infinity_or_nan(lhs: float, result: float) -> None:
    assert number("/", np.array([lhs], float), np.array([0.0])) == pytest.approx([result], nan_ok=True)


@pytest.mark.parametrize(("op", "result"), [("==", 0), ("!=", 1), (">", 0), ("<", 0), (">=", 0), ("<=", 0)])
def test_nan_is_only_unequal(op: str, result: float) -> None:
    assert number(op, np.array([NAN]), np.array([NAN])).tolist() == [result]


def test_atan2_takes_the_quadrant_from_both_signs() -> None:
    assert number("atan2", np.array([1.0, -1.0, 0.0]), np.array([-1.0, -1.0, -1.0])) == pytest.approx(
        [3 * np.pi / 4, -3 * np.pi / 4, np.pi]
    )
