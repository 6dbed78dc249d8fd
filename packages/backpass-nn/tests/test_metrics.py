"""Metrics: beside plain loops over single examples, for any division into batches."""

import copy

import numpy
import pytest

import backpass.numpy as np
from backpass.nn.metrics import F1, Accuracy, ConfusionMatrix, Mean, Metric, TopK

CLASSES = 5
EACH = (Accuracy, lambda: TopK(2), ConfusionMatrix, F1)


@pytest.fixture
def scores():
    found = numpy.random.default_rng(0).standard_normal((97, CLASSES)).astype("f4")
    found[::7] = numpy.round(found[::7])  # with ties
    return found


@pytest.fixture
def target():
    return numpy.random.default_rng(1).integers(0, CLASSES - 1, 97)  # the last class is missing


def one_hot(target):
    return numpy.eye(CLASSES, dtype="f4")[target]


def fed(metric, scores, target, sizes=(40, 1, 50, 6)):
    start = 0
    for size in sizes:
        metric.update(scores[start : start + size], target[start : start + size])
        start += size
    assert start == len(target)
    return metric.compute()


# ----- plain loops --------------------------------------------------------------------------------


def looped_matrix(scores, target):
    matrix = [[0] * CLASSES for _ in range(CLASSES)]
    for row, t in zip(scores.tolist(), target.tolist(), strict=True):
        matrix[t][row.index(max(row))] += 1
    return matrix


def looped_top(scores, target, k):
    right = 0
    for row, t in zip(scores.tolist(), target.tolist(), strict=True):
        best = sorted(range(CLASSES), key=lambda c: (-row[c], c))[:k]
        right += t in best
    return right / len(target)


def looped_f1(scores, target):
    """F1 of each class by precision and recall; `None` of a class that does not occur."""
    matrix = looped_matrix(scores, target)
    found = []
    for c in range(CLASSES):
        true, predicted = sum(matrix[c]), sum(row[c] for row in matrix)
        if not true and not predicted:
            found.append(None)
            continue
        precision = matrix[c][c] / predicted if predicted else 0
        recall = matrix[c][c] / true if true else 0
        both = precision + recall
        found.append(2 * precision * recall / both if both else 0)
    return found


FORMS = {
    "scores": lambda scores, target: (scores, target),
    "Tensors": lambda scores, target: (np.array(scores).requires_grad_(), np.array(target)),
    "one-hot": lambda scores, target: (scores, one_hot(target)),
    "one-hot integers": lambda scores, target: (scores, one_hot(target).astype(int)),
    "labels": lambda scores, target: (scores.argmax(1), target.astype("u1")),
    "labels, one-hot": lambda scores, target: (scores.argmax(1), one_hot(target)),
}


@pytest.mark.parametrize("form", FORMS)
def test_accuracy_and_confusion_matrix_count_as_loops_do(form, scores, target):
    given = FORMS[form](scores, target)
    wanted = looped_matrix(scores, target)
    matrix = fed(ConfusionMatrix(CLASSES), *given)
    assert matrix.dtype == numpy.int64
    assert matrix.tolist() == wanted
    accuracy = fed(Accuracy(), *given)
    assert type(accuracy) is float
    assert accuracy == sum(wanted[c][c] for c in range(CLASSES)) / 97


@pytest.mark.parametrize("k", range(1, CLASSES + 1))
def test_top_k_counts_as_a_loop_does(k, scores, target):
    assert fed(TopK(k), scores, target) == looped_top(scores, target, k)
    assert fed(TopK(k), scores, one_hot(target)) == looped_top(scores, target, k)
    assert TopK(k).name == f"top_{k}"


def test_f1_is_that_of_a_loop(scores, target):
    scores[:, CLASSES - 1] = -9  # the last class occurs nowhere
    wanted = looped_f1(scores, target)
    assert wanted[-1] is None
    counts = numpy.bincount(target)
    each = fed(F1(average=None), scores, target)
    numpy.testing.assert_allclose(each[:-1], wanted[:-1], rtol=1e-14)
    assert numpy.isnan(each[-1])
    close = lambda x: pytest.approx(x, rel=1e-14)  # noqa: E731
    assert fed(F1(), scores, target) == close(numpy.mean(wanted[:-1]))
    weighted = numpy.average(wanted[:-1], weights=counts)
    assert fed(F1("weighted"), scores, target) == close(weighted)
    assert fed(F1("micro"), scores, target) == close(fed(Accuracy(), scores, target))


def test_f1_of_classes_that_are_never_right_is_0():
    f1 = F1(None, classes=3)
    f1.update([1, 0], [0, 1])
    numpy.testing.assert_array_equal(f1.compute(), [0, 0, numpy.nan])
    f1 = F1("macro", classes=3)
    f1.update([1, 0], [0, 1])
    assert f1.compute() == 0


@pytest.mark.parametrize("make", EACH, ids=lambda make: make().name)
def test_the_batches_do_not_matter(make, scores, target):
    whole = fed(make(), scores, target, (97,))
    for sizes in ((1,) * 97, (96, 1), (0, 50, 0, 47)):
        numpy.testing.assert_array_equal(fed(make(), scores, target, sizes), whole)


