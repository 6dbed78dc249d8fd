//! Activations between the layers of networks, and their rules. Parameters are operands, too: one
//! element stands for all.

use crate::math::erf::normal;
use crate::real::Real;
use crate::simd::Simd;

/// The fixed point of mean 0 and variance 1.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// Where the steps of `gelu` have got to 0 and 1 in double precision.
const NORMAL: f64 = 40.0;
const CUBIC: f64 = 30.0;
/// sqrt(8 / pi)
const SLOPE: f64 = 1.595_769_121_605_730_8;
const THIRD: f64 = 0.044_715;
/// 1 / sqrt(2 pi)
const DENSITY: f64 = 0.398_942_280_401_432_7;

/// No less than `low` and no more than `high`; nan stays.
#[inline(always)]
fn clip<T: Real, S: Simd<T>>(s: S, x: S::V, low: S::V, high: S::V) -> S::V {
    s.min(high, s.max(low, x))
}

/// No farther from 0 than `bound`; nan stays.
#[inline(always)]
fn within<T: Real, S: Simd<T>>(s: S, x: S::V, bound: f64) -> S::V {
    clip(s, x, s.splat(T::of(-bound)), s.splat(T::of(bound)))
}

/// The sub-gradient of least norm between `first`, the slope just left of a kink, and 1.
#[inline(always)]
fn at_kink<T: Real, S: Simd<T>>(s: S, first: S::V) -> S::V {
    clip(s, first, s.splat(T::ZERO), s.splat(T::ONE))
}

/// The slope of a function that is x right of 0 and has the slope `left` left of it, `first` at once.
#[inline(always)]
fn bent<T: Real, S: Simd<T>>(s: S, x: S::V, left: S::V, first: S::V) -> S::V {
    let (zero, kink) = (s.splat(T::ZERO), at_kink(s, first));
    let falls = s.or(s.lt(x, zero), s.eq(first, kink));
    s.select(s.lt(zero, x), s.splat(T::ONE), s.select(falls, left, kink))
}

/// `x` where it is positive, else `left`.
#[inline(always)]
fn or_left<T: Real, S: Simd<T>>(s: S, x: S::V, left: S::V) -> S::V {
    s.select(s.lt(s.splat(T::ZERO), x), x, left)
}

/// `x` left of 0, positive 0 from there on; nan stays.
#[inline(always)]
fn falling<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let zero = s.splat(T::ZERO);
    s.add(zero, s.min(zero, x))
}

/// The logistic function of x and of -x.
#[inline(always)]
fn steps<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let e = T::exp(s, s.neg(s.abs(x)));
    let near = s.div(one, s.add(one, e));
    let far = s.mul(e, near);
    let negative = s.lt(x, zero);
    (s.select(negative, far, near), s.select(negative, near, far))
}

/// The argument of the step of the approximate `gelu`, and its derivative.
#[inline(always)]
fn cubic<T: Real, S: Simd<T>>(s: S, x: S::V) -> (S::V, S::V) {
    let (one, square) = (s.splat(T::ONE), s.mul(x, x));
    let inside = s.fma(s.splat(T::of(THIRD)), square, one);
    let slope = s.fma(s.splat(T::of(3.0 * THIRD)), square, one);
    let scale = s.splat(T::of(SLOPE));
    (s.mul(s.mul(scale, x), inside), s.mul(scale, slope))
}

/// tanh(log(1 + exp(x))), of both steps.
#[inline(always)]
fn mish_step<T: Real, S: Simd<T>>(s: S, (p, q): (S::V, S::V)) -> S::V {
    let one = s.splat(T::ONE);
    s.div(s.mul(p, s.add(one, q)), s.fma(q, q, one))
}

