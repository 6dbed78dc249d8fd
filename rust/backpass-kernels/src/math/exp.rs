//! Exponentials, and what is made of them.

use crate::real::Real;
use crate::simd::Simd;

/// x brought to n ln 2 + r with integral n and |r| <= ln(2) / 2: (n, r).
#[inline(always)]
pub(super) fn reduce<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let n = s.round(s.mul(x, s.splat(T::LOG2_E[0])));
    let r = s.fnma(n, s.splat(T::LN_2[0]), x);
    (n, s.fnma(n, s.splat(T::LN_2[1]), r))
}

/// `x` between two bounds; nan stays.
#[inline(always)]
fn clamp<T: Real, S: Simd<T>>(s: S, low: T, x: S::V, high: T) -> S::V {
    s.max(s.splat(low), s.min(s.splat(high), x))
}

/// e to the x as 2**n (1 + y): (n, y).
#[inline(always)]
fn exp_parts<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let (n, r) = reduce(s, clamp(s, T::EXP_MIN, x, T::EXP_MAX));
    (n, s.fma(s.mul(r, r), s.poly(r, T::EXP), r))
}

/// e to the x.
#[inline(always)]
pub fn exp<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_exp);
    }
    let (n, y) = exp_parts(s, x);
    s.scale(s.add(s.splat(T::ONE), y), n)
}

/// e to the x + low, for `low` within the rounding of x.
#[inline(always)]
pub(super) fn exp_sum<T: Real, S: Simd<T>>(s: S, x: S::V, low: S::V) -> S::V {
    let (n, r) = reduce(s, clamp(s, T::EXP_MIN, x, T::EXP_MAX));
    let sum = s.add(r, low);
    let y = s.fma(s.mul(sum, sum), s.poly(sum, T::EXP), sum);
    let lost = s.sub(low, s.sub(sum, r));
    s.scale(s.add(s.splat(T::ONE), s.add(y, lost)), n)
}

/// 2 to the x.
#[inline(always)]
pub fn exp2<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_exp2);
    }
    let x = clamp(s, T::EXP2_MIN, x, T::EXP2_MAX);
    let n = s.round(x);
    let r = s.sub(x, n);
    s.scale(s.fma(r, s.poly(r, T::EXP2), s.splat(T::ONE)), n)
}

/// e to the x, less 1.
#[inline(always)]
pub fn expm1<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_expm1);
    }
    let (one, half) = (s.splat(T::ONE), s.splat(T::HALF));
    let (n, r) = reduce(s, clamp(s, T::EXPM1_MIN, x, T::EXP_MAX));
    let y = s.fma(s.mul(r, r), s.poly(r, T::EXPM1), r);
    // 2**n y + (2**n - 1), all halved because 2**n may overflow before the sum does.
    let power = s.scale(one, s.sub(n, one));
    let sum = s.fma(power, y, s.sub(power, half));
    let value = s.select(s.eq(n, s.splat(T::ZERO)), y, s.add(sum, sum));
    s.copysign(value, x)
}

/// The logistic function, 1 / (1 + exp(-x)).
#[inline(always)]
pub fn expit<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    if !S::FUSED {
        return s.map(x, std_expit);
    }
    // q = a / d with e = exp(-|x|), d = 1 + e, and a = e for negative x, else 1.
    let (n, y) = exp_parts(s, s.neg(s.abs(x)));
    let power = s.add(one, y);
    let e = s.scale(power, n);
    let d = s.add(one, e);
    let negative = s.lt(x, zero);
    let a = s.select(negative, e, one);
    let q = s.div(a, d);
    // What e, d and q lost in rounding, divided by d, which is 1 / q or about 1 / (1 - q).
    let e_lost = s.scale(s.sub(y, s.sub(power, one)), n);
    let d_lost = s.add(s.sub(e, s.sub(d, one)), e_lost);
    let a_lost = s.select(negative, e_lost, zero);
    let lost = s.fnma(q, d_lost, s.add(s.fnma(q, d, a), a_lost));
    s.fma(lost, s.select(negative, s.sub(one, q), q), q)
}

/// The same in double precision.
fn std_expit<T: Real>(x: T) -> T {
    let x = x.wide();
    let e = (-x.abs()).exp();
    T::of(if x < 0.0 { e } else { 1.0 } / (1.0 + e))
}
