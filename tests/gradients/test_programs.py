"""Random programs: operations that reuse, broadcast, cut, write and join each other's results."""

import numpy
import pytest

from backpass.core import Tensor
from backpass.core.testing import check_grads

from .programs import Program, library


@pytest.mark.parametrize("seed", range(100))
def test_a_random_program(seed, backend):
    program = Program(seed)
    args = [backend.put(x) for x in program.args]
    value = program(backend.namespace, *map(Tensor, args))
    numpy.testing.assert_allclose(
        backend.fetch(value), program(library, *program.args), rtol=1e-10, err_msg=str(program)
    )
    try:
        # The programs bend sharply here and there: differences of them are good to less.
        check_grads(
            lambda *xs: program(backend.namespace, *xs),
            args,
            order=2,
            rtol=1e-4,
            atol=1e-4,
            eps=1e-5,
        )
    except Exception as error:
        error.add_note(str(program))
        raise
