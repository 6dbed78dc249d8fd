"""Special functions, differentiable: plain arrays for plain arrays."""

import backpass.scipy.special as _differentiable
from backpass.autograd.plain import plainly as _plainly

beta = _plainly(_differentiable.beta)
betainc = _plainly(_differentiable.betainc)
betaincc = _plainly(_differentiable.betaincc)
betaln = _plainly(_differentiable.betaln)
cbrt = _plainly(_differentiable.cbrt)
cosm1 = _plainly(_differentiable.cosm1)
dawsn = _plainly(_differentiable.dawsn)
psi = _plainly(_differentiable.psi)
ellipe = _plainly(_differentiable.ellipe)
ellipk = _plainly(_differentiable.ellipk)
entr = _plainly(_differentiable.entr)
erf = _plainly(_differentiable.erf)
erfc = _plainly(_differentiable.erfc)
erfcinv = _plainly(_differentiable.erfcinv)
erfcx = _plainly(_differentiable.erfcx)
erfi = _plainly(_differentiable.erfi)
erfinv = _plainly(_differentiable.erfinv)
exp1 = _plainly(_differentiable.exp1)
exp10 = _plainly(_differentiable.exp10)
exp2 = _plainly(_differentiable.exp2)
expi = _plainly(_differentiable.expi)
expit = _plainly(_differentiable.expit)
expm1 = _plainly(_differentiable.expm1)
expn = _plainly(_differentiable.expn)
exprel = _plainly(_differentiable.exprel)
gamma = _plainly(_differentiable.gamma)
gammainc = _plainly(_differentiable.gammainc)
gammaincc = _plainly(_differentiable.gammaincc)
gammaln = _plainly(_differentiable.gammaln)
gammasgn = _plainly(_differentiable.gammasgn)
logsumexp = _plainly(_differentiable.logsumexp)
huber = _plainly(_differentiable.huber)
hyp0f1 = _plainly(_differentiable.hyp0f1)
hyp1f1 = _plainly(_differentiable.hyp1f1)
hyp2f1 = _plainly(_differentiable.hyp2f1)
i0 = _plainly(_differentiable.i0)
i0e = _plainly(_differentiable.i0e)
i1 = _plainly(_differentiable.i1)
i1e = _plainly(_differentiable.i1e)
iv = _plainly(_differentiable.iv)
ive = _plainly(_differentiable.ive)
j0 = _plainly(_differentiable.j0)
j1 = _plainly(_differentiable.j1)
jv = _plainly(_differentiable.jv)
k0 = _plainly(_differentiable.k0)
k0e = _plainly(_differentiable.k0e)
k1 = _plainly(_differentiable.k1)
k1e = _plainly(_differentiable.k1e)
kl_div = _plainly(_differentiable.kl_div)
kn = _plainly(_differentiable.kn)
kv = _plainly(_differentiable.kv)
kve = _plainly(_differentiable.kve)
lambertw = _plainly(_differentiable.lambertw)
log1p = _plainly(_differentiable.log1p)
log_expit = _plainly(_differentiable.log_expit)
log_ndtr = _plainly(_differentiable.log_ndtr)
log_softmax = _plainly(_differentiable.log_softmax)
loggamma = _plainly(_differentiable.loggamma)
logit = _plainly(_differentiable.logit)
multigammaln = _plainly(_differentiable.multigammaln)
ndtr = _plainly(_differentiable.ndtr)
ndtri = _plainly(_differentiable.ndtri)
polygamma = _plainly(_differentiable.polygamma)
pseudo_huber = _plainly(_differentiable.pseudo_huber)
rel_entr = _plainly(_differentiable.rel_entr)
rgamma = _plainly(_differentiable.rgamma)
sinc = _plainly(_differentiable.sinc)
softmax = _plainly(_differentiable.softmax)
spence = _plainly(_differentiable.spence)
stdtr = _plainly(_differentiable.stdtr)
xlog1py = _plainly(_differentiable.xlog1py)
xlogy = _plainly(_differentiable.xlogy)
y0 = _plainly(_differentiable.y0)
y1 = _plainly(_differentiable.y1)
yn = _plainly(_differentiable.yn)
yv = _plainly(_differentiable.yv)
zeta = _plainly(_differentiable.zeta)

digamma = psi
gpu_logsumexp = logsumexp
jn = jv

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
