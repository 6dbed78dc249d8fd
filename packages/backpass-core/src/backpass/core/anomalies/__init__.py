"""Finding where a nan, an infinite value or a wrong gradient comes from."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Literal

from backpass.core.anomalies.reports import (
    Anomaly,
    AnomalyError,
    AnomalyWarning,
    Settings,
    StrongZero,
)


class detect_anomaly(contextlib.ContextDecorator):
    """Find the first operation that makes a nan or an infinity: a context manager, and a decorator.

    While it is on, in this thread, the first operation whose value is not finite raises an error
    with its operands, their values and the line of yours; and so does the first rule, in reverse or
    forward mode, that makes a derivative that is not finite, with the line that *recorded* the
    operation.  A cotangent that was infinite when it was given is called that.  And where an array
    that an operation keeps for its rule has been written to in the meantime, so that the gradient
    would be that of another function, the error names the operation and the operand.

    Strong zeros are no errors: a cotangent that is exactly 0 stays 0, even where the derivative is
    infinite or nan (`where(x > 0, log(x), 0)` at 0).  Each one that hid such a derivative is warned
    of, once a line, and counted in `strong_zeros`.

    Parameters
    ----------
    action
        `"raise"`, or `"warn"`: what is not finite, and what has changed, is warned of, once a line,
        and the program goes on.
    check_nan, check_inf
        What is not finite: a nan, an infinite value, or both.
    forward
        Whether values are looked at, or only derivatives and what is kept.  Values that are chosen
        away afterwards, as those of `log` above, raise where it is on.

    Attributes
    ----------
    found : list of Anomaly
        What has been raised or warned of.
    strong_zeros : list of StrongZero
        One for each operation, line and mode.

    Raises
    ------
    AnomalyError
        As said above.
    ValueError
        If `action` is neither.

    Notes
    -----
    Everything takes the slow way meanwhile, and rules run without the kernels that do them in one
    pass, so that gradients may differ in the last bits.  Each value is summed up, and what is kept
    is read twice more: expect several times the time.  On a GPU each operation is waited for.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import AnomalyError, detect_anomaly, grad
    >>> try:
    ...     with detect_anomaly():
    ...         grad(lambda x: np.sum(np.sqrt(x)))(np.array([0.0, 1.0]))
    ... except AnomalyError as error:
    ...     print(error.anomaly.kind, error.anomaly.operation, error.anomaly.operand)
    derivative sqrt x
    """

    def __init__(
        self,
        action: Literal["raise", "warn"] = "raise",
        *,
        check_nan: bool = True,
        check_inf: bool = True,
        forward: bool = True,
    ) -> None:
        if action not in ("raise", "warn"):
            raise ValueError(f"detect_anomaly: action={action!r}: it must be 'raise' or 'warn'")
        self._settings = Settings(action, check_nan, check_inf, forward)

    @property
    def found(self) -> list[Anomaly]:
        """What has been raised or warned of."""
        return self._settings.found

    @property
    def strong_zeros(self) -> list[StrongZero]:
        """Where a zero has hidden a derivative that is not finite: one for each line and mode."""
        return self._settings.strong_zeros

    def __enter__(self) -> detect_anomaly:
        from backpass.core.anomalies.detector import Detector
        from backpass.core.observing import enter

        enter(Detector(self._settings))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from backpass.core.observing import leave

        leave()


__all__ = ["Anomaly", "AnomalyError", "AnomalyWarning", "StrongZero", "detect_anomaly"]
