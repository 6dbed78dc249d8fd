//! The two element types, float32 and float64.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

#[cfg(target_arch = "x86_64")]
use crate::isa::Kernel;
use crate::math::tables::Tables;
use crate::simd::Simd;

/// float32 or float64: constants, the standard library's functions, and the vector mathematics.
#[allow(clippy::return_self_not_must_use)] // plain arithmetic
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Tables
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// 1/2
    const HALF: Self;
    /// 2
    const TWO: Self;
    /// Infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// 2 / sqrt(pi), the derivative of erf at 0.
    const FRAC_2_SQRT_PI: Self;
    /// The smallest number is 2 to minus this.
    const DEPTH: Self;
    /// From here to twice this, neighbouring numbers are 1 apart.
    const WHOLE: Self;
    /// A number from 1/2 on times 2 to this or more is normal.
    const LOW_EXPONENT: Self;

    /// The nearest value.
    fn of(x: f64) -> Self;
    /// The nearest value to a count.
    fn count(n: usize) -> Self;
    /// The exact value.
    fn wide(self) -> f64;

    /// The standard library's `sqrt`.
    fn std_sqrt(self) -> Self;
    /// The standard library's `abs`.
    fn std_abs(self) -> Self;
    /// The standard library's `copysign`.
    fn std_copysign(self, sign: Self) -> Self;
    /// The standard library's `round_ties_even`.
    fn std_round(self) -> Self;
    /// `self` times 2 to the `n`.
    fn std_scale(self, n: Self) -> Self;
    /// The bits of `self`, as an integer, less those of `other`.
    fn std_less_bits(self, other: Self) -> Self;
    /// Significand in [0.75, 1.5) and exponent.
    fn std_split(self) -> (Self, Self);

    /// Runs `kernel` with AVX2 and FMA.
    ///
    /// # Safety
    ///
    /// The processor has them.
    #[cfg(target_arch = "x86_64")]
    unsafe fn enter_avx2<K: Kernel<Self>>(kernel: K) -> K::Output;
    /// Runs `kernel` with AVX-512.
    ///
    /// # Safety
    ///
    /// The processor has F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    unsafe fn enter_avx512<K: Kernel<Self>>(kernel: K) -> K::Output;

    /// e to the x.
    fn exp<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// 2 to the x.
    fn exp2<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// e to the x, less 1.
    fn expm1<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The natural logarithm.
    fn ln<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The logarithm to base 2.
    fn log2<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The logarithm to base 10.
    fn log10<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The natural logarithm of 1 + x.
    fn log1p<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The sine.
    fn sin<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The cosine.
    fn cos<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The hyperbolic tangent.
    fn tanh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The logistic function, 1 / (1 + exp(-x)).
    fn expit<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The error function.
    fn erf<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The complement of the error function.
    fn erfc<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The tangent.
    fn tan<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse sine.
    fn arcsin<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse cosine.
    fn arccos<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse tangent.
    fn arctan<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The hyperbolic sine.
    fn sinh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The hyperbolic cosine.
    fn cosh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse hyperbolic sine.
    fn arcsinh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse hyperbolic cosine.
    fn arccosh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The inverse hyperbolic tangent.
    fn arctanh<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The logarithm of the logistic function.
    fn log_expit<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The cube root.
    fn cbrt<S: Simd<Self>>(s: S, x: S::V) -> S::V;
    /// The angle of the point (x, y).
    fn arctan2<S: Simd<Self>>(s: S, y: S::V, x: S::V) -> S::V;
    /// ln(exp(x) + exp(y))
    fn logaddexp<S: Simd<Self>>(s: S, x: S::V, y: S::V) -> S::V;
    /// log2(2**x + 2**y)
    fn logaddexp2<S: Simd<Self>>(s: S, x: S::V, y: S::V) -> S::V;
    /// sqrt(x**2 + y**2)
    fn hypot<S: Simd<Self>>(s: S, x: S::V, y: S::V) -> S::V;
    /// x to the y.
    fn power<S: Simd<Self>>(s: S, x: S::V, y: S::V) -> S::V;

    /// `exp` of the standard library.
    fn std_exp(self) -> Self;
    /// `exp2` of the standard library.
    fn std_exp2(self) -> Self;
    /// `expm1` of the standard library.
    fn std_expm1(self) -> Self;
    /// `ln` of the standard library.
    fn std_ln(self) -> Self;
    /// `log2` of the standard library.
    fn std_log2(self) -> Self;
    /// `log10` of the standard library.
    fn std_log10(self) -> Self;
    /// `log1p` of the standard library.
    fn std_log1p(self) -> Self;
    /// `sin` of the standard library.
    fn std_sin(self) -> Self;
    /// `cos` of the standard library.
    fn std_cos(self) -> Self;
    /// `tan` of the standard library.
    fn std_tan(self) -> Self;
    /// `sinh` of the standard library.
    fn std_sinh(self) -> Self;
    /// `cosh` of the standard library.
    fn std_cosh(self) -> Self;
    /// `tanh` of the standard library.
    fn std_tanh(self) -> Self;
    /// `atan` of the standard library.
    fn std_atan(self) -> Self;
    /// `asin` of the standard library.
    fn std_asin(self) -> Self;
    /// `acos` of the standard library.
    fn std_acos(self) -> Self;
    /// `cbrt` of the standard library.
    fn std_cbrt(self) -> Self;
    /// `atan2` of the standard library.
    fn std_atan2(self, x: Self) -> Self;
    /// `hypot` of the standard library.
    fn std_hypot(self, y: Self) -> Self;
    /// `powf` of the standard library.
    fn std_pow(self, y: Self) -> Self;
    /// `erf` of `libm`.
    fn std_erf(self) -> Self;
    /// `erfc` of `libm`.
    fn std_erfc(self) -> Self;
    /// `asinh` of `libm`; the standard library's is less exact.
    fn std_asinh(self) -> Self;
    /// `acosh` of `libm`.
    fn std_acosh(self) -> Self;
    /// `atanh` of `libm`.
    fn std_atanh(self) -> Self;
}

