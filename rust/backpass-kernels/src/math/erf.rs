//! The error function and its complement.

use super::exp::{exp, exp_sum};
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

/// 1 - erf(x), without cancellation: exp(-x**2) / (1 + 2 x) times a polynomial.
#[inline(always)]
pub fn erfc<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_erfc);
    }
    let (one, two, middle) = (s.splat(T::ONE), s.splat(T::TWO), s.splat(T::ERFC_MID));
    let a = s.min(s.splat(T::ERFC_MAX), s.abs(x));
    let square = s.mul(a, a);
    let lost = s.fma(a, a, s.neg(square));
    let e = exp_sum(s, s.neg(square), s.neg(lost));
    let q = s.div(s.sub(a, middle), s.add(a, middle));
    let value = s.mul(e, s.div(s.poly(q, T::ERFCX), s.fma(a, two, one)));
    let far = s.select(s.lt(x, s.splat(T::ZERO)), s.sub(two, value), value);
    let near = s.fma(x, s.poly(square, T::ERF), x);
    s.select(s.lt(a, s.splat(T::of(0.4))), s.sub(one, near), far)
}
