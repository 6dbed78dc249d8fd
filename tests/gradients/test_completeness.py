"""The catalogue has every public function that is differentiable, and every operand with a rule."""

import importlib
import types

import numpy
import pytest

import backpass.numpy
from backpass.core import Tensor, vjp
from backpass.core.primitive import Primitive

from .cases import flat, has
from .catalogue import CASES, NO_GRADIENT, WITHOUT_GRADIENT
from .places import primitives
from .running import weights

EXCLUDED = frozenset().union(*WITHOUT_GRADIENT.values())
MODULES = sorted({case.module for case in CASES})
COVERED = {module: {case.name for case in CASES if case.module == module} for module in MODULES}


def namespace_of(module):
    return importlib.import_module(f"backpass.{module}")


def named(namespace, name):
    """Return what a public name stands for; `norm.pdf` is a method of `norm`."""
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def public_names(namespace):
    """Return a module's public names, those of the methods of its distributions among them."""
    for name in namespace.__all__:
        found = getattr(namespace, name)
        plain = types.ModuleType | float | tuple | numpy.bool
        if callable(found) or found is None or isinstance(found, plain):
            yield name
        else:
            methods = [m for m in dir(found) if not m.startswith("_")]
            yield from (
                (f"{name}.{m}" for m in methods if callable(getattr(found, m)))
                if methods
                else [name]
            )


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_catalogue_or_has_no_gradient(module):
    namespace = namespace_of(module)
    excluded = EXCLUDED if module == "numpy" else NO_GRADIENT.get(module, frozenset())
    # What the names stand for, so that an alias counts.
    known = [named(namespace, name) for name in COVERED[module] if has(namespace, name)]
    missing = [
        name
        for name in public_names(namespace)
        if name not in excluded and named(namespace, name) not in known
    ]
    assert not missing, f"add cases to tests/gradients/catalogue for {missing}"


def test_the_names_without_gradient_exist():
    for module, names in NO_GRADIENT.items():
        assert names <= set(public_names(namespace_of(module)))


def test_no_name_is_both_in_the_catalogue_and_excluded():
    assert not COVERED["numpy"] & EXCLUDED


def test_the_excluded_names_exist():
    assert not EXCLUDED - set(backpass.numpy.__all__)
    count = sum(len(names) for names in WITHOUT_GRADIENT.values())
    assert count == len(EXCLUDED), "a name has two reasons"


def test_the_cases_have_names_of_their_own_and_are_public():
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids), {i for i in ids if ids.count(i) > 1}
    public = {name for module in MODULES for name in public_names(namespace_of(module))}
    assert {case.name for case in CASES} - public == {"getitem", "setitem"}


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_an_excluded_name_has_indeed_no_gradient(name):
    found = getattr(backpass.numpy, name)
    if isinstance(found, Primitive):
        assert found.kind == "zero"
    reason = next(r for r, names in WITHOUT_GRADIENT.items() if name in names)
    if reason.startswith("a type"):
        kinds = type | types.ModuleType | float | tuple | numpy.bool
        assert found is None or isinstance(found, kinds)
    elif reason.startswith("something to index"):
        assert hasattr(found, "__getitem__")
    else:
        assert callable(found)


def edges(outputs):
    """Return which operands of which primitives a graph has, as (name, position)."""
    found, seen = set(), set()
    waiting = [t.node for t in outputs if isinstance(t, Tensor) and t.node is not None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        for i, parent in enumerate(node.parents):
            if parent is not None:
                found.add((node.primitive.name, i))
                waiting.append(parent)
    return found


def recorded(case):
    """Return the edges of a case's graph, and of the graphs of its first two derivatives.

    The cotangents depend on the arguments, so that transposed maps are differentiated, too.
    """
    namespace = namespace_of(case.module)
    found = set()

    def derivative(order):
        def f(*xs):
            if order:
                out, pull = vjp(derivative(order - 1), *xs)
                scale = 1 + sum(backpass.numpy.sum(x) for x in xs)
                made = flat(pull([w * scale for w in weights(out)]))
            else:
                made = flat(case.call(namespace, *xs))
            found.update(edges(made))
            return made

        return f

    vjp(derivative(2), *case.arguments())
    return found


def test_every_operand_with_a_rule_is_differentiated_in_some_case():
    reached = set().union(*map(recorded, CASES))
    wanted = {
        (p.name, i)
        for p in (*primitives("backpass.core"), *primitives("backpass.nn.functional"))
        if p.kind not in ("", "zero") and p.joint is None
        for i, rule in enumerate(p.vjps)
        if rule is not None and not rule.refusal
    }
    # No function of NumPy's or SciPy's: test_checkpoint.py differentiates it.
    missing = sorted(wanted - reached - {("checkpoint_name", 0)})
    assert not missing, f"no case differentiates {missing}"
