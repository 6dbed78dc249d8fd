//! Sine and cosine.

use crate::real::Real;
use crate::simd::Simd;

/// (sin r, cos r, q) for x = n pi / 2 + r, q in {-2, ..., 2} congruent to n modulo 4.
#[inline(always)]
fn parts<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V, S::V) {
    let one = s.splat(T::ONE);
    let n = s.round(s.mul(x, s.splat(T::FRAC_2_PI)));
    let mut r = x;
    for part in T::FRAC_PI_2 {
        r = s.fnma(n, s.splat(part), r);
    }
    let turns = s.round(s.mul(n, s.splat(T::of(0.25))));
    let q = s.fnma(turns, s.splat(T::of(4.0)), n);
    let z = s.mul(r, r);
    let sin = s.fma(s.mul(r, z), s.poly(z, T::SIN), r);
    let cos = s.fnma(z, s.splat(T::HALF), one);
    let cos = s.fma(s.mul(z, z), s.poly(z, T::COS), cos);
    (sin, cos, q)
}

/// Whether an argument is so large that pi / 2 in three parts does not do.
#[inline(always)]
fn far<T: Real, S: Simd<T>>(s: S, x: S::V) -> bool {
    s.any(s.lt(s.splat(T::TRIG_MAX), s.abs(x)))
}

/// The sine.
#[inline(always)]
pub fn sin<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED || far(s, x) {
        return s.map(x, T::std_sin);
    }
    let (sin, cos, q) = parts(s, x);
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let value = s.select(s.eq(s.abs(q), one), cos, sin);
    let minus = s.or(s.lt(q, zero), s.lt(one, q));
    let value = s.select(minus, s.neg(value), value);
    s.select(s.eq(x, zero), x, value)
}

/// The cosine.
#[inline(always)]
pub fn cos<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED || far(s, x) {
        return s.map(x, T::std_cos);
    }
    let (sin, cos, q) = parts(s, x);
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let value = s.select(s.eq(s.abs(q), one), sin, cos);
    let minus = s.or(s.lt(zero, q), s.lt(q, s.neg(one)));
    s.select(minus, s.neg(value), value)
}
