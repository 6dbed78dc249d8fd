"""Both columns of the tables of equivalents give the same numbers."""

import numpy as np
import pytest

from backpass.core import Tensor, tree

from ..guides import GUIDES, equivalents, evaluate

MODULES = {"HIPS autograd": "autograd", "JAX": "jax", "PyTorch": "torch"}


def numbers(value):
    """List the numbers of a result in either library."""
    leaves = tree.leaves(value)
    leaves = [x.value if isinstance(x, Tensor) else x for x in leaves if x is not None]
    return [np.asarray(x.detach() if hasattr(x, "detach") else x) for x in leaves]


@pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")  # PyTorch's own
@pytest.mark.parametrize(
    ("library", "theirs", "ours"),
    [(library, *row) for library in GUIDES for row in equivalents(library)],
)
def test_equivalents_are_equal(library, theirs, ours):
    pytest.importorskip(MODULES[library], reason=f"{library} is not installed")
    expected = numbers(evaluate(library, "py", theirs))
    found = numbers(evaluate(library, "python", ours))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
        assert a.shape == b.shape
