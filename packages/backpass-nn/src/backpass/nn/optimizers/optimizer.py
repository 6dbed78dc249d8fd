"""`Optimizer`: what the classes of optimizers have in common, in both ways of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import Tensor, tree
from backpass.core.backends import backend_of
from backpass.core.devices import beside
from backpass.core.primitive import Primitive
from backpass.core.values import plain
from backpass.nn.optimizers.parameters import (
    Named,
    anew,
    are_groups,
    is_constant,
    named_leaves,
    own,
    owned,
    trained,
)
from backpass.nn.optimizers.state import (
    MASTER,
    Reader,
    State,
    is_half,
    kept_dtype,
    remembered,
    written,
)
from backpass.nn.optimizers.steps import (
    Array,
    LearningRate,
    Length,
    Place,
    Tree,
    alike,
    ascent,
    gather,
    is_buffer,
    schedule,
    widened,
)
from backpass.nn.optimizers.updates import cast_update

Options = dict[str, Any]


class Group:
    """Parameters with hyperparameters of their own, and what an optimizer keeps of them.

    Attributes
    ----------
    names, places, tensors
        The parameters: their paths, where they are, and the Tensors themselves.
    learning_rate, options
        The hyperparameters.
    rate
        The function from the number of a step to its length.
    slots
        The arrays that are kept, a list for each role; `None` until a gradient arrives, for
        parameters that are frozen.
    counts
        How many gradients have reached each parameter.
    clock
        The same in an array of shape () where they lie, with `capturable`.
    """

    def __init__(
        self, optimizer: Optimizer, named: Sequence[Named], learning_rate: Any, options: Options
    ) -> None:
        for x in named:
            optimizer._check_parameter(x.place, x.leaf)
        self.names = [x.name for x in named]
        self.places = [x.place for x in named]
        self.tensors: list[Tensor] = [x.leaf for x in named]
        self.learning_rate = learning_rate
        self.options = options
        self.rate = schedule(type(optimizer).__name__, learning_rate)
        self.counts = [0] * len(named)
        self.slots: list[list[Array | None]] = [
            optimizer._begun(role, self.tensors, options) for role in optimizer._kept(options)
        ]
        self.clock: Array | None = None
        if options.get("capturable"):
            self.clock = beside(numpy.zeros(()), self.tensors[0].value)

    def named(self) -> list[Named]:
        """Return the parameters, named."""
        return [Named(*x) for x in zip(self.names, self.places, self.tensors, strict=True)]


class Optimizer:
    """What the optimizers have in common; make one of a subclass, such as `Adam`.

    There are two ways of use. With the parameters given, their `.grad` is read and they are moved
    in place::

        optimizer = Adam(model, learning_rate=1e-3)
        loss(model, x).backward()
        optimizer.step()
        optimizer.zero_grad()

    The parameters are a `Module`, or Parameters and other Tensors in lists, tuples, dicts and
    dataclasses; or, for groups with hyperparameters of their own, a list of dicts
    ``{"params": ..., "learning_rate": ...}``. What a group does not say is as for all. Those whose
    `.grad` is `None`, and frozen ones, are left as they are.

    Without parameters, an optimizer is two pure functions::

        optimizer = Adam(learning_rate=1e-3)
        state = optimizer.init(params)
        gradients = grad(loss, argnums=0)(params, x)
        params, state = optimizer.update(gradients, state, params)

    Complex parameters move along the conjugate of their gradient, the direction of steepest
    descent.

    Of parameters in half precision, float16 or bfloat16, a master weight in float32 is kept, which
    the steps are added to: one that is smaller than half a unit in the parameter's last place would
    be lost there. What else is kept of them is in float32, too. Who writes into such a parameter
    writes into its master as well, by `load_state_dict`, or makes the optimizer anew.

    Attributes
    ----------
    steps : int
        How many steps have been taken: the number that a schedule is given next.
    """

    def __init__(self, params: Tree, learning_rate: LearningRate, options: Options) -> None:
        self._name = type(self).__name__
        self._learning_rate = learning_rate
        self._rate = schedule(self._name, learning_rate)
        self._options = self._checked(options)
        self.steps = 0
        self._groups = [] if params is None else self._grouped(params)

    def __repr__(self) -> str:
        shown = {"learning_rate": self._learning_rate, **self._options}
        count = sum(len(group.tensors) for group in self._groups)
        parts = [f"{count} parameters"] if count else []
        if len(self._groups) > 1:
            parts.append(f"{len(self._groups)} groups")
        return f"{self._name}({', '.join([*parts, *(f'{k}={v}' for k, v in shown.items())])})"

    # ----- what a subclass says ------------------------------------------------------------------

    def _checked(self, options: Options) -> Options:
        """Return the hyperparameters, if they are in range."""
        raise NotImplementedError

    def _roles(self, options: Options) -> tuple[str, ...]:
        """Return the names of the arrays that are kept for each parameter."""
        raise NotImplementedError

    def _kept(self, options: Options) -> tuple[str, ...]:
        """Return these, and the role of the master weights, which comes last."""
        return (*self._roles(options), MASTER)

    def _primitive(self, options: Options) -> Primitive:
        """Return what computes a step: it is given parameters, the arrays kept, and gradients."""
        raise NotImplementedError

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        """Return the keywords of the primitive."""
        raise NotImplementedError

    def _stage(self, options: Options, count: int) -> int:
        """Return what a step depends on, of how many gradients a parameter had before."""
        return 0

    def _first(self, role: str, options: Options) -> float:
        """Return what an array that is kept is filled with at first."""
        return 0.0

    def _check_parameter(self, place: Place, w: Any) -> None:
        """Raise for a parameter that this optimizer cannot train."""

    # ----- with the parameters given -------------------------------------------------------------

    def step(self, *, finite: Any = None) -> None:
        """Move the parameters against their gradients.

        Parameters
        ----------
        finite : bool or array, optional
            Whether the gradients are: where it is false, all stays as it is, but for the number of
            the step. An array of shape () on a GPU is read there, and nothing waits for it, if the
            step does not depend on how many came before, or with ``capturable=True``.

        Raises
        ------
        ValueError
            If a gradient has another shape than its parameter, or a schedule is out of range.
        TypeError
            If a gradient is complex, and its parameter is not.
        RuntimeError
            If the optimizer was made without parameters; and while a CUDA graph is captured, if it
            would keep a number that changes from step to step. In every case nothing has been
            changed.
        """
        plans = []
        for group in self._bound("step"):
            reached, gradients = gather(self._name, group.places, group.tensors)
            length = group.rate(self.steps, gradients)
            if reached:
                self._check_recording(group, reached, gradients)
                plans.append((group, reached, gradients, length))
        flag = None if finite is None else plain(finite)
        if flag is not None and not all(self._asks(plan[0], plan[2], flag) for plan in plans):
            flag = None if bool(flag) else False
        if flag is not False:
            for group, reached, gradients, length in plans:
                self._take(group, reached, gradients, length, flag)
        self.steps += 1

    def zero_grad(self) -> None:
        """Clear the `.grad` of all parameters: it becomes `None`.

        Raises
        ------
        RuntimeError
            If the optimizer was made without parameters.
        """
        for group in self._bound("zero_grad"):
            for w in group.tensors:
                w.grad = None

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by the paths under which their state is saved."""
        return {x.name: x.leaf for group in self._groups for x in group.named()}

    @property
    def learning_rates(self) -> list[float]:
        """The length of the next step, for each group of parameters."""
        rates = [group.rate for group in self._groups] or [self._rate]
        return [float(rate(self.steps, ())) for rate in rates]

    def _asks(self, group: Group, gradients: Sequence[Array], flag: Any) -> bool:
        """Tell whether a step can be left to a flag that is read where the step is computed."""
        if isinstance(flag, bool | numpy.generic | numpy.ndarray):
            return False
        if backend_of(gradients) is not backend_of((flag,)):
            return False
        return group.clock is not None or self._stage(group.options, 0) == self._stage(
            group.options, 1
        )

    def _take(
        self, group: Group, reached: list[int], gradients: list[Array], length: Length, flag: Any
    ) -> None:
        """Move the parameters of a group that gradients have reached, unless a flag is 0."""
        options = group.options
        for role, slot in zip(self._kept(options), group.slots, strict=True):
            for i in reached:
                if slot[i] is None:
                    slot[i] = self._fresh(role, group.tensors[i].value, options)
        weights = [group.tensors[i].writable() for i in reached]
        slots, counts = group.slots, group.counts
        if len(reached) < len(group.tensors):
            slots = [[slot[i] for i in reached] for slot in slots]
            counts = [counts[i] for i in reached]
        if group.clock is not None:
            group.clock += 1 if flag is None else flag
            self._run(options, weights, slots, gradients, length, group.clock, flag)
            return
        self._advance(options, weights, slots, gradients, counts, length, flag)
        for i in reached:
            group.counts[i] += 1

    def _check_recording(
        self, group: Group, reached: list[int], gradients: Sequence[Array]
    ) -> None:
        """Raise where a step is only written down, and must not be; see `refuse_recording`."""
        if group.clock is not None:
            trained = [i for i, w in enumerate(group.tensors) if not w.constant]
            if reached != trained:
                missed = next(i for i in trained if i not in reached)
                raise RuntimeError(
                    f"{self._name}: `{group.places[missed]}.grad` is None, but with "
                    "capturable=True one number of the step serves all parameters, and so all must "
                    "have a gradient: freeze it, or put it into another optimizer"
                )
        if not backend_of(gradients).capturing():
            return
        *slots, masters = group.slots
        if any(slot[i] is None for slot in slots for i in reached) or any(
            masters[i] is None and is_half(group.tensors[i].value) for i in reached
        ):
            raise RuntimeError(
                f"{self._name}: a parameter has its first gradient while a CUDA graph is captured, "
                "and what is kept of it would begin anew with every launch: take a step before"
            )
        if group.clock is None:
            self._check_stages(group.options, [group.counts[i] for i in reached], gradients)

    def _check_stages(
        self, options: Options, counts: Sequence[int], gradients: Sequence[Array]
    ) -> None:
        """Raise where a graph would keep the number of a step that depends on it."""
        if (
            gradients
            and backend_of(gradients).capturing()
            and any(
                self._stage(options, count) != self._stage(options, count + 1) for count in counts
            )
        ):
            raise RuntimeError(
                f"{self._name}: this step depends on how many came before, and every launch of the "
                "CUDA graph that is being captured would take the number of this one: "
                + (
                    "make the optimizer with capturable=True"
                    if options.get("capturable") is False
                    else "take it outside of the capture"
                )
            )

    # ----- as pure functions ---------------------------------------------------------------------

    def init(self, params: Tree) -> State:
        """Return the state to begin with, for `update`.

        Parameters
        ----------
        params : tree
            A `Module`, or Tensors or arrays in lists, tuples, dicts and dataclasses.

        Returns
        -------
        dict of str to array or number
            By the paths of the parameters, such as ``"layers.0.weight.mean"``; as in `state_dict`.

        Raises
        ------
        TypeError
            If a leaf is neither a Tensor nor an array, or holds neither floats nor complex numbers.
        ValueError
            If there is none.
        """
        named = [x for x in self._leaves(params) if not is_buffer(x.leaf)]
        if not named:
            raise ValueError(f"{self._name}: `params` holds nothing to train")
        roles = self._kept(self._options)
        slots = [self._begun(role, [x.leaf for x in named], self._options) for role in roles]
        return {
            "optimizer": self._name,
            "steps": 0,
            **written([x.name for x in named], roles, slots, [0] * len(named)),
        }

    def update(
        self,
        gradients: Tree,
        state: Mapping[str, Any],
        params: Tree,
        *,
        finite: Any = None,
    ) -> tuple[Tree, State]:
        """Return new parameters and a new state; what is given stays as it is.

        Parameters
        ----------
        gradients : tree
            As `grad(..., argnums=0)` returns them: the structure of `params`, with arrays as
            leaves, or `None` where there is no gradient.
        state : dict
            From `init`, or from the step before.
        params : tree
            As in `init`. Buffers, frozen Parameters, and what has no gradient are handed on
            themselves.
        finite : bool or array, optional
            Whether the gradients are: where it is false, all is handed on, but for the number of
            the step. What lies on a GPU is waited for.

        Returns
        -------
        params : tree
            Of the same structure and kinds.
        state : dict
            For the next step.

        Raises
        ------
        ValueError
            If the structures, or the shapes of a gradient and its parameter, differ; if `state`
            belongs to other parameters or to another optimizer; if a schedule is out of range.
        TypeError
            If a leaf is of the wrong kind, or a gradient is tracked.
        """
        found, structure = tree.flatten(params)
        given, other = tree.flatten(gradients)
        if structure != other:
            raise ValueError(
                f"{self._name}: `gradients` and `params` have different structures: {other} and "
                f"{structure}"
            )
        trained = [
            (i, x, given[i]) for i, x in enumerate(self._leaves(params)) if not is_buffer(x.leaf)
        ]
        named = [x for _, x, _ in trained]
        roles = self._kept(self._options)
        reader = Reader(self._name, state)
        steps = reader.steps()
        slots, counts = reader.kept(named, roles)
        reader.finish()
        reached = [
            k for k, (_, x, g) in enumerate(trained) if g is not None and not is_constant(x.leaf)
        ]
        ascents = [self._given(trained[k][2], named[k]) for k in reached]
        length = self._rate(steps, ascents)
        self._check_stages(self._options, [counts[k] for k in reached], ascents)
        if finite is not None and not bool(plain(finite)):
            reached = []
        if reached:
            arrays = self._copied([plain(named[k].leaf) for k in reached], slots, roles, reached)
            weights, *kept = arrays
            before = [counts[k] for k in reached]
            self._advance(self._options, weights, kept, ascents, before, length, None)
            for k, w in zip(reached, weights, strict=True):
                i, x, _ = trained[k]
                found[i] = anew(x.leaf, w)
            for slot, made in zip(slots, kept, strict=True):
                for k, array in zip(reached, made, strict=True):
                    slot[k] = array
        for k in reached:
            counts[k] += 1
        names = [x.name for x in named]
        return tree.unflatten(structure, found), {
            "optimizer": self._name,
            "steps": steps + 1,
            **written(names, roles, slots, counts),
        }

    def _copied(
        self,
        weights: list[Array],
        slots: list[list[Array | None]],
        roles: Sequence[str],
        reached: list[int],
    ) -> list[list[Array]]:
        """Return copies of the parameters that gradients have reached, and of what is kept."""
        rows: list[list[Array | None]] = [list(weights)]
        for role, slot in zip(roles, slots, strict=True):
            row = []
            for k, w in zip(reached, weights, strict=True):
                x = slot[k]
                row.append(self._fresh(role, w, self._options) if x is None else x)
            rows.append(row)
        made = iter(owned([x for row in rows for x in row if x is not None]))
        return [[x if x is None else next(made) for x in row] for row in rows]

    def _given(self, g: Any, x: Named) -> Array:
        """Return the array of a gradient for a parameter, the conjugate of a complex one."""
        value = plain(g)
        leaf = x.leaf
        fits = type(value) is type(plain(leaf)) and value.shape == leaf.shape
        if fits and value.dtype.kind == "f" and not isinstance(g, Tensor):
            return value  # as nearly always
        place = "gradients" + str(x.place).removeprefix("params")
        if isinstance(g, Tensor) and g.tracked:
            raise TypeError(
                f"{self._name}: `{place}` is tracked, and a step is not differentiated: use "
                "backpass.core.stop_gradient"
            )
        if not hasattr(value, "dtype"):
            raise TypeError(f"{self._name}: `{place}` is {type(g).__name__}, not an array or None")
        if value.shape != x.leaf.shape:
            raise ValueError(
                f"{self._name}: `{place}` has shape {value.shape}, but `{x.place}` has "
                f"{x.leaf.shape}"
            )
        return ascent(self._name, place, value, plain(x.leaf))

    # ----- saving --------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return what must be saved to go on exactly as if nothing had happened.

        Returns
        -------
        dict of str to array or number
            Copies of the arrays that are kept, by the path of the parameter and what they are, such
            as ``"layers.0.weight.mean"``, and beside them ``"layers.0.weight.step"``, how many
            gradients it had; with groups, ``"0."`` and so on comes before. The number of the step
            is ``"steps"``. What a schedule remembers, or the value of a Tensor, follows
            ``"learning_rate"``. Hyperparameters are not included: make the optimizer with them.

        Raises
        ------
        RuntimeError
            If the optimizer was made without parameters.
        """
        groups = self._bound("state_dict")
        made: State = {"optimizer": self._name, "steps": self.steps}
        for key, rate in self._remembering():
            made |= remembered(key, rate)
        for group in groups:
            counts = group.counts
            if group.clock is not None:
                counts = [int(group.clock)] * len(counts)
            copies = [[None if x is None else own(x, x) for x in slot] for slot in group.slots]
            made |= written(group.names, self._kept(group.options), copies, counts)
        return made

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Parameters
        ----------
        state : mapping
            As `state_dict` returned it, from an optimizer of the same kind for the same parameters.
            The arrays are copied, to where the parameters lie.

        Raises
        ------
        ValueError
            If names, shapes or dtypes do not fit. Nothing has been changed.
        RuntimeError
            If the optimizer was made without parameters.
        """
        groups = self._bound("load_state_dict")
        reader = Reader(self._name, state)
        steps = reader.steps()
        rates = [(rate, reader.memory(key)) for key, rate in self._remembering()]
        found = [reader.kept(group.named(), self._kept(group.options)) for group in groups]
        reader.finish()
        for rate, memory in rates:
            if isinstance(rate, Tensor):
                rate[...] = memory[""]
            else:
                rate.load_state_dict(memory)
        for group, (slots, counts) in zip(groups, found, strict=True):
            self._restore(group, slots, counts)
        self.steps = steps

    def _remembering(self) -> list[tuple[str, Any]]:
        """Return the learning rates that change by themselves or by others, and their keys."""
        several = len(self._groups) > 1
        pairs = [
            (f"{k}.learning_rate" if several else "learning_rate", group.learning_rate)
            for k, group in enumerate(self._groups)
        ]
        return [(key, r) for key, r in pairs if isinstance(r, Tensor) or hasattr(r, "state_dict")]

    def _restore(self, group: Group, slots: list[list[Array | None]], counts: list[int]) -> None:
        """Write into what a group keeps: graphs that have been captured go on with it."""
        for role, old, new in zip(self._kept(group.options), group.slots, slots, strict=True):
            for i, w in enumerate(group.tensors):
                if old[i] is None and new[i] is None:
                    continue
                if old[i] is None:
                    old[i] = self._fresh(role, w.value, group.options)
                array: Any = old[i]
                found = new[i]
                array[...] = self._fresh(role, w.value, group.options) if found is None else found
        group.counts[:] = counts
        if group.clock is not None:
            group.clock[...] = max(counts)

    # ----- parameters and steps, in both ways of use ---------------------------------------------

    def _bound(self, what: str) -> list[Group]:
        if not self._groups:
            raise RuntimeError(
                f"{self._name}.{what}() needs the parameters: {self._name}(params, ...); without "
                "them there are init(params) and update(gradients, state, params)"
            )
        return self._groups

    def _grouped(self, params: Tree) -> list[Group]:
        """Return the groups of parameters; one, where they are given as a tree."""
        if not are_groups(params):
            return [Group(self, trained(self._name, params), self._learning_rate, self._options)]
        groups = []
        owners: dict[int, Place] = {}
        for k, given in enumerate(params):
            own = dict(given)
            members = own.pop("params")
            rate = own.pop("learning_rate", self._learning_rate)
            unknown = own.keys() - self._options.keys()
            if unknown:
                raise TypeError(
                    f"{self._name}: `params[{k}]` has {sorted(unknown)[0]!r}, which is none of "
                    f"{', '.join(['params', 'learning_rate', *self._options])}"
                )
            options = self._checked({**self._options, **own})
            root = f"params[{k}]['params']"
            named = trained(self._name, members, root, f"{k}." if len(params) > 1 else "")
            for x in named:
                if id(x.leaf) in owners:
                    raise ValueError(
                        f"{self._name}: `{x.place}` is in two groups, also as "
                        f"`{owners[id(x.leaf)]}`"
                    )
                owners[id(x.leaf)] = x.place
            groups.append(Group(self, named, rate, options))
        return groups

    def _leaves(self, params: Tree) -> list[Named]:
        """Return all leaves of a tree, named, if this optimizer can train them."""
        found = named_leaves(self._name, params, "params")
        for x in found:
            if not is_buffer(x.leaf):
                self._check_parameter(x.place, x.leaf)
        return found

    def _begun(self, role: str, params: Sequence[Any], options: Options) -> list[Array | None]:
        """Return what is kept of parameters at first: nothing, as long as they are frozen."""
        return [None if is_constant(w) else self._fresh(role, plain(w), options) for w in params]

    def _fresh(self, role: str, w: Array, options: Options) -> Array | None:
        """Return a new array to be kept of a parameter, beside it; `None` for no master weight."""
        if role == MASTER:
            return own(w.astype(kept_dtype(w)), w) if is_half(w) else None
        made = np.zeros_like(w, dtype=kept_dtype(w)).writable()
        made += self._filling(role, w, options)
        return made

    def _filling(self, role: str, w: Array, options: Options) -> complex:
        """Return what an array is filled with at first: in both parts of complex numbers."""
        first = self._first(role, options)
        return complex(first, first) if w.dtype.kind == "c" else first

    def _advance(
        self,
        options: Options,
        weights: Sequence[Array],
        slots: Sequence[Sequence[Any]],
        gradients: Sequence[Array],
        counts: list[int],
        length: Length,
        flag: Any,
    ) -> None:
        """Take a step in arrays that may be written into: in one call, if that is the same step."""
        if counts.count(counts[0]) == len(counts):  # as nearly always
            stage = self._stage(options, counts[0])
            self._run(options, weights, slots, gradients, length, stage, flag)
            return
        stages = [self._stage(options, count) for count in counts]
        for stage in sorted(set(stages)):
            own = [i for i, other in enumerate(stages) if other == stage]
            self._run(
                options,
                [weights[i] for i in own],
                [[slot[i] for i in own] for slot in slots],
                [gradients[i] for i in own],
                length,
                stage,
                flag,
            )

    def _run(
        self,
        options: Options,
        weights: Sequence[Array],
        slots: Sequence[Sequence[Any]],
        gradients: Sequence[Array],
        length: Length,
        stage: Any,
        flag: Any,
    ) -> None:
        """Take a step: in one call for all parameters of a dtype, with gradients of a dtype."""
        *slots, masters = slots
        keywords = self._keywords(options, length, stage)
        if flag is not None:
            keywords["finite"] = flag
        moved = [w if m is None else m for w, m in zip(weights, masters, strict=True)]
        rows = [moved, *slots, widened(gradients)]
        for some in alike(moved, rows[-1]):
            chosen = rows if some is None else [[row[i] for i in some] for row in rows]
            self._primitive(options).run([*chain.from_iterable(chosen)], keywords)
        halves = [i for i, m in enumerate(masters) if m is not None]
        if halves:
            for some in alike([weights[i] for i in halves]):
                places = halves if some is None else [halves[k] for k in some]
                rounded = [weights[i] for i in places]
                cast_update.run([*rounded, *[moved[i] for i in places]], {})
