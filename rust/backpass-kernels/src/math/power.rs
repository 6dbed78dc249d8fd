//! Powers and roots.

use crate::real::Real;
use crate::simd::Simd;

/// (high, low) with high + low = a + b, for |a| >= |b|.
#[inline(always)]
fn fast_sum<T: Real, S: Simd<T>>(s: S, a: S::V, b: S::V) -> (S::V, S::V) {
    let sum = s.add(a, b);
    (sum, s.sub(b, s.sub(sum, a)))
}

/// (high, low) with high + low = (a + a') (b + b'), but for what is far below both.
#[inline(always)]
fn product<T: Real, S: Simd<T>>(s: S, a: (S::V, S::V), b: (S::V, S::V)) -> (S::V, S::V) {
    let high = s.mul(a.0, b.0);
    let low = s.fma(a.0, b.0, s.neg(high));
    (high, s.fma(a.0, b.1, s.fma(a.1, b.0, low)))
}

/// ln x in two parts, for positive finite x: its relative error is a hundredth of a rounding.
///
/// x = m 2**e, f = m - 1, q = f / (2 + f) and ln m = 2 q + q**3 (2/3 + q**2 R(q**2)).
#[inline(always)]
fn ln_parts<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let (one, two) = (s.splat(T::ONE), s.splat(T::TWO));
    let (m, e) = s.split(x);
    let f = s.sub(m, one);
    let d = s.add(two, f);
    let d_lost = s.sub(f, s.sub(d, two));
    let inverse = s.div(one, d);
    let high = s.mul(f, inverse);
    let lost = s.fnma(high, d_lost, s.fnma(high, d, f));
    let q = (high, s.mul(lost, inverse));
    let z = product(s, q, q);
    let rest = s.fma(z.0, s.poly(z.0, T::ATANH_REST), s.splat(T::TWO_THIRDS[1]));
    let series = fast_sum(s, s.splat(T::TWO_THIRDS[0]), rest);
    let cubic = product(s, product(s, z, q), series);
    let double = (s.add(q.0, q.0), s.add(q.1, q.1));
    let (high, low) = fast_sum(s, double.0, cubic.0);
    let low = s.add(low, s.add(double.1, cubic.1));
    // e ln 2 is 0 or the larger part.
    let whole = s.mul(e, s.splat(T::LN_2[0]));
    let whole_low = s.fma(e, s.splat(T::LN_2[1]), s.fma(e, s.splat(T::LN_2[0]), s.neg(whole)));
    let sum = s.add(whole, high);
    let lost =
        s.select(s.eq(e, s.splat(T::ZERO)), s.splat(T::ZERO), s.sub(high, s.sub(sum, whole)));
    fast_sum(s, sum, s.add(lost, s.add(low, whole_low)))
}

/// x to the y.
#[inline(always)]
pub fn power<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V) -> S::V {
    if !S::FUSED {
        return s.map2(x, y, T::std_pow);
    }
    let (zero, one, infinity) = (s.splat(T::ZERO), s.splat(T::ONE), s.splat(T::INFINITY));
    let a = s.abs(x);
    let ln = ln_parts(s, a);
    // Beyond the bounds exp is 0 or infinite, and the low part no number.
    let high = s.mul(y, ln.0);
    let bounded = s.lt(s.abs(high), s.splat(T::EXP_MAX - T::EXP_MIN));
    let low = s.fma(y, ln.0, s.neg(high));
    let low = s.select(bounded, s.fma(y, ln.1, low), zero);
    let value = crate::math::exp::exp_sum(s, high, low);
    let ends = s.select(s.lt(zero, y), s.select(s.eq(a, zero), zero, infinity), zero);
    let ends = s.select(s.lt(y, zero), s.select(s.eq(a, zero), infinity, zero), ends);
    let value = s.select(s.or(s.eq(a, zero), s.eq(a, infinity)), ends, value);
    // A negative number has whole powers only.
    let whole = s.eq(s.round(y), y);
    let half = s.mul(y, s.splat(T::HALF));
    let odd = s.and(whole, s.ne(s.round(half), half));
    let negative = s.lt(s.copysign(one, x), zero);
    let value = s.select(s.and(negative, odd), s.neg(value), value);
    let fraction = s.and(s.lt(x, zero), s.ne(s.round(y), y));
    let value = s.select(s.and(fraction, s.lt(a, infinity)), s.splat(T::NAN), value);
    let value = s.select(s.or(s.is_nan(x), s.is_nan(y)), s.splat(T::NAN), value);
    let minus_one = s.and(s.eq(a, one), s.eq(s.abs(y), infinity));
    let unit = s.or(s.or(s.eq(x, one), s.eq(y, zero)), minus_one);
    s.select(unit, one, value)
}

/// The cube root: a first value from the logarithm, then a step of Newton's method.
#[inline(always)]
pub fn cbrt<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_cbrt);
    }
    let third = s.splat(T::of(1.0 / 3.0));
    let a = s.abs(x);
    let y = T::exp(s, s.mul(T::ln(s, a), third));
    let step = s.sub(s.div(a, s.mul(y, y)), y);
    let value = s.fma(step, third, y);
    let ordinary = s.and(s.lt(s.splat(T::ZERO), a), s.lt(a, s.splat(T::INFINITY)));
    s.copysign(s.select(ordinary, value, a), x)
}

/// sqrt(x**2 + y**2) without overflow on the way.
#[inline(always)]
pub fn hypot<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V) -> S::V {
    if !S::FUSED {
        return s.map2(x, y, T::std_hypot);
    }
    let (one, infinity) = (s.splat(T::ONE), s.splat(T::INFINITY));
    let (ax, ay) = (s.abs(x), s.abs(y));
    let larger = s.max(ax, ay);
    // Halves of the exponents' range: what is shrunk is large enough, what grows small enough.
    let big = s.lt(s.splat(T::ROOT_HUGE), larger);
    let small = s.lt(larger, s.splat(T::ROOT_TINY));
    let chosen = |up, down| s.select(big, down, s.select(small, up, one));
    let factor = chosen(s.splat(T::GROW), s.splat(T::SHRINK));
    let back = chosen(s.splat(T::SHRINK), s.splat(T::GROW));
    let (a, b) = (s.mul(ax, factor), s.mul(ay, factor));
    let square = s.mul(a, a);
    let lost = s.fma(a, a, s.neg(square));
    let value = s.mul(s.sqrt(s.add(s.fma(b, b, square), lost)), back);
    let value = s.select(s.or(s.is_nan(x), s.is_nan(y)), s.splat(T::NAN), value);
    s.select(s.or(s.eq(ax, infinity), s.eq(ay, infinity)), infinity, value)
}
