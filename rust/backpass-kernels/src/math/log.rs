//! Logarithms.

use crate::real::Real;
use crate::simd::Simd;

/// ln(1 + f) = f + y for 0.75 <= 1 + f <= 1.5: y, from s = f / (2 + f) and
/// ln(1 + f) = 2 atanh(s) = f - f**2 / 2 + s (f**2 / 2 + R(s**2)).
#[inline(always)]
fn rest<T: Real, S: Simd<T>>(s: S, f: S::V) -> S::V {
    let q = s.div(f, s.add(f, s.splat(T::TWO)));
    let z = s.mul(q, q);
    let r = s.mul(z, s.poly(z, T::ATANH));
    let half = s.mul(s.mul(f, s.splat(T::HALF)), f);
    s.fma(q, s.add(half, r), s.neg(half))
}

/// `value` where x is positive and finite; the logarithm's limits elsewhere.
#[inline(always)]
fn limits<T: Real, S: Simd<T>>(s: S, x: S::V, value: S::V) -> S::V {
    let (zero, infinity) = (s.splat(T::ZERO), s.splat(T::INFINITY));
    let value = s.select(s.lt(x, infinity), value, x);
    let value = s.select(s.eq(x, zero), s.neg(infinity), value);
    s.select(s.lt(x, zero), s.splat(T::NAN), value)
}

/// The natural logarithm.
#[inline(always)]
pub fn ln<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_ln);
    }
    let (m, e) = s.split(x);
    let f = s.sub(m, s.splat(T::ONE));
    let low = s.fma(e, s.splat(T::LN_2[1]), rest(s, f));
    limits(s, x, s.fma(e, s.splat(T::LN_2[0]), s.add(f, low)))
}

/// The logarithm to the base whose ln has the inverse `inverse`; `two` is that of 2.
#[inline(always)]
fn to_base<T: Real, S: Simd<T>>(s: S, x: S::V, inverse: [T; 2], two: [T; 2]) -> S::V {
    let (m, e) = s.split(x);
    let f = s.sub(m, s.splat(T::ONE));
    let y = rest(s, f);
    let low = s.fma(f, s.splat(inverse[1]), s.mul(e, s.splat(two[1])));
    let low = s.fma(y, s.splat(inverse[0]), low);
    let fraction = s.fma(f, s.splat(inverse[0]), low);
    limits(s, x, s.fma(e, s.splat(two[0]), fraction))
}

/// The logarithm to base 2.
#[inline(always)]
pub fn log2<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_log2);
    }
    to_base(s, x, T::LOG2_E, [T::ONE, T::ZERO])
}

/// The logarithm to base 10.
#[inline(always)]
pub fn log10<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_log10);
    }
    to_base(s, x, T::LOG10_E, T::LOG10_2)
}

/// What `sum` = 1 + x has lost in rounding; the larger of the two is subtracted first.
#[inline(always)]
pub(super) fn lost_of_one_plus<T: Real, S: Simd<T>>(s: S, x: S::V, sum: S::V) -> S::V {
    let one = s.splat(T::ONE);
    s.select(s.lt(x, one), s.sub(x, s.sub(sum, one)), s.sub(one, s.sub(sum, x)))
}

/// ln(2**shift (sum + lost)), for `lost` within the rounding of `sum`.
#[inline(always)]
pub(super) fn ln_sum<T: Real, S: Simd<T>>(s: S, sum: S::V, lost: S::V, shift: S::V) -> S::V {
    let (m, e) = s.split(sum);
    let e = s.add(e, shift);
    let f = s.sub(m, s.splat(T::ONE));
    let low = s.fma(e, s.splat(T::LN_2[1]), rest(s, f));
    let low = s.add(low, s.div(lost, sum));
    limits(s, sum, s.fma(e, s.splat(T::LN_2[0]), s.add(f, low)))
}

/// The natural logarithm of 1 + x.
#[inline(always)]
pub fn log1p<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_log1p);
    }
    let sum = s.add(s.splat(T::ONE), x);
    let value = ln_sum(s, sum, lost_of_one_plus(s, x, sum), s.splat(T::ZERO));
    s.copysign(value, x)
}

/// ln(1 + e) for 0 <= e <= 1, the exponential of a number that is not positive.
#[inline(always)]
fn ln_one_plus<T: Real, S: Simd<T>>(s: S, e: S::V) -> S::V {
    if !S::FUSED {
        return s.map(e, T::std_log1p);
    }
    let one = s.splat(T::ONE);
    let sum = s.add(one, e);
    ln_sum(s, sum, s.sub(e, s.sub(sum, one)), s.splat(T::ZERO))
}

/// The logarithm of the logistic function.
#[inline(always)]
pub fn log_expit<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let rest = ln_one_plus(s, T::exp(s, s.neg(s.abs(x))));
    s.select(s.lt(x, s.splat(T::ZERO)), s.sub(x, rest), s.neg(rest))
}

/// The larger of two numbers, and their distance, negative.
#[inline(always)]
fn apart<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V) -> (S::V, S::V) {
    let distance = s.neg(s.abs(s.sub(x, y)));
    // Two equal infinities.
    (s.max(x, y), s.select(s.eq(x, y), s.splat(T::ZERO), distance))
}

/// ln(exp(x) + exp(y))
#[inline(always)]
pub fn logaddexp<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V) -> S::V {
    let (larger, distance) = apart(s, x, y);
    s.add(larger, ln_one_plus(s, T::exp(s, distance)))
}

/// log2(2**x + 2**y)
#[inline(always)]
pub fn logaddexp2<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V) -> S::V {
    let (larger, distance) = apart(s, x, y);
    let rest = ln_one_plus(s, T::exp2(s, distance));
    // Rounded before it is added: ln 2 is 1 then.
    s.add(larger, s.mul(rest, s.splat(T::LOG2_E[0])))
}
