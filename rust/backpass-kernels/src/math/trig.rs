//! Sine, cosine and tangent.

use crate::real::Real;
use crate::simd::Simd;

/// (r, q) for x = n pi / 2 + r, q in {-2, ..., 2} congruent to n modulo 4.
#[inline(always)]
fn reduce<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let n = s.round(s.mul(x, s.splat(T::FRAC_2_PI)));
    let mut r = x;
    for part in T::FRAC_PI_2 {
        r = s.fnma(n, s.splat(part), r);
    }
    let turns = s.round(s.mul(n, s.splat(T::of(0.25))));
    (r, s.fnma(turns, s.splat(T::of(4.0)), n))
}

/// (sin r, cos r, q)
#[inline(always)]
fn parts<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V, S::V) {
    let (r, q) = reduce(s, x);
    let z = s.mul(r, r);
    let sin = s.fma(s.mul(r, z), s.poly(z, T::SIN), r);
    let cos = s.fnma(z, s.splat(T::HALF), s.splat(T::ONE));
    let cos = s.fma(s.mul(z, z), s.poly(z, T::COS), cos);
    (sin, cos, q)
}

/// `value`, but `exact` of arguments so large that pi / 2 in three parts does not do.
#[inline(always)]
fn far<T: Real, S: Simd<T>>(s: S, x: S::V, value: S::V, exact: impl Fn(T) -> T) -> S::V {
    let far = s.lt(s.splat(T::TRIG_MAX), s.abs(x));
    if s.any(far) {
        let large = s.select(far, x, s.splat(T::ZERO));
        return s.select(far, s.map(large, exact), value);
    }
    value
}

/// The sine.
#[inline(always)]
pub fn sin<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_sin);
    }
    let (sin, cos, q) = parts(s, x);
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let value = s.select(s.eq(s.abs(q), one), cos, sin);
    let minus = s.or(s.lt(q, zero), s.lt(one, q));
    let value = s.select(minus, s.neg(value), value);
    far(s, x, s.select(s.eq(x, zero), x, value), T::std_sin)
}

/// The cosine.
#[inline(always)]
pub fn cos<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_cos);
    }
    let (sin, cos, q) = parts(s, x);
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let value = s.select(s.eq(s.abs(q), one), sin, cos);
    let minus = s.or(s.lt(zero, q), s.lt(q, s.neg(one)));
    far(s, x, s.select(minus, s.neg(value), value), T::std_cos)
}

/// The tangent: sin / cos or -cos / sin.
#[inline(always)]
pub fn tan<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_tan);
    }
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    if !T::COMPENSATED {
        let (sin, cos, q) = parts(s, x);
        let odd = s.eq(s.abs(q), one);
        let value = s.div(s.select(odd, s.neg(cos), sin), s.select(odd, sin, cos));
        return far(s, x, s.select(s.eq(x, zero), x, value), T::std_tan);
    }
    // Sine and cosine, each with what it has lost in rounding.
    let (r, q) = reduce(s, x);
    let z = s.mul(r, r);
    let low = s.mul(s.mul(r, z), s.poly(z, T::SIN));
    let sin = s.add(r, low);
    let sin_lost = s.sub(low, s.sub(sin, r));
    let half = s.mul(z, s.splat(T::HALF));
    let high = s.sub(one, half);
    let low = s.sub(s.sub(one, high), half);
    let low = s.fma(s.mul(z, z), s.poly(z, T::COS), low);
    let cos = s.add(high, low);
    let cos_lost = s.sub(low, s.sub(cos, high));
    let odd = s.eq(s.abs(q), one);
    let above = s.select(odd, s.neg(cos), sin);
    let above_lost = s.select(odd, s.neg(cos_lost), sin_lost);
    let below = s.select(odd, sin, cos);
    let below_lost = s.select(odd, sin_lost, cos_lost);
    let inverse = s.div(one, below);
    let value = s.mul(above, inverse);
    let lost = s.fnma(value, below_lost, s.add(s.fnma(value, below, above), above_lost));
    let value = s.fma(lost, inverse, value);
    far(s, x, s.select(s.eq(x, zero), x, value), T::std_tan)
}
