//! Rules: the cotangent times the local derivative, in one pass.

use super::table;
use super::unary::sign;
use crate::real::Real;
use crate::simd::Simd;

table! {
    /// Rules that need the cotangent alone.
    UNARY_RULES, 1:
    NegativeVjp "negative.vjp" 50 [g] |s, T| s.neg(g);
    SubtractVjp1 "subtract.vjp1" 50 [g] |s, T| s.neg(g);
    Deg2radVjp "deg2rad.vjp" 50 [g] |s, T| {
        s.mul(g, s.splat(T::of(std::f64::consts::PI / 180.0)))
    };
    Rad2degVjp "rad2deg.vjp" 50 [g] |s, T| {
        s.mul(g, s.splat(T::of(180.0 / std::f64::consts::PI)))
    };
}

table! {
    /// Rules that need one array beside the cotangent.
    BINARY_RULES, 2:
    ZeroMultiply "zero_multiply" 50 [g, d] |s, T| s.zero_mul(g, d);
    MultiplyVjp0 "multiply.vjp0" 50 [g, y] |s, T| s.zero_mul(g, y);
    MultiplyVjp1 "multiply.vjp1" 50 [g, x] |s, T| s.zero_mul(g, x);
    DivideVjp0 "divide.vjp0" 200 [g, y] |s, T| s.zero_div(g, y);
    ExpVjp "exp.vjp" 50 [g, ans] |s, T| s.zero_mul(g, ans);
    Exp2Vjp "exp2.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.mul(ans, s.splat(T::LN_2[0])));
    Expm1Vjp "expm1.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.add(ans, s.splat(T::ONE)));
    LogVjp "log.vjp" 200 [g, x] |s, T| s.zero_div(g, x);
    Log2Vjp "log2.vjp" 200 [g, x] |s, T| s.mul(s.zero_div(g, x), s.splat(T::LOG2_E[0]));
    Log10Vjp "log10.vjp" 200 [g, x] |s, T| s.mul(s.zero_div(g, x), s.splat(T::LOG10_E[0]));
    Log1pVjp "log1p.vjp" 200 [g, x] |s, T| s.zero_div(g, s.add(x, s.splat(T::ONE)));
    SqrtVjp "sqrt.vjp" 200 [g, ans] |s, T| s.zero_div(g, s.add(ans, ans));
    SquareVjp "square.vjp" 50 [g, x] |s, T| s.zero_mul(g, s.add(x, x));
    ReciprocalVjp "reciprocal.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.neg(s.mul(ans, ans)));
    SinVjp "sin.vjp" 1000 [g, x] |s, T| s.zero_mul(g, T::cos(s, x));
    CosVjp "cos.vjp" 1000 [g, x] |s, T| s.zero_mul(g, s.neg(T::sin(s, x)));
    TanhVjp "tanh.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.fnma(ans, ans, s.splat(T::ONE)))
    };
    ExpitVjp "expit.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.mul(ans, s.sub(s.splat(T::ONE), ans)))
    };
    ErfVjp "erf.vjp" 500 [g, x] |s, T| {
        let density = T::exp(s, s.neg(s.mul(x, x)));
        s.zero_mul(g, s.mul(density, s.splat(T::FRAC_2_SQRT_PI)))
    };
    TanVjp "tan.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.fma(ans, ans, s.splat(T::ONE)))
    };
    ArctanVjp "arctan.vjp" 200 [g, x] |s, T| {
        s.zero_div(g, s.fma(x, x, s.splat(T::ONE)))
    };
    ArcsinVjp "arcsin.vjp" 300 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(g, s.sqrt(s.mul(s.sub(one, x), s.add(one, x))))
    };
    ArccosVjp "arccos.vjp" 300 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(s.neg(g), s.sqrt(s.mul(s.sub(one, x), s.add(one, x))))
    };
    AbsoluteVjp "absolute.vjp" 50 [g, x] |s, T| s.zero_mul(g, sign(s, x));
    FabsVjp "fabs.vjp" 50 [g, x] |s, T| s.zero_mul(g, sign(s, x));
    SinhVjp "sinh.vjp" 1000 [g, x] |s, T| s.zero_mul(g, T::cosh(s, x));
    CoshVjp "cosh.vjp" 1000 [g, x] |s, T| s.zero_mul(g, T::sinh(s, x));
    ArcsinhVjp "arcsinh.vjp" 300 [g, x] |s, T| {
        s.zero_div(g, s.sqrt(s.fma(x, x, s.splat(T::ONE))))
    };
    ArccoshVjp "arccosh.vjp" 300 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(g, s.mul(s.sqrt(s.sub(x, one)), s.sqrt(s.add(x, one))))
    };
    ArctanhVjp "arctanh.vjp" 200 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(g, s.mul(s.sub(one, x), s.add(one, x)))
    };
    ErfcVjp "erfc.vjp" 500 [g, x] |s, T| {
        let density = T::exp(s, s.neg(s.mul(x, x)));
        s.zero_mul(g, s.mul(density, s.splat(-T::FRAC_2_SQRT_PI)))
    };
    LogExpitVjp "log_expit.vjp" 1000 [g, x] |s, T| s.zero_mul(g, T::expit(s, s.neg(x)));
    XlogyVjp0 "xlogy.vjp0" 500 [g, y] |s, T| s.zero_mul(g, T::ln(s, y));
    CbrtVjp "cbrt.vjp" 200 [g, ans] |s, T| {
        let three = s.splat(T::of(3.0));
        s.zero_mul(g, s.div(s.splat(T::ONE), s.mul(three, s.mul(ans, ans))))
    };
}

