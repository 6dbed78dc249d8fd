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

/// The natural logarithm of 1 + x.
#[inline(always)]
pub fn log1p<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_log1p);
    }
    let one = s.splat(T::ONE);
    let u = s.add(one, x);
    let (m, e) = s.split(u);
    let f = s.sub(m, one);
    // What 1 + x lost in rounding; the larger of the two is subtracted first.
    let lost = s.select(s.lt(x, one), s.sub(x, s.sub(u, one)), s.sub(one, s.sub(u, x)));
    let low = s.fma(e, s.splat(T::LN_2[1]), rest(s, f));
    let low = s.add(low, s.div(lost, u));
    let value = s.fma(e, s.splat(T::LN_2[0]), s.add(f, low));
    s.copysign(limits(s, u, value), x)
}
