"""Ordinary differential equations: SciPy's solvers, and the derivatives of what they find.

The derivative of a solution solves a differential equation, too, and so a whole solution is one
node of the graph (`solution.py`).  Reverse mode integrates the adjoint equation backwards
(`adjoint.py`), forward mode the variational equation (`variational.py`); both read y along the way
from the interpolant of the forward solve.  Where the rules are themselves differentiated, y is
solved for beside its derivatives, and that is again a solution: any order.

Source: L. S. Pontryagin et al., "The Mathematical Theory of Optimal Processes" (1962); R. T. Q.
Chen et al., "Neural Ordinary Differential Equations", NeurIPS (2018).
"""
