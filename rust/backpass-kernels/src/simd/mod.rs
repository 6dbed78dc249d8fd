//! One interface to the vector units: kernels are written once, over [`Simd`].
//!
//! A value of a type that implements [`Simd`] is a token: it can only be had where the instructions
//! it stands for may be used, so its methods are safe to call. Every method is inlined into the
//! function that carries the `#[target_feature]` (see [`crate::isa::dispatch`]).

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod portable;
pub mod square;

use crate::real::Real;

/// The largest number of bytes in a vector of any instruction set.
pub const MAX_BYTES: usize = 64;

/// Vectors of `T` on one instruction set.
#[allow(clippy::missing_safety_doc)] // the safety of the memory methods is stated once, below
pub trait Simd<T: Real>: Copy {
    /// A vector.
    type V: Copy;
    /// The result of a comparison, one truth value a lane.
    type M: Copy;
    /// Elements in a vector.
    const LANES: usize;
    /// Whether the polynomials of [`crate::math`] are to be used (there is a fused multiply-add).
    const FUSED: bool;
    /// Rows of a matrix product that two vectors each fit into the registers.
    const ROWS: usize;

    /// `LANES` elements from `p`, which must be readable; no alignment is asked for.
    unsafe fn load(self, p: *const T) -> Self::V;
    /// The first `n <= LANES` elements from `p`, the other lanes zero; nothing else is read.
    unsafe fn load_partial(self, p: *const T, n: usize) -> Self::V;
    /// Whether each of `LANES` bytes from `p`, which must be readable, is not 0.
    unsafe fn truths(self, p: *const u8) -> Self::M;
    /// `LANES` elements to `p`, which must be writeable.
    unsafe fn store(self, p: *mut T, v: Self::V);
    /// The first `n <= LANES` lanes to `p`; nothing else is written.
    unsafe fn store_partial(self, p: *mut T, n: usize, v: Self::V);
    /// The first `n <= LANES` bytes from `p`, as numbers; nothing else is read.
    unsafe fn load_bytes(self, p: *const u8, n: usize) -> Self::V;
    /// The first `n <= LANES` lanes, whole numbers below 256, as bytes to `p`; nothing else is
    /// written.
    unsafe fn store_bytes(self, p: *mut u8, n: usize, v: Self::V);

    /// `LANES` elements to `p`, which must be writeable and aligned to the vector, past the caches;
    /// [`Simd::fence`] comes last.
    unsafe fn stream(self, p: *mut T, v: Self::V);
    /// Orders what was streamed before all that is stored later.
    fn fence(self);
    /// Asks for the memory at `p`, which need not be readable, to be brought into the caches.
    #[inline(always)]
    fn prefetch(self, p: *const T) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which fails for no address.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(p.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = p;
    }

    /// `x` in every lane.
    fn splat(self, x: T) -> Self::V;
    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a - b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a b + c, rounded once where [`Simd::FUSED`]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// c - a b, rounded once where [`Simd::FUSED`]
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The correctly rounded square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The absolute value.
    fn abs(self, a: Self::V) -> Self::V;
    /// The sign flipped.
    fn neg(self, a: Self::V) -> Self::V;
    /// The magnitude of `a` with the sign of `b`.
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`: `b` where either is nan.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`: `b` where either is nan.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// a < b; false for nan
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    /// a == b; false for nan
    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    /// a != b; true for nan
    fn ne(self, a: Self::V, b: Self::V) -> Self::M;
    /// Both masks.
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    /// Either mask.
    fn or(self, a: Self::M, b: Self::M) -> Self::M;
    /// Whether the mask holds anywhere.
    fn any(self, m: Self::M) -> bool;
    /// `a` where the mask holds, else `b`.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// What [`Simd::scale`] gives, slowly where that is denormal, or 0 after rounding.
    fn scale_at_once(self, x: Self::V, n: Self::V) -> Self::V;
    /// The bits of `a`, as an integer, less those of `b`.
    fn less_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// `(m, e)` with `x = m 2^e` and `m` in [0.75, 1.5), for positive finite `x`.
    fn split(self, x: Self::V) -> (Self::V, Self::V);
    /// The lanes combined by `f`, halves first.
    fn fold(self, a: Self::V, f: impl Fn(Self::V, Self::V) -> Self::V) -> T;
    /// Of two vectors in a row, the lanes with even numbers, and those with odd ones.
    fn unzip(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// The reverse of [`Simd::unzip`].
    fn zip(self, even: Self::V, odd: Self::V) -> (Self::V, Self::V);
    /// The first lane.
    fn first(self, a: Self::V) -> T;
    /// The mask of the first `n <= LANES` lanes.
    fn head(self, n: usize) -> Self::M;
    /// The lanes in memory, for what has no vector form.
    fn map(self, a: Self::V, f: impl Fn(T) -> T) -> Self::V;
    /// The same for two operands.
    fn map2(self, a: Self::V, b: Self::V, f: impl Fn(T, T) -> T) -> Self::V;

    /// `x` times 2 to the `n`, for integral `n` in the range of normal exponents, twice over;
    /// rounded once, also into the denormal range.
    #[inline(always)]
    fn scale(self, x: Self::V, n: Self::V) -> Self::V {
        if self.any(self.lt(n, self.splat(T::LOW_EXPONENT))) {
            return self.scale_down(x, n);
        }
        self.scale_at_once(x, n)
    }

    /// The same for some `n` that may lead into the denormal range.
    ///
    /// Processors take a hundred times as long for a product that is denormal.  A denormal number is
    /// a multiple of the smallest one, and its bits are that integer: which is found by rounding,
    /// among numbers that are so large that they have no fractions.
    #[inline(always)]
    fn scale_down(self, x: Self::V, n: Self::V) -> Self::V {
        let (zero, whole) = (self.splat(T::ZERO), self.splat(T::WHOLE));
        let raised = self.add(self.min(n, zero), self.splat(T::DEPTH));
        let multiple = self.abs(self.scale_at_once(x, raised));
        let denormal = self.and(self.lt(n, zero), self.lt(multiple, whole));
        let bits = self.less_bits(self.add(multiple, whole), whole);
        let normal = self.scale_at_once(x, self.select(denormal, zero, n));
        self.select(denormal, self.copysign(bits, x), normal)
    }

    /// Whether a lane is nan.
    #[inline(always)]
    fn is_nan(self, a: Self::V) -> Self::M {
        self.ne(a, a)
    }

    /// g d, and 0 where `g` is 0 whatever `d` is (the strong zero of elementwise rules).
    #[inline(always)]
    fn zero_mul(self, g: Self::V, d: Self::V) -> Self::V {
        let zero = self.splat(T::ZERO);
        self.select(self.ne(g, zero), self.mul(g, d), zero)
    }

    /// g / d, and 0 where `g` is 0 whatever `d` is.
    #[inline(always)]
    fn zero_div(self, g: Self::V, d: Self::V) -> Self::V {
        let zero = self.splat(T::ZERO);
        self.select(self.ne(g, zero), self.div(g, d), zero)
    }

    /// The polynomial with these coefficients, highest power first (Horner's scheme).
    #[inline(always)]
    fn poly(self, x: Self::V, coefficients: &[T]) -> Self::V {
        let mut p = self.splat(coefficients[0]);
        for &c in &coefficients[1..] {
            p = self.fma(p, x, self.splat(c));
        }
        p
    }
}
