//! Hyperbolic functions and their inverses.

use super::exp::{exp, exp_parts, expm1};
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
    let (n, y) = exp_parts(s, s.min(s.splat(T::EXP_MAX + T::ONE), s.abs(x)));
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
    let two = s.splat(T::TWO);
    let a = s.min(s.splat(T::TANH_MAX), s.abs(x));
    if T::TANH.is_empty() {
        let y = expm1(s, s.add(a, a));
        return s.copysign(s.div(y, s.add(y, two)), x);
    }
    let one = s.splat(T::ONE);
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
    let w_lost = s.add(s.sub(t, s.sub(w, root)), root_lost);
    let sum = s.add(one, w);
    let lost = s.add(lost_of_one_plus(s, w, sum), w_lost);
    ln_sum(s, s.select(big, x, sum), s.select(big, zero, lost), s.select(big, one, zero))
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
    let d_lost = s.sub(s.sub(one, d), a);
    let y = s.div(twice, d);
    let y_lost = s.div(s.fnma(y, d_lost, s.fnma(y, d, twice)), d);
    let sum = s.add(one, y);
    let lost = s.add(lost_of_one_plus(s, y, sum), y_lost);
    let value = ln_sum(s, sum, lost, s.splat(T::ZERO));
    s.copysign(s.mul(s.splat(T::HALF), value), x)
}
