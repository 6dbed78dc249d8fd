//! Functions of one operand.

use super::{Elementwise, table};
use crate::real::Real;
use crate::simd::Simd;

/// -1, 0 or 1; nan stays.
#[inline(always)]
pub(super) fn sign<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let zero = s.splat(T::ZERO);
    let unit = s.copysign(s.splat(T::ONE), x);
    s.select(s.eq(x, zero), zero, s.select(s.is_nan(x), x, unit))
}

/// The largest integer that is not above x.
#[inline(always)]
fn floor<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let nearest = s.round(x);
    let below = s.select(s.lt(x, nearest), s.sub(nearest, s.splat(T::ONE)), nearest);
    s.select(s.eq(below, s.splat(T::ZERO)), s.copysign(below, x), below)
}

table! {
    /// Functions of one operand.
    UNARY, 1:
    Positive "positive" 50 [x] |s, T| x;
    Negative "negative" 50 [x] |s, T| s.neg(x);
    Absolute "absolute" 50 [x] |s, T| s.abs(x);
    Exp "exp" 500 [x] |s, T| T::exp(s, x);
    Exp2 "exp2" 500 [x] |s, T| T::exp2(s, x);
    Expm1 "expm1" 500 [x] |s, T| T::expm1(s, x);
    Log "log" 500 [x] |s, T| T::ln(s, x);
    Log2 "log2" 500 [x] |s, T| T::log2(s, x);
    Log10 "log10" 500 [x] |s, T| T::log10(s, x);
    Log1p "log1p" 500 [x] |s, T| T::log1p(s, x);
    Sqrt "sqrt" 200 [x] |s, T| s.sqrt(x);
    Square "square" 50 [x] |s, T| s.mul(x, x);
    Reciprocal "reciprocal" 200 [x] |s, T| s.div(s.splat(T::ONE), x);
    Sin "sin" 1000 [x] |s, T| T::sin(s, x);
    Cos "cos" 1000 [x] |s, T| T::cos(s, x);
    Tanh "tanh" 1000 [x] |s, T| T::tanh(s, x);
    Expit "expit" 1000 [x] |s, T| T::expit(s, x);
    Erf "erf" 1000 [x] |s, T| T::erf(s, x);
    Tan "tan" 1000 [x] |s, T| T::tan(s, x);
    Arcsin "arcsin" 1000 [x] |s, T| T::arcsin(s, x);
    Arccos "arccos" 1000 [x] |s, T| T::arccos(s, x);
    Arctan "arctan" 1000 [x] |s, T| T::arctan(s, x);
    Sinh "sinh" 1000 [x] |s, T| T::sinh(s, x);
    Cosh "cosh" 1000 [x] |s, T| T::cosh(s, x);
    Arcsinh "arcsinh" 1000 [x] |s, T| T::arcsinh(s, x);
    Arccosh "arccosh" 1000 [x] |s, T| T::arccosh(s, x);
    Arctanh "arctanh" 1000 [x] |s, T| T::arctanh(s, x);
    Erfc "erfc" 1000 [x] |s, T| T::erfc(s, x);
    LogExpit "log_expit" 1000 [x] |s, T| T::log_expit(s, x);
    Cbrt "cbrt" 1000 [x] |s, T| T::cbrt(s, x);
    Fabs "fabs" 50 [x] |s, T| s.abs(x);
    Sign "sign" 50 [x] |s, T| sign(s, x);
    Rint "rint" 50 [x] |s, T| s.round(x);
    Floor "floor" 50 [x] |s, T| floor(s, x);
    Ceil "ceil" 50 [x] |s, T| s.neg(floor(s, s.neg(x)));
    Trunc "trunc" 50 [x] |s, T| s.copysign(floor(s, s.abs(x)), x);
    Deg2rad "deg2rad" 50 [x] |s, T| s.mul(x, s.splat(T::of(std::f64::consts::PI / 180.0)));
    Rad2deg "rad2deg" 50 [x] |s, T| s.mul(x, s.splat(T::of(180.0 / std::f64::consts::PI)));
}

/// The operand itself: what lays an array out anew.
pub static COPY: &Elementwise<1> = &UNARY[0];
