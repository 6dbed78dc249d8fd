"""A program for HIPS autograd: a small recurrent network that learns to continue a text."""

import numpy

import backpass.autograd.numpy as np
import backpass.autograd.numpy.random as npr
from backpass.autograd import grad
from backpass.autograd.misc.flatten import flatten
from backpass.autograd.misc.optimizers import adam

TEXT = "abcdabdcabcdabdc"
LETTERS = "abcd"
STATES = 6


def one_hot(text):
    return np.array([[1.0 * (letter == x) for x in LETTERS] for letter in text])


def initial():
    rs = npr.RandomState(0)
    return {
        "first state": 0.1 * rs.randn(STATES),
        "change": [0.5 * rs.randn(len(LETTERS) + STATES, STATES), np.zeros(STATES)],
        "predict": (0.5 * rs.randn(STATES, len(LETTERS)), np.zeros(len(LETTERS))),
    }


def log_predictions(params, inputs):
    weights, bias = params["change"]
    readout, offset = params["predict"]
    state = params["first state"]
    outputs = []
    for x in inputs:
        state = np.tanh(np.dot(np.concatenate([x, state]), weights) + bias)
        scores = np.dot(state, readout) + offset
        outputs.append(scores - np.log(np.sum(np.exp(scores))))
    return np.array(outputs)


def loss(params, i=0):
    letters = one_hot(TEXT)
    predictions = log_predictions(params, letters[:-1])
    return -np.sum(predictions * letters[1:]) / (len(TEXT) - 1)


def results():
    history = []

    def callback(params, i, g):
        history.append(loss(params))

    trained = adam(grad(loss), initial(), callback=callback, num_iters=80, step_size=0.05)
    return {
        "first gradient": flatten(grad(loss)(initial()))[0],
        "history": history,
        "trained": trained,
    }


def test_the_gradient_agrees_with_differences():
    vector, unflatten = flatten(initial())
    gradient = flatten(grad(loss)(initial()))[0]
    random = numpy.random.default_rng(0)
    for _ in range(5):
        along = random.standard_normal(vector.shape)
        eps = 1e-6
        above, below = loss(unflatten(vector + eps * along)), loss(unflatten(vector - eps * along))
        numpy.testing.assert_allclose(along @ gradient, (above - below) / (2 * eps), rtol=1e-7)


def test_the_gradient_has_the_structure_of_the_parameters():
    found = grad(loss)(initial())
    assert type(found["change"]) is list
    assert type(found["predict"]) is tuple
    assert found["predict"][0].shape == (STATES, len(LETTERS))
    assert type(found["first state"]) is numpy.ndarray


def test_training_learns_the_text():
    found = results()
    assert abs(found["history"][0] - numpy.log(len(LETTERS))) < 0.5
    assert found["history"][-1] < 0.25
    predicted = log_predictions(found["trained"], one_hot(TEXT)[:-1]).argmax(axis=1)
    right = sum(LETTERS[i] == letter for i, letter in zip(predicted, TEXT[1:], strict=True))
    assert right >= len(TEXT) - 3
