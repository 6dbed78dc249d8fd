"""Distributions of `scipy.stats`, one family a file.

Each method is one primitive of x, the shape parameters, loc and scale, with the derivative in each
of them in closed form; where there is none, in shape parameters of distribution functions, by the
quadrature of `special/incomplete.py`.  SciPy computes nothing here: its machinery costs far more
than the arithmetic, and there is none on other devices.
"""
