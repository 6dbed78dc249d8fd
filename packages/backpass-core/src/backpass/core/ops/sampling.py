"""Random numbers as Tensors, on one device.

`Sampling(numpy)` and `Sampling(cupy)` hold the functions of the array library's module `random`.
Samples are not tracked.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from backpass.core.complaints import complain, explaining_methods
from backpass.core.tensor import Tensor
from backpass.core.values import plain


def _wrapped(made: Any, library: Any) -> Any:
    return made if made is None else Tensor(library.asarray(made)[()])


class Generator:
    """A library's random generator whose samples are Tensors; every method goes to it.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rng.standard_normal(2)
    Tensor([ 0.12573022, -0.13210486])
    """

    def __init__(self, generator: Any, library: ModuleType) -> None:
        self._generator = generator
        self._library = library

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._generator, name)
        if not callable(found) or name in ("spawn",):
            return found

        def sample(*args: Any, **kwargs: Any) -> Any:
            try:
                made = found(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
                return _wrapped(made, self._library)
            except Exception as error:
                complain(error)

        return sample

    def __getstate__(self) -> Any:
        return self.__dict__

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"Generator({self._generator!r})"


@explaining_methods
class Sampling:
    """The functions of one library's module `random`.

    Parameters
    ----------
    library
        `numpy` or `cupy`.
    """

    def __init__(self, library: ModuleType) -> None:
        self._library: Any = library

    def _sample(self, name: str, *args: Any, **kwargs: Any) -> Any:
        function = getattr(self._library.random, name)
        made = function(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        return _wrapped(made, self._library)

    def seed(self, seed: int | None = None) -> None:
        """Seed the functions of this module; `default_rng` makes generators of their own."""
        self._library.random.seed(seed)

    def default_rng(self, seed: Any = None) -> Generator:
        """Make a generator whose samples are Tensors."""
        return Generator(self._library.random.default_rng(plain(seed)), self._library)

    def rand(self, *shape: int) -> Tensor:
        """Uniform samples from [0, 1)."""
        return self._sample("rand", *shape)  # type: ignore[no-any-return]

    def randn(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return self._sample("randn", *shape)  # type: ignore[no-any-return]

    def random(self, size: Any = None) -> Tensor:
        """Uniform samples from [0, 1)."""
        return self._sample("random", size)  # type: ignore[no-any-return]

    def standard_normal(self, size: Any = None) -> Tensor:
        """Draw from the standard normal distribution."""
        return self._sample("standard_normal", size)  # type: ignore[no-any-return]

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Tensor:
        """Draw from a normal distribution; no gradient flows to loc and scale."""
        return self._sample("normal", loc, scale, size)  # type: ignore[no-any-return]

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Tensor:
        """Draw from [low, high); no gradient flows to the bounds."""
        return self._sample("uniform", low, high, size)  # type: ignore[no-any-return]

    def randint(self, low: int, high: int | None = None, size: Any = None) -> Tensor:
        """Integers from [low, high)."""
        return self._sample("randint", low, high, size)  # type: ignore[no-any-return]

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Tensor:
        """Draw elements of `a`, or numbers below `a`."""
        return self._sample("choice", a, size, replace, p)  # type: ignore[no-any-return]

    def permutation(self, x: Any) -> Tensor:
        """Return the elements of x, or the numbers below x, in random order."""
        return self._sample("permutation", x)  # type: ignore[no-any-return]

    def shuffle(self, x: Any) -> None:
        """Put the elements of an array, or of an untracked Tensor, in random order, in place.

        Raises
        ------
        TypeError
            If x is a tracked Tensor: index it with a permutation instead.
        """
        if isinstance(x, Tensor):
            if x.tracked:
                raise TypeError("shuffle of a tracked Tensor: use x[permutation(len(x))]")
            x = x.writable()
        self._library.random.shuffle(x)
