"""Discrete Fourier transforms, differentiable."""

__all__: list[str] = []
