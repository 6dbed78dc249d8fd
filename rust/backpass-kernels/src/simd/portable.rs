//! One lane, in plain Rust: every platform has it, and it is the reference in tests.

use super::Simd;
use crate::real::Real;

/// Vectors of one element.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl<T: Real> Simd<T> for Portable {
    type V = T;
    type M = bool;
    const LANES: usize = 1;
    const FUSED: bool = false;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(self, p: *const T) -> T {
        // SAFETY: the caller vouches for `p`.
        unsafe { p.read() }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const T, n: usize) -> T {
        // SAFETY: the caller vouches for `n` elements.
        if n > 0 { unsafe { p.read() } } else { T::ZERO }
    }
    #[inline(always)]
    unsafe fn truths(self, p: *const u8) -> bool {
        // SAFETY: the caller vouches for `p`.
        unsafe { p.read() != 0 }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T, v: T) {
        // SAFETY: the caller vouches for `p`.
        unsafe { p.write(v) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut T, n: usize, v: T) {
        if n > 0 {
            // SAFETY: the caller vouches for `n` elements.
            unsafe { p.write(v) }
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, p: *const u8, n: usize) -> T {
        // SAFETY: the caller vouches for `n` bytes.
        if n > 0 { T::count(usize::from(unsafe { p.read() })) } else { T::ZERO }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize, v: T) {
        if n > 0 {
            // SAFETY: the caller vouches for `n` bytes.
            unsafe { p.write(v.wide() as u8) }
        }
    }
    #[inline(always)]
    unsafe fn stream(self, p: *mut T, v: T) {
        // SAFETY: the caller vouches for `p`.
        unsafe { p.write(v) }
    }
    #[inline(always)]
    fn fence(self) {}
    #[inline(always)]
    fn splat(self, x: T) -> T {
        x
    }
    #[inline(always)]
    fn add(self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: T, b: T) -> T {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: T, b: T) -> T {
        a * b
    }
    #[inline(always)]
    fn div(self, a: T, b: T) -> T {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: T, b: T, c: T) -> T {
        a * b + c
    }
    #[inline(always)]
    fn fnma(self, a: T, b: T, c: T) -> T {
        c - a * b
    }
    #[inline(always)]
    fn sqrt(self, a: T) -> T {
        a.std_sqrt()
    }
    #[inline(always)]
    fn abs(self, a: T) -> T {
        a.std_abs()
    }
    #[inline(always)]
    fn neg(self, a: T) -> T {
        -a
    }
    #[inline(always)]
    fn copysign(self, a: T, b: T) -> T {
        a.std_copysign(b)
    }
    #[inline(always)]
    fn max(self, a: T, b: T) -> T {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn min(self, a: T, b: T) -> T {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn round(self, a: T) -> T {
        a.std_round()
    }
    #[inline(always)]
    fn lt(self, a: T, b: T) -> bool {
        a < b
    }
    #[inline(always)]
    fn eq(self, a: T, b: T) -> bool {
        a == b
    }
    #[inline(always)]
    fn ne(self, a: T, b: T) -> bool {
        a != b
    }
    #[inline(always)]
    fn and(self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn or(self, a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn any(self, m: bool) -> bool {
        m
    }
    #[inline(always)]
    fn select(self, m: bool, a: T, b: T) -> T {
        if m { a } else { b }
    }
    #[inline(always)]
    fn prefetch(self, _: *const T) {}
    #[inline(always)]
    fn scale(self, x: T, n: T) -> T {
        x.std_scale(n)
    }
    #[inline(always)]
    fn scale_at_once(self, x: T, n: T) -> T {
        x.std_scale(n)
    }
    #[inline(always)]
    fn less_bits(self, a: T, b: T) -> T {
        a.std_less_bits(b)
    }
    #[inline(always)]
    fn split(self, x: T) -> (T, T) {
        x.std_split()
    }
    #[inline(always)]
    fn fold(self, a: T, _: impl Fn(T, T) -> T) -> T {
        a
    }
    #[inline(always)]
    fn unzip(self, a: T, b: T) -> (T, T) {
        (a, b)
    }
    #[inline(always)]
    fn zip(self, even: T, odd: T) -> (T, T) {
        (even, odd)
    }
    #[inline(always)]
    fn first(self, a: T) -> T {
        a
    }
    #[inline(always)]
    fn head(self, n: usize) -> bool {
        n > 0
    }
    #[inline(always)]
    fn map(self, a: T, f: impl Fn(T) -> T) -> T {
        f(a)
    }
    #[inline(always)]
    fn map2(self, a: T, b: T, f: impl Fn(T, T) -> T) -> T {
        f(a, b)
    }
}
