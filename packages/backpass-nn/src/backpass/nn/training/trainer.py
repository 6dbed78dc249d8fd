"""The training loop."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy

from backpass.core import no_grad, tree
from backpass.core.backends import backend_of
from backpass.core.values import plain
from backpass.nn import saving
from backpass.nn.functional.precision import wide
from backpass.nn.half_precision import half_precision, halved, lowered
from backpass.nn.metrics import Metric
from backpass.nn.module import Module
from backpass.nn.optimizers import LossScaler, clip_grad_norm, clip_grad_value
from backpass.nn.training.batches import grouped, moved
from backpass.nn.training.callback import Callback
from backpass.nn.training.checks import (
    check_loss,
    check_numbers,
    check_parts,
    check_size,
    described,
)
from backpass.nn.training.finiteness import Before, not_finite_gradients
from backpass.nn.training.measures import Measures
from backpass.nn.training.progress import ProgressBar


class Trainer:
    """Trains a model on batches.

    Parameters
    ----------
    model : Module
        With Parameters that are not frozen.
    optimizer
        Made for the model's Parameters, such as `backpass.nn.optimizers.Adam`. Its learning rate
        may be a schedule. Needed are `step` and `zero_grad`; for checkpoints, its state, too.
    loss : callable
        ``loss(prediction, target)`` returns a Tensor of one element, the mean over a batch.
    metrics : iterable of Metric, or mapping of str to Metric
        What else is measured, on the training batches as they are learned from, and in `evaluate`.
    callbacks : iterable of Callback
        What is told as the training goes; see `Callback`.
    accumulate : int
        How many batches one step is made of. Their gradients are weighted by their sizes, so that
        the step is that of one large batch, the last one of an epoch too.
    clip_norm, clip_value : float, optional
        Bounds for the gradients of each step: for the norm of all together, as
        `backpass.nn.optimizers.clip_grad_norm` sets it, and then for each element. With a bound for
        the norm, gradients that are infinite or nan stop the training, too; it has to be waited
        for, then.
    precision : {"float32", "float16", "bfloat16"}
        What the model computes in, as in `backpass.nn.half_precision`; its Parameters stay in
        float32. The first of a pair, the input, is rounded as well. In float16 the loss is scaled
        by a `backpass.nn.optimizers.LossScaler`, and the optimizer must be one of
        `backpass.nn.optimizers`: a step with gradients that are infinite or nan is left out. With
        a bound for the norm they stop the training if they are so at a scale of 1.
    progress : bool
        Whether `fit` shows a progress bar.

    Attributes
    ----------
    scaler : LossScaler or None
        What scales the loss, in float16.
    epoch : int
        How many epochs are complete.
    step : int
        How many steps have been taken, in all epochs.
    batch : int
        How many batches of the present epoch have been learned from.
    measured : Measures
        The loss and the metrics over these batches: ``trainer.measured.compute()``.
    history : list of dict
        A row for each epoch: ``"epoch"``, from 1; ``"loss"`` and the metrics, over the training
        batches as they were learned from; ``"learning_rate"``, of the optimizer's first group at
        the end; with ``validation_`` before their names, the loss and the metrics over the batches
        for validation.
    stopping : bool
        Whether `stop` has been called.

    Raises
    ------
    TypeError
        If the model is not a Module, the optimizer has no `step`, or a metric is none.
    ValueError
        If the model has no Parameters, or all are frozen; if a number is out of range.

    Notes
    -----
    A batch is a pair ``(x, target)`` of arrays, Tensors, or trees of them. For other batches, such
    as those without targets, define `compute` in a subclass. What lies on another device than the
    model is moved there; nothing else differs between devices.

    The loss is looked at before each step is taken. While a GPU still computes the gradients its
    value is under way already, so that the GPU need not pause.

    Examples
    --------
    >>> import numpy
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.seed(0)
    >>> x = numpy.random.default_rng(0).standard_normal((64, 3)).astype("f4")
    >>> y = x @ numpy.array([[1.0], [-2.0], [0.5]], "f4")
    >>> batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    >>> model = nn.Linear(3, 1)
    >>> trainer = Trainer(
    ...     model,
    ...     nn.optimizers.SGD(model, learning_rate=0.1),
    ...     lambda prediction, target: np.mean((prediction - target) ** 2),
    ...     progress=False,
    ... )
    >>> history = trainer.fit(batches, epochs=30)
    >>> history[-1]["loss"] < 1e-3 < history[0]["loss"]
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        loss: Any,
        *,
        metrics: Iterable[Metric] | Mapping[str, Metric] = (),
        callbacks: Iterable[Callback] = (),
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        precision: str = "float32",
        progress: bool = True,
    ) -> None:
        check_parts(model, optimizer)
        check_numbers(accumulate=accumulate, clip_norm=clip_norm, clip_value=clip_value)
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self._half = None if precision == "float32" else halved(precision)
        self.scaler = LossScaler() if self._half == "float16" else None
        self.measured = Measures(metrics)
        found = [*callbacks, *([ProgressBar()] if progress else [])]
        self.callbacks = sorted(found, key=lambda callback: callback.last)
        self.epoch = self.step = self.batch = 0
        self.history: list[dict[str, Any]] = []
        self.stopping = False
        self.loader: Any = None
        self.epochs = 0
        self._loader_state: Any = None
        self._home: Any = None
        self._buffers: list[Any] = []

    # ----- the loop ------------------------------------------------------------------------------

    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        validation: Iterable[Any] | None = None,
        *,
        resume: Any = None,
    ) -> list[dict[str, Any]]:
        """Train until so many epochs are complete.

        Parameters
        ----------
        loader : iterable of batches
            Gone through once in each epoch: a `DataLoader`, or a list.
        epochs : int
            How many epochs in all. A trainer that has loaded a checkpoint, or is asked to fit
            again, goes on from where it is.
        validation : iterable of batches, optional
            Measured after each epoch.
        resume : path-like, optional
            A checkpoint to go on from, if there is one.

        Returns
        -------
        list of dict
            `history`.

        Raises
        ------
        NonFiniteError
            If a loss is infinite or nan; it says in which operation that began. The step has not
            been taken.
        ValueError
            If the loader gives no batch, or the loss has more than one element.
        TypeError
            If the loss is not a Tensor that depends on a Parameter.
        """
        self._set_out(loader, epochs, resume)
        with self._errors_told():
            self._tell("on_fit_begin")
            while self.epoch < epochs and not self.stopping:
                if not self.model.training:
                    self.model.train()
                if not self.batch:
                    self.measured.reset()
                self._tell("on_epoch_begin")
                for batches in grouped(loader, self.accumulate, self.batch):
                    self._take_step(batches)
                    self._tell("on_step_end")
                    if self.stopping:
                        break
                else:
                    self._end_epoch(validation)
                    self._tell("on_epoch_end")
            self._tell("on_fit_end")
        return self.history

    def _take_step(self, batches: Sequence[Any]) -> None:
        """Learn from the batches of one step."""
        batches, sizes = zip(*[moved(batch, self._home) for batch in batches])
        for batch, size in zip(batches, sizes):
            before = Before(self._buffers)
            with self._rounded():
                batch = self._lowered(batch)
                loss, prediction, target = self.compute(batch)
            check_loss(loss)
            # The copy begins here; a GPU computes the gradients while it is waited for.
            arriving = backend_of((loss.value,)).begin_to_host(loss.value)
            loss = loss if len(batches) == 1 else loss * (size / sum(sizes))
            if self.scaler is None:
                loss.backward()
            else:
                with numpy.errstate(over="ignore", invalid="ignore"):  # it finds out for itself
                    self.scaler.scale(loss).backward()
            value = arriving().item()
            if not math.isfinite(value):
                self.optimizer.zero_grad()
                with self._rounded():
                    raise before.diagnosed(self, batch, value)
            self.measured.update(value, size, self._shown(prediction), plain(target))
            self.batch += 1
        if self.scaler is None:
            self._clip()
            self.optimizer.step()
        else:
            self.scaler.unscale(self.optimizer)
            self._clip()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()
        self.step += 1

    def _rounded(self) -> Any:
        """Let the model compute in half precision, if it is to."""
        if self._half is None:
            return contextlib.nullcontext()
        return half_precision(self.model, self._half)

    def _lowered(self, batch: Any) -> Any:
        """Return a batch with its input in half precision, if that is what is computed in."""
        return batch if self._half is None else lowered(batch, self._half)

    def _shown(self, prediction: Any) -> Any:
        """Return what the metrics are given of a prediction: half precision as single."""
        if self._half is None:
            return plain(prediction)
        return tree.map(lambda x: wide(plain(x)) if hasattr(x, "dtype") else x, prediction)

    def _clip(self) -> None:
        """Bring the gradients within their bounds."""
        if self.clip_norm is not None:
            norm = float(clip_grad_norm(self.model, self.clip_norm))
            if not math.isfinite(norm) and (self.scaler is None or self.scaler.value <= 1):
                error = not_finite_gradients(self, norm)
                self.optimizer.zero_grad()
                raise error
        if self.clip_value is not None:
            clip_grad_value(self.model, self.clip_value)

    def _end_epoch(self, validation: Iterable[Any] | None) -> None:
        """Note what has been measured in this epoch, and go on to the next."""
        if not self.batch:
            raise ValueError(
                f"fit: `loader` gave no batch in epoch {self.epoch + 1}: it is empty, or an "
                "iterator that can be gone through only once; pass a DataLoader or a list"
            )
        row = self.measured.compute()
        rates = getattr(self.optimizer, "learning_rates", None)
        if rates:
            row["learning_rate"] = rates[0]
        if validation is not None:
            found = self.evaluate(validation)
            row.update({f"validation_{name}": value for name, value in found.items()})
        self.epoch, self.batch = self.epoch + 1, 0
        self.history.append({"epoch": self.epoch, **{k: _listed(v) for k, v in row.items()}})

    def compute(self, batch: Any) -> tuple[Any, Any, Any]:
        """Return the loss of a batch, and what the metrics are given: prediction and target.

        Define it in a subclass for batches that are not pairs. It may be called twice with one
        batch: where the loss was not finite, to find out why.
        """
        try:
            x, target = batch
        except (TypeError, ValueError):
            raise TypeError(
                f"Trainer: a batch must be a pair (x, target), not {described(batch)}: define "
                "`compute` in a subclass of Trainer for others"
            ) from None
        prediction = self.model(x)
        return self.loss(prediction, target), prediction, target

    def evaluate(self, loader: Iterable[Any]) -> dict[str, Any]:
        """Return the mean loss and the metrics over batches, with the model as in `Module.eval`.

        Nothing is recorded, and the modules' `training` is afterwards what it was before.

        Raises
        ------
        ValueError
            If the loader gives no batch, or the loss has more than one element.
        """
        measures, home = self.measured.fresh(), next(self.model.parameters())
        batches = 0
        with self._evaluating(), no_grad():
            for given in loader:
                batch, size = moved(given, home)
                with self._rounded():
                    loss, prediction, target = self.compute(self._lowered(batch))
                check_size(loss)
                measures.update(plain(loss).reshape(()), size, self._shown(prediction), target)
                batches += 1
        if not batches:
            raise ValueError("evaluate: `loader` gave no batch: there is nothing to measure")
        return measures.compute()

    def stop(self) -> None:
        """Let `fit` end after this step, or after this epoch if it is at an end."""
        self.stopping = True

    # ----- its state -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return how far the training is: what a checkpoint keeps beside model and optimizer."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "batch": self.batch,
            "stopping": self.stopping,
            "history": list(self.history),
            "measured": self.measured.state_dict(),
            "callbacks": {name: c.state_dict() for name, c in self._named_callbacks().items()},
            **({} if self.scaler is None else {"scaler": self.scaler.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned.

        Callbacks are known by their classes. Those that the state does not have begin anew.
        """
        self.epoch, self.step, self.batch = (state[key] for key in ("epoch", "step", "batch"))
        self.stopping = bool(state["stopping"])
        self.history[:] = state["history"]
        self.measured.load_state_dict(state["measured"])
        if self.scaler is not None and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        for name, callback in self._named_callbacks().items():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save a checkpoint: model, optimizer, loader, random numbers, and how far they are.

        Raises
        ------
        TypeError
            If the optimizer has no state that could be saved.
        OSError
            If the file cannot be written.
        """
        saving.save_checkpoint(path, step=self.step, **self.parts())

    def load(self, path: str | os.PathLike[str]) -> bool:
        """Go on from a checkpoint: a file, or the newest in a folder that is whole.

        Returns
        -------
        bool
            Whether there was one.

        Raises
        ------
        CorruptFileError, ValueError
            As from `backpass.nn.load_checkpoint`, if it is damaged or does not fit. Nothing has
            been changed then.
        """
        if os.path.isfile(path):
            found = saving.load_checkpoint(path, **self.parts())
        else:
            latest = saving.Checkpoints(path).load_latest(**self.parts())
            if latest is None:
                return False
            found = latest
        # The state of a loader that `fit` is yet to be given.
        self._loader_state = found.values.get("loader")
        return True

    def parts(self) -> dict[str, Any]:
        """Return what a checkpoint holds, by the names that it has there."""
        for method in ("state_dict", "load_state_dict"):
            if not hasattr(self.optimizer, method):
                raise TypeError(
                    f"Trainer: `optimizer`, {described(self.optimizer)}, has no method "
                    f"`{method}`: a checkpoint needs its state"
                )
        loader = {"loader": self.loader} if hasattr(self.loader, "state_dict") else {}
        return {"model": self.model, "optimizer": self.optimizer, "trainer": self, **loader}

    # ----- the rest ------------------------------------------------------------------------------

    def _set_out(self, loader: Any, epochs: int, resume: Any) -> None:
        """Let the loader be where the training is."""
        self.loader, self.epochs = loader, epochs
        # Looked up once: a search through the model takes as long as a small step.
        self._home, self._buffers = next(self.model.parameters()), list(self.model.buffers())
        if resume is not None:
            self.load(resume)
        if self._loader_state is None and self.batch and hasattr(loader, "state_dict"):
            # It was stopped in the middle of an epoch, perhaps of a batch: that one comes again.
            state = loader.state_dict()
            self._loader_state = state | ({"position": self.batch} if "position" in state else {})
        if self._loader_state is not None:
            if not hasattr(loader, "load_state_dict"):
                raise TypeError(
                    "fit: the checkpoint holds the state of a loader, but `loader` is "
                    f"{described(loader)}: pass the DataLoader again"
                )
            loader.load_state_dict(self._loader_state)
            self._loader_state = None
        self.optimizer.zero_grad()

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    @contextlib.contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            error.add_note(f"Trainer: after {self.batch} batches of epoch {self.epoch + 1}")
            for callback in self.callbacks:
                callback.on_error(self, error)
            raise

    def _tell(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    def _named_callbacks(self) -> dict[str, Callback]:
        found: dict[str, Callback] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            number = sum(name.partition(".")[0] == kind for name in found)
            found[f"{kind}.{number}"] = callback
        return found


def _listed(value: Any) -> Any:
    """Return a measured value as JSON can hold it."""
    return value.tolist() if hasattr(value, "tolist") else value


__all__ = ["Trainer"]
