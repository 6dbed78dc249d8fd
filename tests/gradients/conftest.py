"""What the gradient tests share: every one of them runs on every backend."""

from collections.abc import Iterator

import pytest

from .places import PLACES, Place


@pytest.fixture(params=list(PLACES))
def backend(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Give each place that computes, one after the other."""
    with PLACES[request.param]() as place:
        yield place
