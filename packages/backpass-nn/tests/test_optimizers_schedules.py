"""Schedules of learning rates."""

import math

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.nn.optimizers import SGD, schedules
from backpass.nn.optimizers.schedules import (
    Plateau,
    chained,
    cosine,
    exponential,
    linear,
    multistep,
    one_cycle,
    polynomial,
    step,
    warm_up,
)


def test_where_they_begin_and_end():
    for rate, first, last in (
        (cosine(2.0, 7, 0.5), 2.0, 0.5),
        (linear(2.0, 0.5, 7), 2.0, 0.5),
        (polynomial(2.0, 7, 3.0, 0.5), 2.0, 0.5),
        (warm_up(cosine(2.0, 5, 0.5), 2), 0.0, 0.5),
        (warm_up(0.5, 7, 0.25), 0.25, 0.5),
        (one_cycle(2.0, 8, initial_divisor=4, final_divisor=2), 0.5, 0.25),
        (one_cycle(2.0, 8, three_phases=True, initial_divisor=4, final_divisor=2), 0.5, 0.25),
    ):
        assert rate(0) == first
        assert rate(7) == rate(8) == rate(10**9) == pytest.approx(last)


def test_formulas():
    for i in range(30):
        assert step(0.3, 4, 0.5)(i) == pytest.approx(0.3 * 0.5 ** (i // 4))
        assert exponential(0.3, 0.9)(i) == pytest.approx(0.3 * 0.9**i)
        assert multistep(0.3, [5, 9], 0.5)(i) == pytest.approx(0.3 * 0.5 ** ((i >= 5) + (i >= 9)))
        right = 0.1 + 0.1 * (1 + math.cos(math.pi * min(i, 20) / 20))
        assert cosine(0.3, 20, 0.1)(i) == pytest.approx(right)
        assert polynomial(0.3, 20, 2)(i) == pytest.approx(0.3 * (1 - min(i, 20) / 20) ** 2)
        assert chained([1.0, linear(5.0, 0.0, 5), 2.0], [10, 13])(i) == (
            1.0 if i < 10 else 5.0 - (i - 10) if i < 13 else 2.0
        )


def test_one_cycle_peaks_where_it_should():
    for three in (False, True):
        rate = one_cycle(1.0, 100, rising=0.25, three_phases=three)
        rates = [rate(i) for i in range(100)]
        assert int(np.argmax(rates)) == 24
        assert max(rates) == 1.0
    assert rates[48] == pytest.approx(1 / 25)


def test_an_optimizer_follows_a_schedule():
    w = bnp.array([0.0])
    optimizer = SGD([w], learning_rate=schedules.step(1.0, 1, 0.5))
    for _ in range(3):
        assert optimizer.learning_rates == [0.5**optimizer.steps]
        w.grad = np.array([-1.0])
        optimizer.step()
    assert w.value.tolist() == [1.75]


def test_plateau():
    rate = Plateau(1.0, factor=0.5, patience=1, cooldown=2, min_rate=0.2)
    seen = []
    for metric in [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1]:
        rate.observe(np.float32(metric))
        seen.append(rate(0))
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2]
    assert rate.best == 1
    other = Plateau(1.0)
    other.load_state_dict(rate.state_dict())
    assert other.state_dict() == rate.state_dict()
    worst = Plateau(1.0, patience=0)
    worst.observe(float("nan"))
    assert (worst.rate, worst.best) == (0.1, None)
    assert "best" not in worst.state_dict()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: step(-1.0, 2), ValueError, "step: `learning_rate` is -1.0"),
        (lambda: step(1.0, 0), ValueError, "step: `every` is 0"),
        (lambda: step(1.0, 2.5), TypeError, "step: `every` must be a whole number"),
        (lambda: exponential(1.0, float("inf")), ValueError, "exponential: `factor` is inf"),
        (lambda: multistep(1.0, [3, 3]), ValueError, r"multistep: `milestones` is \[3, 3\]"),
        (lambda: multistep(1.0, [0]), ValueError, r"multistep: `milestones\[0\]` is 0"),
        (lambda: cosine(1.0, 0), ValueError, "cosine: `steps` is 0"),
        (lambda: cosine("1", 5), TypeError, "cosine: `learning_rate` must be a number"),
        (lambda: linear(1.0, -1.0, 5), ValueError, "linear: `final` is -1.0"),
        (lambda: polynomial(1.0, 5, -1.0), ValueError, "polynomial: `power` is -1.0"),
        (lambda: one_cycle(1.0, 3), ValueError, "one_cycle: of 3 steps, 0.3 are too few"),
        (lambda: one_cycle(1.0, 30, rising=1.0), ValueError, "`rising` is 1.0"),
        (lambda: one_cycle(1.0, 30, rising=0.5, three_phases=True), ValueError, "less than 0.5"),
        (lambda: one_cycle(1.0, 30, anneal="cos"), ValueError, "`anneal` is 'cos'"),
        (lambda: one_cycle(1.0, 30, initial_divisor=0), ValueError, "`initial_divisor` is 0"),
        (lambda: warm_up(1.0, 0), ValueError, "warm_up: `steps` is 0"),
        (lambda: warm_up(None, 5), TypeError, "warm_up: `schedule` must be a number"),
        (lambda: chained([1.0, 2.0], []), ValueError, "2 schedules need 1 milestones, not 0"),
        (lambda: Plateau(1.0, mode="best"), ValueError, "Plateau: `mode` is 'best'"),
        (lambda: Plateau(1.0, threshold_mode="x"), ValueError, "`threshold_mode` is 'x'"),
        (lambda: Plateau(1.0, factor=1.0), ValueError, "Plateau: `factor` is 1.0"),
        (lambda: Plateau(1.0).observe("low"), TypeError, "Plateau: `metric` must be a number"),
        (lambda: Plateau(1.0).load_state_dict({}), ValueError, "Plateau: the state has"),
    ],
)
def test_wrong_numbers_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
