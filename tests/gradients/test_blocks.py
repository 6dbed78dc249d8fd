"""The least that is differentiated: what HIPS autograd 1.9 has, and what it lacks."""

import pytest

from .catalogue import CASES

#: What HIPS autograd differentiates, by module; aliases count as the function that they name.
PARITY = {
    "numpy": """
        absolute add max min angle append arccos arccosh arcsin arcsinh arctan arctan2 arctanh array
        array_split astype atleast_1d atleast_2d atleast_3d block broadcast_to c_ clip column_stack
        concatenate conj cos cosh cross cumsum deg2rad diag diagonal diff divide dot dsplit dstack
        einsum exp exp2 expand_dims expm1 fabs fliplr flipud fmax fmin full getitem gradient hsplit
        hstack hypot imag inner kron linspace log log10 log1p log2 logaddexp logaddexp2 matmul
        maximum mean minimum moveaxis multiply nan_to_num negative outer pad partition power prod
        r_ rad2deg ravel real real_if_close reciprocal remainder repeat reshape roll rollaxis rot90
        select sin sinc sinh sort split sqrt square squeeze stack std subtract sum swapaxes tan tanh
        tensordot tile trace transpose tril triu var vsplit vstack where
    """,
    "numpy.linalg": "cholesky det eig eigh inv multi_dot norm pinv slogdet solve svd",
    "numpy.fft": """
        fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift irfft irfft2 irfftn rfft rfft2 rfftn
    """,
    "scipy.special": """
        beta betainc betaln erf erfc erfcinv erfinv expit gamma gammainc gammaincc gammaln i0 i1 iv
        ive j0 j1 jn logit logsumexp multigammaln polygamma psi rgamma softmax y0 y1 yn
    """,
    "scipy.stats": """
        beta.cdf beta.logpdf beta.pdf chi2.cdf chi2.logpdf chi2.pdf dirichlet.logpdf dirichlet.pdf
        gamma.cdf gamma.logpdf gamma.pdf multivariate_normal.entropy multivariate_normal.logpdf
        multivariate_normal.pdf norm.cdf norm.logcdf norm.logpdf norm.logsf norm.pdf norm.sf
        poisson.cdf poisson.logpmf poisson.pmf t.cdf t.logcdf t.logpdf t.pdf
    """,
    "scipy.signal": "convolve",
    "scipy.linalg": "solve_banded solve_sylvester solve_triangular sqrtm",
    "scipy.integrate": "odeint",
}
#: What it lacks.
BEYOND = {
    "numpy": """
        apply_along_axis asarray ascontiguousarray average broadcast_arrays cbrt choose compress
        convolve copy copysign corrcoef correlate cov cumprod cumulative_prod cumulative_sum delete
        diagflat divmod ediff1d extract flip float_power fmod frexp geomspace heaviside i0 insert
        interp ldexp logspace matrix_transpose matvec median meshgrid modf nancumprod nancumsum
        nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar
        percentile piecewise polyfit polyval positive ptp put_along_axis quantile resize take
        take_along_axis trapezoid unstack unwrap vander vdot vecdot vecmat
    """,
    "numpy.linalg": """
        cond eigvals eigvalsh lstsq matrix_norm matrix_power qr svdvals tensorinv tensorsolve
        vector_norm
    """,
    "numpy.fft": "hfft ihfft",
    "scipy.linalg": """
        block_diag cho_factor cho_solve cholesky det eigh expm inv logm lu_factor lu_solve qr solve
        svd toeplitz
    """,
    "scipy.special": """
        entr erfcx exp1 expi expn i0e i1e k0 k1 kl_div kv log_ndtr log_softmax loggamma ndtr ndtri
        rel_entr xlog1py xlogy zeta
    """,
    "scipy.signal": "convolve2d correlate fftconvolve lfilter",
    "scipy.integrate": "quad simpson solve_ivp trapezoid",
}
#: Calls that it gets wrong or refuses, by the case that has them.
ARGUMENTS = """
    sort-rows sort-3d partition-axis_0 pad-reflect pad-symmetric pad-wrap pad-edge pad-linear_ramp
    pad-maximum pad-minimum pad-mean pad-median roll-axes repeat-counts diagonal-1
    diagonal-axes_offset broadcast_to-new_axes clip-broadcast rollaxis-negative gradient-step
    gradient-coordinates_1d einsum-ellipsis einsum-ellipses einsum-path_optimal norm-1 norm-inf
    norm-2 norm-matrix_1
    norm-matrix_inf norm-matrix_2 norm-matrix_-2 norm-matrix_nuc fft-squared_odd rfft-squared_odd
""".split()


@pytest.mark.parametrize("block", [PARITY, BEYOND], ids=["parity", "beyond"])
def test_every_function_of_the_block_is_checked(block):
    covered = {(case.module, case.name) for case in CASES if case.order >= 2}
    wanted = {(module, name) for module, names in block.items() for name in names.split()}
    assert not wanted - covered


def test_more_than_300_functions_are_differentiated():
    assert len({(case.module, case.name) for case in CASES}) > 300


def test_every_argument_that_others_refuse_is_checked():
    assert not set(ARGUMENTS) - {case.id for case in CASES if case.order >= 2}
