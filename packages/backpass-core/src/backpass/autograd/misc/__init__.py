"""Helpers of HIPS autograd: flattened containers, fixed points, optimizers."""

from backpass.autograd.misc import fixed_points, optimizers, tracers
from backpass.autograd.misc.flatten import flatten
from backpass.autograd.misc.tracers import const_graph

__all__ = ["const_graph", "fixed_points", "flatten", "optimizers", "tracers"]
