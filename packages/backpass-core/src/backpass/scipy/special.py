"""Special functions, differentiable, on whichever device their operands lie.

Examples
--------
>>> import backpass.numpy as np
>>> import backpass.scipy.special as sp
>>> sp.logsumexp(np.zeros(4))
Tensor(1.3862943611198906)
"""

from backpass.core.ops.elementwise import cbrt, exp2, expit, expm1, log1p, sinc
from backpass.core.ops.special.bessel import (
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    j0,
    j1,
    jn,
    jv,
    k0,
    k0e,
    k1,
    k1e,
    kn,
    kv,
    kve,
    y0,
    y1,
    yn,
    yv,
)
from backpass.core.ops.special.convenience import cosm1, exp10
from backpass.core.ops.special.entropy import entr, kl_div, rel_entr, xlog1py, xlogy
from backpass.core.ops.special.error import erf, erfc, erfcinv, erfinv
from backpass.core.ops.special.exponential_integrals import (
    dawsn,
    erfcx,
    erfi,
    exp1,
    expi,
    expn,
    exprel,
)
from backpass.core.ops.special.exponential_sums import (
    gpu_logsumexp,
    log_softmax,
    logsumexp,
    softmax,
)
from backpass.core.ops.special.gamma import (
    beta,
    betaln,
    digamma,
    gamma,
    gammaln,
    gammasgn,
    loggamma,
    multigammaln,
    polygamma,
    psi,
    rgamma,
    zeta,
)
from backpass.core.ops.special.hypergeometric import ellipe, ellipk, hyp0f1, hyp1f1, hyp2f1, spence
from backpass.core.ops.special.incomplete import betainc, betaincc, gammainc, gammaincc
from backpass.core.ops.special.lambert import lambertw
from backpass.core.ops.special.logistic import log_expit, logit
from backpass.core.ops.special.losses import huber, pseudo_huber
from backpass.core.ops.special.normal import log_ndtr, ndtr, ndtri
from backpass.core.ops.special.student import stdtr

__all__ = [
    "beta",
    "betainc",
    "betaincc",
    "betaln",
    "cbrt",
    "cosm1",
    "dawsn",
    "digamma",
    "ellipe",
    "ellipk",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfi",
    "erfinv",
    "exp1",
    "exp2",
    "exp10",
    "expi",
    "expit",
    "expm1",
    "expn",
    "exprel",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "gpu_logsumexp",
    "huber",
    "hyp0f1",
    "hyp1f1",
    "hyp2f1",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "iv",
    "ive",
    "j0",
    "j1",
    "jn",
    "jv",
    "k0",
    "k0e",
    "k1",
    "k1e",
    "kl_div",
    "kn",
    "kv",
    "kve",
    "lambertw",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "loggamma",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "pseudo_huber",
    "psi",
    "rel_entr",
    "rgamma",
    "sinc",
    "softmax",
    "spence",
    "stdtr",
    "xlog1py",
    "xlogy",
    "y0",
    "y1",
    "yn",
    "yv",
    "zeta",
]
