"""The catalogue has every public function that is differentiable, and every operand with a rule."""

import types

import pytest

import backpass.numpy
import backpass.scipy.special
from backpass.core import Tensor, vjp
from backpass.core.primitive import Primitive

from .cases import flat
from .catalogue import CASES, WITHOUT_GRADIENT
from .places import primitives
from .running import weights

EXCLUDED = frozenset().union(*WITHOUT_GRADIENT.values())
COVERED = {
    "numpy": {case.name for case in CASES if case.module == "numpy"},
    "scipy.special": {case.name for case in CASES if case.module == "scipy.special"},
}


def functions(namespace, covered):
    """Return the objects that the catalogue's names stand for, so that an alias counts."""
    return [getattr(namespace, name) for name in covered if hasattr(namespace, name)]


@pytest.mark.parametrize(
    ("namespace", "module"),
    [(backpass.numpy, "numpy"), (backpass.scipy.special, "scipy.special")],
    ids=["numpy", "scipy.special"],
)
def test_every_public_name_is_in_the_catalogue_or_has_no_gradient(namespace, module):
    excluded = EXCLUDED if module == "numpy" else frozenset()
    known = functions(namespace, COVERED[module])
    missing = [
        name
        for name in namespace.__all__
        if name not in excluded and not any(getattr(namespace, name) is f for f in known)
    ]
    assert not missing, f"add cases to tests/gradients/catalogue for {missing}"


def test_no_name_is_both_in_the_catalogue_and_excluded():
    assert not COVERED["numpy"] & EXCLUDED


def test_the_excluded_names_exist():
    assert not EXCLUDED - set(backpass.numpy.__all__)
    count = sum(len(names) for names in WITHOUT_GRADIENT.values())
    assert count == len(EXCLUDED), "a name has two reasons"


def test_the_cases_have_names_of_their_own_and_are_public():
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids), {i for i in ids if ids.count(i) > 1}
    public = set(backpass.numpy.__all__) | set(backpass.scipy.special.__all__)
    assert {case.name for case in CASES} - public == {"getitem", "setitem"}


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_an_excluded_name_has_indeed_no_gradient(name):
    found = getattr(backpass.numpy, name)
    if isinstance(found, Primitive):
        assert found.kind == "zero"
    reason = next(r for r, names in WITHOUT_GRADIENT.items() if name in names)
    if reason.startswith("a type"):
        assert found is None or isinstance(found, type | types.ModuleType | float)
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
    """Return the edges of a case's graph, and of the graphs of its first two derivatives."""
    namespace = backpass.numpy if case.module == "numpy" else backpass.scipy.special
    found = set()

    def derivative(order):
        def f(*xs):
            if order:
                out, pull = vjp(derivative(order - 1), *xs)
                made = flat(pull(weights(out)))
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
        for p in primitives("backpass.core")
        if p.kind not in ("", "zero") and p.joint is None
        for i, rule in enumerate(p.vjps)
        if rule is not None
    }
    missing = sorted(wanted - reached)
    assert not missing, f"no case differentiates {missing}"