/// The kernels `$kernel`, each with its primitive's name and its cost.
macro_rules! kernels {
    ($(
        $(#[$doc:meta])*
        $kernel:ident $op:ident $n:literal $name:literal $cost:literal [$($x:ident),*]
        |$s:ident, $t:ident| $value:expr;
    )*) => {$(
        #[derive(Clone, Copy, Default)]
        struct $op;

        impl crate::elementwise::Op<$n> for $op {
            #[inline(always)]
            #[allow(unused_variables)]
            fn eval<$t: Real, S: Simd<$t>>($s: S, [$($x),*]: [S::V; $n]) -> S::V {
                $value
            }
        }

        $(#[$doc])*
        pub static $kernel: crate::elementwise::Elementwise<$n> = crate::elementwise::Elementwise {
            name: $name,
            cost: $cost,
            single: crate::elementwise::run::<$op, f32, $n>,
            double: crate::elementwise::run::<$op, f64, $n>,
        };
    )*};
}

kernels! {
    /// max(x, 0)
    RELU Relu 1 "relu" 50 [x] |s, T| {
        // The maximum of both zeros is the positive one.
        let zero = s.splat(T::ZERO);
        s.add(zero, s.max(zero, x))
    };
    /// x, or a multiple left of 0.
    LEAKY_RELU LeakyRelu 2 "leaky_relu" 50 [x, slope] |s, T| or_left(s, x, s.mul(slope, x));
    /// The same with a slope that is trained.
    PRELU Prelu 2 "prelu" 50 [x, weight] |s, T| or_left(s, x, s.mul(weight, x));
    /// x between two bounds.
    HARDTANH Hardtanh 3 "hardtanh" 50 [x, low, high] |s, T| clip(s, x, low, high);
    /// x / 6 + 1 / 2 between 0 and 1.
    HARDSIGMOID Hardsigmoid 1 "hardsigmoid" 50 [x] |s, T| {
        let line = s.add(s.div(x, s.splat(T::of(6.0))), s.splat(T::HALF));
        clip(s, line, s.splat(T::ZERO), s.splat(T::ONE))
    };
    /// x hardsigmoid(x)
    HARDSWISH Hardswish 1 "hardswish" 100 [x] |s, T| {
        let inner = within(s, x, 3.0);
        let step = s.add(s.div(inner, s.splat(T::of(6.0))), s.splat(T::HALF));
        s.select(s.lt(x, s.splat(T::of(3.0))), s.mul(inner, step), x)
    };
    /// x, or an exponential left of 0.
    ELU Elu 2 "elu" 500 [x, alpha] |s, T| {
        or_left(s, x, s.mul(alpha, T::expm1(s, falling(s, x))))
    };
    /// The same with a continuous derivative.
    CELU Celu 2 "celu" 500 [x, alpha] |s, T| {
        or_left(s, x, s.mul(alpha, T::expm1(s, s.div(falling(s, x), alpha))))
    };
    /// The same with a fixed point.
    SELU Selu 1 "selu" 500 [x] |s, T| {
        let left = s.mul(s.splat(T::of(SELU_ALPHA)), T::expm1(s, falling(s, x)));
        s.mul(s.splat(T::of(SELU_SCALE)), or_left(s, x, left))
    };
    /// x times the share of the normal distribution below it.
    GELU Gelu 1 "gelu" 700 [x] |s, T| s.zero_mul(normal(s, x).0, x);
    /// The same, approximately.
    GELU_TANH GeluTanh 1 "gelu" 700 [x] |s, T| {
        s.zero_mul(steps(s, cubic(s, within(s, x, CUBIC)).0).0, x)
    };
    /// x times its logistic function.
    SILU Silu 1 "silu" 500 [x] |s, T| s.zero_mul(steps(s, x).0, x);
    /// x times the hyperbolic tangent of its softplus.
    MISH Mish 1 "mish" 500 [x] |s, T| s.zero_mul(mish_step(s, steps(s, x)), x);
    /// log(1 + exp(beta x)) / beta, or x above the threshold.
    SOFTPLUS Softplus 3 "softplus" 700 [x, beta, threshold] |s, T| {
        let u = s.mul(beta, x);
        let bends = s.neg(T::log_expit(s, s.neg(u)));
        s.select(s.lt(threshold, u), x, s.div(bends, beta))
    };
    /// x / (1 + |x|)
    SOFTSIGN Softsign 1 "softsign" 200 [x] |s, T| {
        let (one, a) = (s.splat(T::ONE), s.abs(x));
        let step = s.div(x, s.add(one, a));
        s.select(s.eq(a, s.splat(T::INFINITY)), s.copysign(one, x), step)
    };

    /// Of the cotangent and the output.
    RELU_VJP ReluVjp 2 "relu.vjp" 50 [g, ans] |s, T| {
        let zero = s.splat(T::ZERO);
        s.select(s.ne(ans, zero), g, zero)
    };
    /// Of the cotangent, x and the slope.
    LEAKY_RELU_VJP LeakyReluVjp 3 "leaky_relu.vjp" 100 [g, x, slope] |s, T| {
        s.zero_mul(g, bent(s, x, slope, slope))
    };
    /// Of the cotangent, x and the weight.
    PRELU_VJP0 PreluVjp0 3 "prelu.vjp0" 100 [g, x, weight] |s, T| {
        let zero = s.splat(T::ZERO);
        let left = s.select(s.lt(x, zero), weight, at_kink(s, weight));
        s.zero_mul(g, s.select(s.lt(zero, x), s.splat(T::ONE), left))
    };
    /// Of the cotangent and x.
    PRELU_VJP1 PreluVjp1 2 "prelu.vjp1" 50 [g, x] |s, T| s.zero_mul(g, falling(s, x));
    /// Of the cotangent, the output and the bounds.
    HARDTANH_VJP HardtanhVjp 4 "hardtanh.vjp" 100 [g, ans, low, high] |s, T| {
        let zero = s.splat(T::ZERO);
        let between = s.and(s.ne(s.sub(ans, low), zero), s.ne(s.sub(high, ans), zero));
        s.select(between, g, zero)
    };
    /// Of the cotangent and the output.
    HARDSIGMOID_VJP HardsigmoidVjp 2 "hardsigmoid.vjp" 100 [g, ans] |s, T| {
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        let between = s.and(s.ne(ans, zero), s.ne(ans, one));
        s.select(between, s.mul(g, s.splat(T::of(1.0 / 6.0))), zero)
    };
    /// Of the cotangent and x.
    HARDSWISH_VJP HardswishVjp 2 "hardswish.vjp" 100 [g, x] |s, T| {
        let (three, one) = (s.splat(T::of(3.0)), s.splat(T::ONE));
        let line = s.add(s.div(x, three), s.splat(T::HALF));
        let left = s.select(s.lt(s.neg(three), x), line, s.splat(T::ZERO));
        let slope = s.select(s.lt(x, three), left, one);
        s.zero_mul(g, s.select(s.is_nan(x), x, slope))
    };
    /// Of the cotangent, x and alpha.
    ELU_VJP EluVjp 3 "elu.vjp" 500 [g, x, alpha] |s, T| {
        s.zero_mul(g, bent(s, x, s.mul(alpha, T::exp(s, falling(s, x))), alpha))
    };
    /// Of the cotangent, x and alpha.
    CELU_VJP CeluVjp 3 "celu.vjp" 500 [g, x, alpha] |s, T| {
        let left = T::exp(s, falling(s, s.div(x, alpha)));
        s.zero_mul(g, bent(s, x, left, s.splat(T::ONE)))
    };
    /// Of the cotangent and x.
    SELU_VJP SeluVjp 2 "selu.vjp" 500 [g, x] |s, T| {
        let alpha = s.splat(T::of(SELU_ALPHA));
        let slope = bent(s, x, s.mul(alpha, T::exp(s, falling(s, x))), alpha);
        s.zero_mul(g, s.mul(s.splat(T::of(SELU_SCALE)), slope))
    };
    /// Of the cotangent and x.
    GELU_VJP GeluVjp 2 "gelu.vjp" 1000 [g, x] |s, T| {
        let x = within(s, x, NORMAL);
        let (step, e) = normal(s, x);
        s.zero_mul(g, s.fma(x, s.mul(e, s.splat(T::of(DENSITY))), step))
    };
    /// Of the cotangent and x.
    GELU_TANH_VJP GeluTanhVjp 2 "gelu.vjp" 700 [g, x] |s, T| {
        let x = within(s, x, CUBIC);
        let (u, slope) = cubic(s, x);
        let (p, q) = steps(s, u);
        s.zero_mul(g, s.fma(s.mul(x, slope), s.mul(p, q), p))
    };
    /// Of the cotangent and x.
    SILU_VJP SiluVjp 2 "silu.vjp" 500 [g, x] |s, T| {
        let x = within(s, x, 800.0);
        let (p, q) = steps(s, x);
        s.zero_mul(g, s.mul(p, s.fma(x, q, s.splat(T::ONE))))
    };
    /// Of the cotangent and x.
    MISH_VJP MishVjp 2 "mish.vjp" 700 [g, x] |s, T| {
        let x = within(s, x, 800.0);
        let (p, q) = steps(s, x);
        let ratio = s.div(q, s.fma(q, q, s.splat(T::ONE)));
        let bend = s.mul(s.mul(s.mul(s.splat(T::of(4.0)), x), p), ratio);
        s.zero_mul(g, s.fma(bend, ratio, mish_step(s, (p, q))))
    };
    /// Of the cotangent, x, beta and the threshold.
    SOFTPLUS_VJP SoftplusVjp 4 "softplus.vjp" 500 [g, x, beta, threshold] |s, T| {
        let u = s.mul(beta, x);
        let slope = s.select(s.lt(threshold, u), s.splat(T::ONE), steps(s, u).0);
        s.zero_mul(g, slope)
    };
    /// Of the cotangent and x.
    SOFTSIGN_VJP SoftsignVjp 2 "softsign.vjp" 200 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        let root = s.div(one, s.add(one, s.abs(x)));
        s.zero_mul(g, s.mul(root, root))
    };
}
