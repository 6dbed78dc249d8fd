//! The error function.

use super::exp::exp;
use crate::real::Real;
use crate::simd::Simd;

/// The error function: an odd polynomial near 0, 1 - exp(ln(erfc)) farther out.
#[inline(always)]
pub fn erf<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_erf);
    }
    let a = s.abs(x);
    let z = s.mul(x, x);
    let near = s.fma(a, s.poly(z, T::ERF), a);
    let u = s.sub(s.min(s.splat(T::ERF_MAX), a), s.splat(T::TWO));
    let far = s.sub(s.splat(T::ONE), exp(s, s.neg(s.poly(u, T::LN_ERFC))));
    s.copysign(s.select(s.lt(a, s.splat(T::ERF_SMALL)), near, far), x)
}
