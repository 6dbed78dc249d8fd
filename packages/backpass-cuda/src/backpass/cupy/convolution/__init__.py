"""Convolution on the GPU."""

from __future__ import annotations

from backpass.cupy.convolution.kernels import KERNELS

__all__ = ["KERNELS"]
