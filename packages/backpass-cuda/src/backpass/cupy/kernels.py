"""The table of the plugin's kernels, from all families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.core.contractions import contractions
from backpass.cupy import (
    activations,
    attention,
    batch_norm,
    convolution,
    cross_entropy,
    dropout,
    elementwise,
    embedding,
    gradients,
    heads,
    linear,
    normalization,
    pooling,
    products,
    recurrent,
    reductions,
    seeds,
    soft_cross_entropy,
    softmax,
    updates,
)
from backpass.cupy.library import library, ndarray

#: By the name of the primitive, or of its rule: `"tanh"`, `"tanh.vjp"`, `"divide.vjp1"`.  What the
#: walks do most goes by the names in `core.operators`.
KERNELS: dict[str, Callable[..., Any]] = {
    **elementwise.KERNELS,
    **reductions.KERNELS,
    **softmax.KERNELS,
    **products.KERNELS,
    **convolution.KERNELS,
    **updates.KERNELS,
    **gradients.KERNELS,
    **attention.KERNELS,
    **heads.KERNELS,
    **linear.KERNELS,
    **seeds.KERNELS,
    **normalization.KERNELS,
    **batch_norm.KERNELS,
    **embedding.KERNELS,
    **pooling.KERNELS,
    **recurrent.KERNELS,
    **activations.KERNELS,
    **cross_entropy.KERNELS,
    **soft_cross_entropy.KERNELS,
    **dropout.KERNELS,
}
# On a GPU a product is one launch, however small it is: nothing is too small for it.
KERNELS.update(
    contractions(KERNELS, ndarray, lambda x: library.ascontiguousarray(x), "efdFDE", small=0)
)
