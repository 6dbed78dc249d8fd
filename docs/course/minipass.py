"""Backpass in a hundred lines: what chapter 3 of the course writes, put together."""

import itertools
import math

serials = itertools.count(1)


class Node:
    """One recorded operation."""

    def __init__(self, primitive, parents, saved):
        self.primitive = primitive
        self.parents = parents
        self.saved = saved
        self.serial = next(serials)


class Tensor:
    """A value, and the node that made it."""

    def __init__(self, value, node=None):
        self.value = value
        self.node = node

    def __repr__(self):
        return f"Tensor({self.value})"

    def __add__(self, other):
        return add(self, other)

    def __mul__(self, other):
        return multiply(self, other)

    def __neg__(self):
        return multiply(self, -1.0)

    __radd__, __rmul__ = __add__, __mul__


class Primitive:
    """A named function with its rules, one for each operand."""

    def __init__(self, name, function, *vjps):
        self.name = name
        self.function = function
        self.vjps = vjps

    def __call__(self, *xs):
        xs = [x if isinstance(x, Tensor) else Tensor(x) for x in xs]
        ans = Tensor(self.function(*[x.value for x in xs]))
        if any(x.node is not None for x in xs):
            ans.node = Node(self, [x.node for x in xs], (ans, *xs))
        return ans

    def pullback(self, g, node):
        return [
            None if parent is None else vjp(g, *node.saved)
            for parent, vjp in zip(node.parents, self.vjps)
        ]


add = Primitive("add", lambda x, y: x + y, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
multiply = Primitive(
    "multiply", lambda x, y: x * y, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x
)
exp = Primitive("exp", math.exp, lambda g, ans, x: g * ans)
sin = Primitive("sin", math.sin, lambda g, ans, x: g * cos(x))
cos = Primitive("cos", math.cos, lambda g, ans, x: g * -sin(x))
argument = Primitive("argument", lambda x: x, lambda g, ans, x: g)


class Subgraph:
    """What was recorded after serial number `start`, seen from the node `root`."""

    def __init__(self, root, start):
        self.order = []
        seen, stack = {root}, [root]
        while stack:
            node = stack.pop()
            if node.serial <= start:
                continue
            self.order.append(node)
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        self.order.sort(key=lambda node: node.serial, reverse=True)


def backward(subgraph, cotangents):
    """Carry `cotangents` from the root to the nodes at which the subgraph ends."""
    for node in subgraph.order:
        g = cotangents.pop(node)
        for parent, gx in zip(node.parents, node.primitive.pullback(g, node)):
            if gx is None:
                continue
            old = cotangents.get(parent)
            cotangents[parent] = gx if old is None else old + gx
    return cotangents


def grad(fun):
    """Return the function that computes the gradient of `fun` in each of its arguments."""

    def gradient(*xs):
        xs = [argument(x) for x in xs]
        for x in xs:
            x.node = x.node or Node(None, (), None)
        start = next(serials)
        ans = fun(*xs)
        cotangents = backward(Subgraph(ans.node, start), {ans.node: Tensor(1.0)})
        found = [cotangents.get(x.node, Tensor(0.0)) for x in xs]
        return found[0] if len(found) == 1 else found

    return gradient
