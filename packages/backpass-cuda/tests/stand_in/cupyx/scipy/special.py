"""SciPy's functions behind CuPy's rules: those that CuPy has."""

import cupy
import numpy
import scipy.special

for _name in """
bdtr bdtrc bdtri beta betainc betaincinv betaln binom boxcox boxcox1p cbrt chdtr chdtrc chdtri
cosdg cosm1 cotdg digamma ellipeinc ellipj ellipk ellipkinc ellipkm1 entr erf erfc erfcinv erfcx
erfinv exp1 exp10 exp2 expi expit expm1 expn exprel fdtr fdtrc fdtri gamma gammainc gammaincc
gammainccinv gammaincinv gammaln gammasgn gdtr gdtrc huber i0 i0e i1 i1e inv_boxcox inv_boxcox1p
j0 j1 k0 k0e k1 k1e kl_div lambertw log1p log_expit log_ndtr log_softmax loggamma logit
logsumexp lpmv multigammaln nbdtr nbdtrc nbdtri ndtr ndtri pdtr pdtrc pdtri poch polygamma
pseudo_huber psi radian rel_entr rgamma round shichi sici sinc sindg softmax sph_harm_y
spherical_yn tandg wright_bessel xlog1py xlogy y0 y1 yn zeta zetac
""".split():
    _found = getattr(scipy.special, _name)
    _ufunc = isinstance(_found, numpy.ufunc)
    globals()[_name] = cupy._Ufunc(_found) if _ufunc else cupy._passing(_found)