/// x / r, and 0 where r is 0.
#[inline(always)]
fn over<T: Real, S: Simd<T>>(s: S, x: S::V, r: S::V) -> S::V {
    let zero = s.splat(T::ZERO);
    s.select(s.eq(r, zero), zero, s.div(x, r))
}

/// The share of x in ln(exp(x) + exp(y)), given `difference` = `base` (x - y); two equal infinities
/// have halves, or 0.
#[inline(always)]
fn part<T: Real, S: Simd<T>>(s: S, x: S::V, y: S::V, base: T) -> S::V {
    let (zero, half) = (s.splat(T::ZERO), s.splat(T::HALF));
    let share = T::expit(s, s.mul(s.sub(x, y), s.splat(base)));
    let both = s.and(s.eq(x, y), s.eq(s.abs(x), s.splat(T::INFINITY)));
    s.select(both, s.select(s.lt(zero, x), half, zero), share)
}

/// The part of the cotangent that the first of two operands gets where the larger or the smaller is
/// chosen: all of it if it was `chosen` or `alone` is nan, half at a tie, none otherwise.
#[inline(always)]
fn share<T: Real, S: Simd<T>>(s: S, g: S::V, x: S::V, y: S::V, chosen: S::M, alone: S::V) -> S::V {
    let zero = s.splat(T::ZERO);
    let half = s.mul(g, s.splat(T::HALF));
    let part = s.select(s.eq(x, y), half, s.select(chosen, g, zero));
    s.select(s.is_nan(alone), g, part)
}

table! {
    /// Rules that need two arrays beside the cotangent.
    TERNARY_RULES, 3:
    DivideVjp1 "divide.vjp1" 200 [g, ans, y] |s, T| s.zero_mul(g, s.neg(s.div(ans, y)));
    MaximumVjp0 "maximum.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(y, x), x);
    MaximumVjp1 "maximum.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(x, y), y);
    MinimumVjp0 "minimum.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(x, y), x);
    MinimumVjp1 "minimum.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(y, x), y);
    FmaxVjp0 "fmax.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(y, x), y);
    FmaxVjp1 "fmax.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(x, y), x);
    FminVjp0 "fmin.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(x, y), y);
    FminVjp1 "fmin.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(y, x), x);
    HypotVjp0 "hypot.vjp0" 200 [g, ans, x] |s, T| s.zero_mul(g, over(s, x, ans));
    HypotVjp1 "hypot.vjp1" 200 [g, ans, y] |s, T| s.zero_mul(g, over(s, y, ans));
    Arctan2Vjp0 "arctan2.vjp0" 200 [g, x, y] |s, T| {
        s.zero_mul(g, over(s, y, s.fma(x, x, s.mul(y, y))))
    };
    Arctan2Vjp1 "arctan2.vjp1" 200 [g, x, y] |s, T| {
        s.zero_mul(g, over(s, s.neg(x), s.fma(x, x, s.mul(y, y))))
    };
    LogaddexpVjp0 "logaddexp.vjp0" 1000 [g, x, y] |s, T| s.zero_mul(g, part(s, x, y, T::ONE));
    LogaddexpVjp1 "logaddexp.vjp1" 1000 [g, x, y] |s, T| s.zero_mul(g, part(s, y, x, T::ONE));
    Logaddexp2Vjp0 "logaddexp2.vjp0" 1000 [g, x, y] |s, T| {
        s.zero_mul(g, part(s, x, y, T::LN_2[0]))
    };
    Logaddexp2Vjp1 "logaddexp2.vjp1" 1000 [g, x, y] |s, T| {
        s.zero_mul(g, part(s, y, x, T::LN_2[0]))
    };
    PowerVjp0 "power.vjp0" 2000 [g, x, y] |s, T| {
        let slope = T::power(s, x, s.sub(y, s.splat(T::ONE)));
        s.zero_mul(g, s.zero_mul(y, slope))
    };
    XlogyVjp1 "xlogy.vjp1" 200 [g, x, y] |s, T| {
        s.zero_mul(g, s.zero_mul(x, s.div(s.splat(T::ONE), y)))
    };
}

table! {
    /// Rules that need three arrays beside the cotangent.
    QUATERNARY_RULES, 4:
    PowerVjp1 "power.vjp1" 1000 [g, ans, x, y] |s, T| {
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        // 0**y is 0 for y > 0 and stays so; ln is kept away from that 0, and from 0**0.
        let flat = s.and(s.eq(x, zero), s.or(s.lt(zero, y), s.eq(y, zero)));
        let slope = T::ln(s, s.select(flat, one, x));
        s.zero_mul(g, s.zero_mul(ans, slope))
    };
}
