"""The type of differentiated arrays, under HIPS autograd's name."""

from backpass.core.tensor import Tensor

ArrayBox = Tensor

__all__ = ["ArrayBox"]
