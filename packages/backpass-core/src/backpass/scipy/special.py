"""Special functions, differentiable, on whichever device their operands lie.

Examples
--------
>>> import backpass.numpy as np
>>> import backpass.scipy.special as sp
>>> sp.logsumexp(np.zeros(4))
Tensor(1.3862943611198906)
"""

from backpass.core.ops.elementwise import expit
from backpass.core.ops.special import erf, erfc, gpu_logsumexp, log_softmax, logsumexp, softmax

__all__ = ["erf", "erfc", "expit", "gpu_logsumexp", "log_softmax", "logsumexp", "softmax"]
