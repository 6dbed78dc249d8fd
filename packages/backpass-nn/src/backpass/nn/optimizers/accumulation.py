"""One step of an optimizer for several batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import backpass.numpy as np
from backpass.core.backends import backend_of
from backpass.core.devices import beside
from backpass.core.values import plain
from backpass.nn.optimizers.hyperparameters import count
from backpass.nn.optimizers.optimizer import Optimizer
from backpass.nn.optimizers.parameters import own


class Accumulate:
    """An optimizer that takes a step with the mean of the gradients of several batches.

    A loop stays what it is: gradients add up in `.grad`, and of `step` and `zero_grad` only each
    `steps`-th does something. If each loss is the mean over its batch, and the batches are of one
    size, the step is that of one batch of them all. What was added up when an epoch ends counts in
    the next one.

    Parameters
    ----------
    optimizer : Optimizer
        Made with its parameters. Leave it to this one to call its `step` and `zero_grad`, and do
        not clear the gradients of the model by other means.
    steps : int
        How many calls of `step` make one.

    Attributes
    ----------
    pending : int
        How many gradients have been added up since the last step.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not a positive whole number, or `optimizer` is none with parameters.

    Notes
    -----
    In the pure way of use add up trees of gradients yourself: ``tree.map(lambda a, b: a + b, ...)``
    of `backpass.core`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn.optimizers import SGD
    >>> w = np.array(0.0).requires_grad_()
    >>> optimizer = Accumulate(SGD([w], learning_rate=1.0), steps=2)
    >>> for target in (1.0, 5.0, 2.0):
    ...     (0.5 * (w - target) ** 2).backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    ...     print(w.value, optimizer.pending)
    0.0 1
    3.0 0
    3.0 1
    """

    def __init__(self, optimizer: Optimizer, steps: int) -> None:
        if not isinstance(optimizer, Optimizer) or not optimizer.parameters():
            raise TypeError(
                f"Accumulate: `optimizer` must be an optimizer with parameters, such as "
                f"Adam(model), not {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.pending = 0
        self._each = count("Accumulate", "steps", steps)

    @property
    def steps(self) -> int:
        """How many steps the optimizer has taken."""
        return self.optimizer.steps

    @property
    def learning_rates(self) -> list[float]:
        """The length of the next step, for each group of parameters."""
        return self.optimizer.learning_rates

    def parameters(self) -> dict[str, Any]:
        """Return the parameters by their paths."""
        return self.optimizer.parameters()

    @property
    def waiting(self) -> bool:
        """Whether the next call of `step` only counts."""
        return self.pending + 1 < self._each

    def step(self, *, finite: Any = None) -> None:
        """Count a batch; after enough of them, let the optimizer take its step with their mean.

        Parameters
        ----------
        finite : bool or array, optional
            Whether the gradients are, as in the optimizer's `step`.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As from the optimizer's `step`; and while a CUDA graph is captured, which would do with
            every batch what is done with this one.
        """
        reached = [w for w in self.optimizer.parameters().values() if w.grad is not None]
        if reached and backend_of([w.grad for w in reached]).capturing():
            raise RuntimeError(
                "Accumulate: what a step does depends on how many came before, and every launch of "
                "the CUDA graph that is being captured would do the same: capture the gradient "
                "alone, and take the steps outside"
            )
        if self.waiting:
            self.pending += 1
            return
        sums = [w.grad for w in reached]
        for w, g in zip(reached, sums, strict=True):
            w.grad = np.divide.op(g, float(self._each))
        try:
            self.optimizer.step(finite=finite)
        except BaseException:
            for w, g in zip(reached, sums, strict=True):
                w.grad = g
            raise
        self.pending = 0

    def zero_grad(self) -> None:
        """Clear the `.grad` of all parameters, unless gradients are being added up."""
        if not self.pending:
            self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state, and with it the gradients that have been added up."""
        made = {**self.optimizer.state_dict(), "pending": self.pending}
        if self.pending:
            for name, w in self.optimizer.parameters().items():
                if w.grad is not None:
                    made[_key(name)] = own(w.grad, w.value)
        return made

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises
        ------
        ValueError
            If names, shapes or dtypes do not fit. Nothing has been changed.
        """
        rest = dict(state)
        if "pending" not in rest:
            raise ValueError("Accumulate: `pending` is missing in the state")
        pending = count("Accumulate", "pending", rest.pop("pending"), low=0)
        if pending >= self._each:
            raise ValueError(
                f"Accumulate: the state has {pending} gradients added up, but {self._each} make a "
                "step"
            )
        found = {}
        for name, w in self.optimizer.parameters().items():
            g = plain(rest.pop(_key(name), None))
            if g is not None and getattr(g, "shape", None) != w.shape:
                raise ValueError(f"Accumulate: `{_key(name)}` must be an array of shape {w.shape}")
            found[name] = g
        self.optimizer.load_state_dict(rest)
        for name, w in self.optimizer.parameters().items():
            w.grad = None if found[name] is None else own(beside(found[name], w.value), w.value)
        self.pending = pending


def _key(name: str) -> str:
    return f"{name}.gradient" if name else "gradient"