def test_pixels_and_other_axes():
    scores = numpy.random.default_rng(0).standard_normal((3, CLASSES, 4, 2))
    target = numpy.random.default_rng(1).integers(0, CLASSES, (3, 4, 2))
    wanted = numpy.mean([scores[n, :, i, j].argmax() == target[n, i, j]
                         for n in range(3) for i in range(4) for j in range(2)])  # fmt: skip
    last = scores.transpose(0, 2, 3, 1)
    for metric in (Accuracy, lambda **how: TopK(1, **how)):
        assert fed(metric(), scores, target, (2, 1)) == pytest.approx(wanted, rel=1e-15)
        assert fed(metric(axis=-1), last, target, (2, 1)) == pytest.approx(wanted, rel=1e-15)
        one_hot_last = numpy.eye(CLASSES)[target]
        assert fed(metric(axis=-1), last, one_hot_last, (2, 1)) == pytest.approx(wanted, rel=1e-15)


def test_what_is_to_be_ignored_does_not_count(scores, target):
    masked = target.copy()
    masked[::3] = -100
    kept = masked != -100
    for make in EACH:
        wanted = fed(make(), scores[kept], target[kept], (kept.sum(),))
        numpy.testing.assert_array_equal(fed(make(), scores, masked), wanted)
    padded = numpy.where(kept, target, 4)
    assert fed(Accuracy(ignore_index=4), scores, padded) == fed(Accuracy(), scores, masked)


def test_a_mean_weighs_batches_by_their_sizes():
    values = numpy.random.default_rng(0).standard_normal(10).astype("f4")
    mean = Mean()
    for part in (values[:7], values[7:8], values[8:]):
        mean.update(numpy.float64(part.astype("f8").mean()), len(part))
    assert mean.compute() == pytest.approx(values.astype("f8").mean(), rel=1e-14)
    mean.reset()
    mean.update(np.array(numpy.float32(0.1)), 3)  # a Tensor; the sum is in float64
    mean.update(float("nan"), 0)
    assert mean.compute() == float(numpy.float32(0.1))
    with pytest.raises(ValueError, match=r"`value` has the shape \(2,\)"):
        mean.update(numpy.ones(2))
    with pytest.raises(ValueError, match="`count` is -1"):
        mean.update(1.0, -1)


def test_nan_scores_are_never_right_by_accident():
    scores = numpy.array([[0.0, numpy.nan, 1.0], [numpy.nan] * 3])
    top = TopK(2)
    top.update(scores, [0, 2])
    assert top.compute() == 0


@pytest.mark.parametrize("make", [*EACH, Mean], ids=lambda make: make().name)
def test_nothing_to_compute_is_said(make):
    metric = make()
    with pytest.raises(ValueError, match="nothing to compute: no batch has been given to update"):
        metric.compute()
    if not isinstance(metric, Mean):
        metric.update(numpy.zeros((0, 2)), numpy.zeros(0, int))
        if type(metric) is not ConfusionMatrix:
            with pytest.raises(ValueError, match="nothing to compute: the batches held no targets"):
                metric.compute()
        metric.update(numpy.zeros((1, 2)), [0])
        metric.compute()
        metric.reset()
        with pytest.raises(ValueError, match="since the last reset"):
            metric.compute()


def test_shapes_dtypes_and_ranges_are_checked():
    scores = numpy.zeros((4, 3))
    for wrong in (numpy.zeros(3, int), numpy.zeros((4, 2), int), numpy.zeros((4, 3, 1), int), 0):
        with pytest.raises(ValueError, match=r"`prediction` has the shape \(4, 3\) and `target`"):
            Accuracy().update(scores, wrong)
    with pytest.raises(TypeError, match="holds float64, but classes are integers"):
        Accuracy().update(scores, numpy.zeros(4))
    with pytest.raises(ValueError, match=r"no axis 1 for the classes"):
        Accuracy().update(numpy.zeros(4), numpy.zeros(4, int))
    with pytest.raises(ValueError, match="scores for no class"):
        Accuracy().update(numpy.zeros((4, 0)), numpy.zeros(4, int))
    with pytest.raises(ValueError, match=r"`k` is 4, but there are 3 classes"):
        TopK(4).update(scores, [0] * 4)
    with pytest.raises(ValueError, match="scores are needed"):
        TopK(1).update([0], [0])
    with pytest.raises(ValueError, match="`k` is 0"):
        TopK(0)
    with pytest.raises(ValueError, match=r"use F1\(classes=...\)"):
        F1().update([0], [0])
    with pytest.raises(ValueError, match="the batch has 3 classes, where there are 4"):
        ConfusionMatrix(4).update(scores, [0] * 4)
    with pytest.raises(ValueError, match="`classes` is 0"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="`average` is 'mean'"):
        F1("mean")
    for metric in (Accuracy(), TopK(1)):
        metric.update(scores, [0, 3, -1, 2])
        with pytest.raises(ValueError, match="2 of 4 targets are classes for which there are no"):
            metric.compute()
    matrix = ConfusionMatrix(3)
    matrix.update([0, 5, 1], [0, 1, 7])
    with pytest.raises(ValueError, match="2 targets or predictions are no classes"):
        matrix.compute()


def test_a_state_can_be_kept_and_gone_on_from(scores, target):
    for make in EACH:
        first, second = make(), make()
        first.update(scores[:30], target[:30])
        state = first.state_dict()
        assert all(type(value) is numpy.ndarray for value in state.values())
        second.load_state_dict(state)
        apart = copy.deepcopy(first)
        for metric in (first, second):
            metric.update(scores[30:], target[30:])
        numpy.testing.assert_array_equal(first.compute(), second.compute())
        numpy.testing.assert_array_equal(first.compute(), fed(make(), scores, target))
        apart.reset()
        first.compute()


def test_a_metric_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Metric has no method `update`"):
        Metric().update(0, 0)
    with pytest.raises(NotImplementedError, match="Metric has no method `compute`"):
        Metric().compute()
