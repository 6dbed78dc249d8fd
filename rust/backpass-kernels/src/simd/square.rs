//! Squares of elements, transposed in registers.

use super::Simd;
use crate::real::Real;

/// The side of the squares that [`turn`] takes.
#[must_use]
pub const fn side<T: Real, S: Simd<T>>() -> usize {
    if cfg!(target_arch = "x86_64") && S::LANES > 1 { 32 / size_of::<T>() } else { 1 }
}

/// Transposes a square of [`side`] lines, `step` elements apart, to lines `line` elements apart.
///
/// # Safety
///
/// The lines are readable and writeable.
#[inline(always)]
pub unsafe fn turn<T: Real, S: Simd<T>>(
    _: S,
    from: *const T,
    step: isize,
    to: *mut T,
    line: usize,
) {
    // SAFETY: the caller vouches for both; with several lanes there is AVX, for which the token stands.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if S::LANES > 1 {
            return if size_of::<T>() == 4 {
                eight(from.cast(), step, to.cast(), line);
            } else {
                four(from.cast(), step, to.cast(), line);
            };
        }
        let (_, _) = (step, line);
        *to = *from;
    }
}

/// Eight by eight.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn eight(from: *const f32, step: isize, to: *mut f32, line: usize) {
    use core::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    // SAFETY: the caller vouches for both places and for the processor.
    unsafe {
        let mut r = [_mm256_setzero_ps(); 8];
        for (i, r) in r.iter_mut().enumerate() {
            *r = _mm256_loadu_ps(from.wrapping_offset(i as isize * step));
        }
        // Lines in pairs, then in fours: each half of a vector holds a column of four.
        let mut pairs = r;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..2 {
            for half in 0..2 {
                let (a, b) = (pairs[4 * i + half], pairs[4 * i + half + 2]);
                r[4 * i + 2 * half] = _mm256_shuffle_ps::<0x44>(a, b);
                r[4 * i + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(a, b);
            }
        }
        for i in 0..4 {
            let (a, b) = (r[i], r[i + 4]);
            _mm256_storeu_ps(to.add(i * line), _mm256_permute2f128_ps::<0x20>(a, b));
            _mm256_storeu_ps(to.add((i + 4) * line), _mm256_permute2f128_ps::<0x31>(a, b));
        }
    }
}

/// Four by four.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn four(from: *const f64, step: isize, to: *mut f64, line: usize) {
    use core::arch::x86_64::{
        _mm256_loadu_pd, _mm256_permute2f128_pd, _mm256_setzero_pd, _mm256_storeu_pd,
        _mm256_unpackhi_pd, _mm256_unpacklo_pd,
    };
    // SAFETY: the caller vouches for both places and for the processor.
    unsafe {
        let mut r = [_mm256_setzero_pd(); 4];
        for (i, r) in r.iter_mut().enumerate() {
            *r = _mm256_loadu_pd(from.wrapping_offset(i as isize * step));
        }
        for i in 0..2 {
            let (a, b) = if i == 0 {
                (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpacklo_pd(r[2], r[3]))
            } else {
                (_mm256_unpackhi_pd(r[0], r[1]), _mm256_unpackhi_pd(r[2], r[3]))
            };
            _mm256_storeu_pd(to.add(i * line), _mm256_permute2f128_pd::<0x20>(a, b));
            _mm256_storeu_pd(to.add((i + 2) * line), _mm256_permute2f128_pd::<0x31>(a, b));
        }
    }
}
