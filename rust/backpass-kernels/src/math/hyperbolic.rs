//! Hyperbolic functions and their inverses.

use super::exp::{exp, reduce};
use super::log::{ln_sum, lost_of_one_plus};
use crate::real::Real;
use crate::simd::Simd;

/// x + x**3 P(x**2)
#[inline(always)]
fn odd<T: Real, S: Simd<T>>(s: S, x: S::V, coefficients: &[T]) -> S::V {
    let z = s.mul(x, x);
    s.fma(s.mul(x, z), s.poly(z, coefficients), x)
}

/// exp(|x|) / 2, which overflows where the hyperbolic functions do.
#[inline(always)]
fn half_exp<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let one = s.splat(T::ONE);
    let (n, r) = reduce(s, s.min(s.splat(T::EXP_MAX + T::ONE), s.abs(x)));
    let y = s.fma(s.mul(r, r), s.poly(r, T::EXP), r);
    s.scale(s.add(one, y), s.sub(n, one))
}

/// The hyperbolic sine.
#[inline(always)]
pub fn sinh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_sinh);
    }
    let a = half_exp(s, x);
    let far = s.sub(a, s.div(s.splat(T::of(0.25)), a));
    let near = odd(s, x, T::SINH);
    s.select(s.lt(s.abs(x), s.splat(T::ONE)), near, s.copysign(far, x))
}

/// The hyperbolic cosine.
#[inline(always)]
pub fn cosh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_cosh);
    }
    let a = half_exp(s, x);
    s.add(a, s.div(s.splat(T::of(0.25)), a))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_tanh);
    }
    let (one, two) = (s.splat(T::ONE), s.splat(T::TWO));
    if T::TANH.is_empty() {
        // expm1(2 x), which can neither overflow nor need the sign of a zero here.
        let x2 = s.max(s.splat(-T::TANH_MAX), s.min(s.splat(T::TANH_MAX), x));
        let (n, r) = reduce(s, s.add(x2, x2));
        let y = s.fma(s.mul(r, r), s.poly(r, T::EXPM1), r);
        let power = s.scale(one, n);
        let y = s.fma(power, y, s.sub(power, one));
        return s.copysign(s.div(y, s.add(y, two)), x);
    }
    let a = s.min(s.splat(T::TANH_MAX), s.abs(x));
    let near = odd(s, a, T::TANH);
    let far = s.sub(one, s.div(two, s.add(exp(s, s.add(a, a)), one)));
    s.copysign(s.select(s.lt(a, s.splat(T::of(0.6))), near, far), x)
}

/// The inverse hyperbolic sine: a polynomial near 0, ln(x + sqrt(x**2 + 1)) farther out.
#[inline(always)]
pub fn arcsinh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_asinh);
    }
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let a = s.abs(x);
    let big = s.lt(s.splat(T::HYPERBOLIC_BIG), a);
    let root = s.sqrt(s.fma(a, a, one));
    let sum = s.add(root, a);
    let lost = s.sub(a, s.sub(sum, root));
    let far = ln_sum(s, s.select(big, a, sum), s.select(big, zero, lost), s.select(big, one, zero));
    let near = odd(s, a, T::ASINH);
    s.copysign(s.select(s.lt(s.splat(T::HALF), a), far, near), x)
}

/// The inverse hyperbolic cosine: ln(1 + t + sqrt(t (t + 2))) with t = x - 1.
#[inline(always)]
pub fn arccosh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_acosh);
    }
    let (zero, one, two) = (s.splat(T::ZERO), s.splat(T::ONE), s.splat(T::TWO));
    let big = s.lt(s.splat(T::HYPERBOLIC_BIG), x);
    let t = s.sub(x, one);
    let square = s.fma(t, t, s.mul(t, two));
    let root = s.sqrt(square);
    // What the root has lost; it is never 0 and divided by.
    let root_lost = s.fnma(root, root, square);
    let root_lost = s.div(root_lost, s.add(s.add(root, root), s.splat(T::TINY)));
    let w = s.add(root, t);
    let sum = s.add(one, w);
    let mut lost = lost_of_one_plus(s, w, sum);
    if T::COMPENSATED {
        lost = s.add(lost, s.add(s.sub(t, s.sub(w, root)), root_lost));
    }
    let value =
        ln_sum(s, s.select(big, x, sum), s.select(big, zero, lost), s.select(big, one, zero));
    s.select(s.lt(x, one), s.splat(T::NAN), value)
}

/// The inverse hyperbolic tangent: half of ln(1 + 2 x / (1 - x)).
#[inline(always)]
pub fn arctanh<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_atanh);
    }
    let one = s.splat(T::ONE);
    let a = s.abs(x);
    let twice = s.add(a, a);
    let d = s.sub(one, a);
    let y = s.div(twice, d);
    let sum = s.add(one, y);
    let mut lost = lost_of_one_plus(s, y, sum);
    if T::COMPENSATED {
        let d_lost = s.sub(s.sub(one, d), a);
        lost = s.add(lost, s.div(s.fnma(y, d_lost, s.fnma(y, d, twice)), d));
    }
    let value = ln_sum(s, sum, lost, s.splat(T::ZERO));
    s.copysign(s.mul(s.splat(T::HALF), value), x)
}