macro_rules! real {
    ($t:ident, $erf:ident $erfc:ident $asinh:ident $acosh:ident $atanh:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const HALF: Self = 0.5;
            const TWO: Self = 2.0;
            const INFINITY: Self = $t::INFINITY;
            const NAN: Self = $t::NAN;
            const FRAC_2_SQRT_PI: Self = std::$t::consts::FRAC_2_SQRT_PI;
            const DEPTH: Self = ($t::MANTISSA_DIGITS as i32 - $t::MIN_EXP) as $t;
            const WHOLE: Self = 1.0 / $t::EPSILON;
            const LOW_EXPONENT: Self = $t::MIN_EXP as $t;

            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn count(n: usize) -> Self {
                n as $t
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn std_sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn std_abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn std_copysign(self, sign: Self) -> Self {
                self.copysign(sign)
            }
            #[inline(always)]
            fn std_round(self) -> Self {
                self.round_ties_even()
            }
            fn std_scale(self, n: Self) -> Self {
                let half = (n * 0.5).round_ties_even();
                self * half.exp2() * (n - half).exp2()
            }
            fn std_less_bits(self, other: Self) -> Self {
                $t::from_bits(self.to_bits().wrapping_sub(other.to_bits()))
            }
            fn std_split(self) -> (Self, Self) {
                let (m, e) = libm::frexp(f64::from(self));
                if m < 0.75 {
                    ((m * 2.0) as $t, $t::from((e - 1) as i16))
                } else {
                    (m as $t, $t::from(e as i16))
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn enter_avx2<K: Kernel<Self>>(kernel: K) -> K::Output {
                // SAFETY: this function carries the features.
                kernel.run(unsafe { crate::simd::avx2::Avx2::new() })
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            unsafe fn enter_avx512<K: Kernel<Self>>(kernel: K) -> K::Output {
                // SAFETY: this function carries the features.
                kernel.run(unsafe { crate::simd::avx512::Avx512::new() })
            }

            real!(@math exp::exp exp::exp2 exp::expm1 exp::expit log::ln log::log2 log::log10
                log::log1p log::log_expit trig::sin trig::cos trig::tan inverse::arcsin
                inverse::arccos inverse::arctan hyperbolic::sinh hyperbolic::cosh
                hyperbolic::tanh hyperbolic::arcsinh hyperbolic::arccosh hyperbolic::arctanh
                power::cbrt erf::erf erf::erfc);
            real!(@math2 inverse::arctan2 log::logaddexp log::logaddexp2 power::hypot
                power::power);
            real!(@std std_exp exp, std_exp2 exp2, std_expm1 exp_m1, std_ln ln, std_log2 log2,
                std_log10 log10, std_log1p ln_1p, std_sin sin, std_cos cos, std_tan tan,
                std_sinh sinh, std_cosh cosh, std_tanh tanh, std_atan atan, std_asin asin,
                std_acos acos, std_cbrt cbrt);
            real!(@std2 std_atan2 atan2, std_hypot hypot, std_pow powf);
            #[inline]
            fn std_acosh(self) -> Self {
                // `libm` gives numbers for some below 1.
                if self < 1.0 { $t::NAN } else { libm::$acosh(self) }
            }
            real!(@libm std_erf $erf, std_erfc $erfc, std_asinh $asinh, std_atanh $atanh);
        }
    };
    (@math $($module:ident::$f:ident)*) => {$(
        #[inline(always)]
        fn $f<S: Simd<Self>>(s: S, x: S::V) -> S::V {
            crate::math::$module::$f(s, x)
        }
    )*};
    (@math2 $($module:ident::$f:ident)*) => {$(
        #[inline(always)]
        fn $f<S: Simd<Self>>(s: S, x: S::V, y: S::V) -> S::V {
            crate::math::$module::$f(s, x, y)
        }
    )*};
    (@std2 $($name:ident $f:ident),*) => {$(
        #[inline]
        fn $name(self, other: Self) -> Self {
            self.$f(other)
        }
    )*};
    (@libm $($name:ident $f:ident),*) => {$(
        #[inline]
        fn $name(self) -> Self {
            libm::$f(self)
        }
    )*};
    (@std $($name:ident $f:ident),*) => {$(
        #[inline]
        fn $name(self) -> Self {
            self.$f()
        }
    )*};
}

real!(f32, erff erfcf asinhf acoshf atanhf);
real!(f64, erf erfc asinh acosh atanh);
