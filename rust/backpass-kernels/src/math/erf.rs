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

/// The distribution function of the normal distribution, erfc(-x / sqrt(2)) / 2, without
/// cancellation, and exp(-x**2 / 2).
#[inline(always)]
pub fn normal<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let (one, two, half) = (s.splat(T::ONE), s.splat(T::TWO), s.splat(T::HALF));
    let root = s.splat(T::of(std::f64::consts::FRAC_1_SQRT_2));
    if !S::FUSED {
        let step = s.mul(half, s.map(s.neg(s.mul(x, root)), T::std_erfc));
        return (step, exp(s, s.neg(s.mul(half, s.mul(x, x)))));
    }
    let middle = s.splat(T::ERFC_MID);
    let most = s.splat(T::of(T::ERFC_MAX.wide() * std::f64::consts::SQRT_2));
    let x = s.max(s.neg(most), s.min(most, x));
    let square = s.mul(x, x);
    let lost = s.fma(x, x, s.neg(square));
    let e = exp_sum(s, s.neg(s.mul(half, square)), s.neg(s.mul(half, lost)));
    let a = s.abs(s.mul(x, root));
    // One division for both: by a + middle in q, and by 1 + 2 a.
    let (above, below) = (s.add(a, middle), s.fma(a, two, one));
    let inverse = s.div(one, s.mul(above, below));
    let q = s.mul(s.sub(a, middle), s.mul(below, inverse));
    let tail = s.mul(s.mul(half, e), s.mul(s.poly(q, T::ERFCX), s.mul(above, inverse)));
    (s.select(s.lt(s.splat(T::ZERO), x), s.sub(one, tail), tail), e)
}
