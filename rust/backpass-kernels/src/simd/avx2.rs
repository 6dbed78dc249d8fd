//! AVX2 with fused multiply-add: eight float32 or four float64.

use core::arch::x86_64::{
    __m128i, __m256, __m256d, __m256i, _CMP_EQ_OQ, _CMP_LT_OQ, _CMP_NEQ_UQ, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _mm_cvtepu8_epi32, _mm_cvtsi32_si128, _mm_cvtsi128_si64,
    _mm_loadl_epi64, _mm_packus_epi16, _mm_packus_epi32, _mm_sfence, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_add_pd, _mm256_add_ps, _mm256_and_pd, _mm256_and_ps, _mm256_and_si256,
    _mm256_andnot_pd, _mm256_andnot_ps, _mm256_blendv_pd, _mm256_blendv_ps, _mm256_castpd_ps,
    _mm256_castpd_si256, _mm256_castps_pd, _mm256_castps_si256, _mm256_castsi256_pd,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_cmpgt_epi32,
    _mm256_cmpgt_epi64, _mm256_cvtepi32_pd, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32,
    _mm256_cvtepu8_epi64, _mm256_cvtps_epi32, _mm256_cvtsd_f64, _mm256_cvtss_f32,
    _mm256_cvttpd_epi32, _mm256_cvttps_epi32, _mm256_div_pd, _mm256_div_ps,
    _mm256_extracti128_si256, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_fnmadd_pd, _mm256_fnmadd_ps,
    _mm256_loadu_pd, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_pd, _mm256_maskload_ps,
    _mm256_maskstore_pd, _mm256_maskstore_ps, _mm256_max_pd, _mm256_max_ps, _mm256_min_pd,
    _mm256_min_ps, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_mul_pd, _mm256_mul_ps,
    _mm256_or_pd, _mm256_or_ps, _mm256_or_si256, _mm256_permute_pd, _mm256_permute_ps,
    _mm256_permute2f128_pd, _mm256_permute2f128_ps, _mm256_permute4x64_pd, _mm256_round_pd,
    _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_pd, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_slli_epi64, _mm256_sqrt_pd,
    _mm256_sqrt_ps, _mm256_srli_epi32, _mm256_srli_epi64, _mm256_storeu_pd, _mm256_storeu_ps,
    _mm256_stream_pd, _mm256_stream_ps, _mm256_sub_epi32, _mm256_sub_epi64, _mm256_sub_pd,
    _mm256_sub_ps, _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps,
    _mm256_xor_pd, _mm256_xor_ps,
};

use super::Simd;

/// The token of AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token.
    ///
    /// # Safety
    ///
    /// The processor has AVX2 and FMA.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

/// `WINDOW[8 - n..]` is a mask of the first `n` lanes of eight.
static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `n` of eight 32-bit lanes, for `n <= 8`.
#[inline(always)]
unsafe fn window(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: eight elements lie behind `8 - n`; the caller has AVX2.
    unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - n).cast()) }
}

/// 2 to the `n` for integral `n` in the range of normal exponents.
#[inline(always)]
unsafe fn power_ps(n: __m256) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    }
}

/// 2 to the `n` for integral `n` in the range of normal exponents.
#[inline(always)]
unsafe fn power_pd(n: __m256d) -> __m256d {
    // The sum has the biased exponent in the low bits of its significand.
    // SAFETY: the caller has AVX2.
    unsafe {
        let sum = _mm256_add_pd(n, _mm256_set1_pd(4_503_599_627_370_496.0 + 1023.0));
        _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(sum)))
    }
}

/// Significand in [0.75, 1.5) and exponent of normal positive numbers.
#[inline(always)]
unsafe fn split_ps(x: __m256) -> (__m256, __m256) {
    // SAFETY: the caller has AVX2.
    unsafe {
        let bits = _mm256_castps_si256(x);
        let rounded = _mm256_add_epi32(bits, _mm256_set1_epi32(0x0040_0000));
        let exponent = _mm256_and_si256(rounded, _mm256_set1_epi32(0x7f80_0000));
        let m = _mm256_sub_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f80_0000)), exponent);
        let e = _mm256_cvtepi32_ps(_mm256_srli_epi32::<23>(exponent));
        (_mm256_castsi256_ps(m), _mm256_sub_ps(e, _mm256_set1_ps(127.0)))
    }
}

/// Significand in [0.75, 1.5) and exponent of normal positive numbers.
#[inline(always)]
unsafe fn split_pd(x: __m256d) -> (__m256d, __m256d) {
    const SHIFT: i64 = 0x4330_0000_0000_0000; // the bits of 2**52
    // SAFETY: the caller has AVX2.
    unsafe {
        let bits = _mm256_castpd_si256(x);
        let rounded = _mm256_add_epi64(bits, _mm256_set1_epi64x(0x0008_0000_0000_0000));
        let exponent = _mm256_and_si256(rounded, _mm256_set1_epi64x(0x7ff0_0000_0000_0000));
        let one = _mm256_set1_epi64x(0x3ff0_0000_0000_0000);
        let m = _mm256_sub_epi64(_mm256_add_epi64(bits, one), exponent);
        let e = _mm256_or_si256(_mm256_srli_epi64::<52>(exponent), _mm256_set1_epi64x(SHIFT));
        let e =
            _mm256_sub_pd(_mm256_castsi256_pd(e), _mm256_set1_pd(4_503_599_627_370_496.0 + 1023.0));
        (_mm256_castsi256_pd(m), e)
    }
}

/// Which of eight bytes are not 0.
#[inline(always)]
unsafe fn truths_ps(p: *const u8) -> __m256 {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe {
        let wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()));
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(wide, _mm256_setzero_si256()))
    }
}

/// Which of four bytes are not 0.
#[inline(always)]
unsafe fn truths_pd(p: *const u8) -> __m256d {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe {
        let bytes = _mm_cvtsi32_si128(p.cast::<i32>().read_unaligned());
        let wide = _mm256_cvtepu8_epi64(bytes);
        _mm256_castsi256_pd(_mm256_cmpgt_epi64(wide, _mm256_setzero_si256()))
    }
}

/// The first `n <= LANES` bytes, in a register; nothing else is read.
#[inline(always)]
unsafe fn bytes<const LANES: usize>(p: *const u8, n: usize) -> __m128i {
    let mut all = [0u8; 8];
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe {
        match (n == LANES, LANES) {
            (true, 8) => return _mm_loadl_epi64(p.cast()),
            (true, 4) => return _mm_cvtsi32_si128(p.cast::<i32>().read_unaligned()),
            _ => p.copy_to_nonoverlapping(all.as_mut_ptr(), n),
        }
        _mm_loadl_epi64(all.as_ptr().cast())
    }
}

/// Eight bytes as numbers.
#[inline(always)]
unsafe fn load_bytes_ps(p: *const u8, n: usize) -> __m256 {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes::<8>(p, n))) }
}

/// Four bytes as numbers.
#[inline(always)]
unsafe fn load_bytes_pd(p: *const u8, n: usize) -> __m256d {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe { _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(bytes::<4>(p, n))) }
}

/// Eight numbers as bytes.
#[inline(always)]
unsafe fn store_bytes_ps(p: *mut u8, n: usize, v: __m256) {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe {
        let wide = _mm256_cvttps_epi32(v);
        let (low, high) = (_mm256_castsi256_si128(wide), _mm256_extracti128_si256::<1>(wide));
        let half = _mm_packus_epi32(low, high);
        let narrow = _mm_cvtsi128_si64(_mm_packus_epi16(half, half)).to_le_bytes();
        p.copy_from_nonoverlapping(narrow.as_ptr(), n);
    }
}

/// Four numbers as bytes.
#[inline(always)]
unsafe fn store_bytes_pd(p: *mut u8, n: usize, v: __m256d) {
    // SAFETY: the caller vouches for the bytes and has AVX2.
    unsafe {
        let wide = _mm256_cvttpd_epi32(v);
        let half = _mm_packus_epi32(wide, wide);
        let narrow = _mm_cvtsi128_si64(_mm_packus_epi16(half, half)).to_le_bytes();
        p.copy_from_nonoverlapping(narrow.as_ptr(), n);
    }
}

/// Lanes with even numbers, and with odd ones.
#[inline(always)]
unsafe fn unzip_ps(a: __m256, b: __m256) -> (__m256, __m256) {
    // SAFETY: the caller has AVX2.
    unsafe {
        let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
        let even = _mm256_permute4x64_pd::<0b11_01_10_00>(even);
        let odd = _mm256_permute4x64_pd::<0b11_01_10_00>(odd);
        (_mm256_castpd_ps(even), _mm256_castpd_ps(odd))
    }
}

/// Lanes with even numbers, and with odd ones.
#[inline(always)]
unsafe fn unzip_pd(a: __m256d, b: __m256d) -> (__m256d, __m256d) {
    // SAFETY: the caller has AVX2.
    unsafe {
        let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let even = _mm256_permute4x64_pd::<0b11_01_10_00>(even);
        (even, _mm256_permute4x64_pd::<0b11_01_10_00>(odd))
    }
}

/// Lanes in turn.
#[inline(always)]
unsafe fn zip_ps(even: __m256, odd: __m256) -> (__m256, __m256) {
    // SAFETY: the caller has AVX2.
    unsafe {
        let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
        let first = _mm256_permute2f128_ps::<0x20>(low, high);
        (first, _mm256_permute2f128_ps::<0x31>(low, high))
    }
}

/// Lanes in turn.
#[inline(always)]
unsafe fn zip_pd(even: __m256d, odd: __m256d) -> (__m256d, __m256d) {
    // SAFETY: the caller has AVX2.
    unsafe {
        let (low, high) = (_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd));
        let first = _mm256_permute2f128_pd::<0x20>(low, high);
        (first, _mm256_permute2f128_pd::<0x31>(low, high))
    }
}

macro_rules! avx2 {
    (
        $t:ident, $v:ty, $lanes:literal, $width:literal, $subnormal:literal,
        $loadu:ident $maskload:ident $storeu:ident $maskstore:ident $stream:ident $set1:ident
        $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $fnmadd:ident $sqrt:ident
        $xor:ident $and:ident $andnot:ident $or:ident $max:ident $min:ident
        $round:ident $cmp:ident $blendv:ident $movemask:ident $power:ident $split:ident
        $first:ident $cast:ident $truths:ident $bits:ident $sub_bits:ident
        $load_bytes:ident $store_bytes:ident $unzip:ident $zip:ident, fold: |$a:ident, $f:ident| $fold:expr
    ) => {
        // SAFETY of every block below: the token proves that the processor has the instructions,
        // and the caller of a memory method vouches for the pointer.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Simd<$t> for Avx2 {
            type V = $v;
            type M = $v;
            const LANES: usize = $lanes;
            const FUSED: bool = true;
            const ROWS: usize = 6;

            #[inline(always)]
            unsafe fn load(self, p: *const $t) -> $v {
                unsafe { $loadu(p) }
            }
            #[inline(always)]
            unsafe fn load_partial(self, p: *const $t, n: usize) -> $v {
                unsafe { $maskload(p, window($width * n)) }
            }
            #[inline(always)]
            unsafe fn truths(self, p: *const u8) -> $v {
                unsafe { $truths(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $t, v: $v) {
                unsafe { $storeu(p, v) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, p: *mut $t, n: usize, v: $v) {
                unsafe { $maskstore(p, window($width * n), v) }
            }
            #[inline(always)]
            unsafe fn load_bytes(self, p: *const u8, n: usize) -> $v {
                unsafe { $load_bytes(p, n) }
            }
            #[inline(always)]
            unsafe fn store_bytes(self, p: *mut u8, n: usize, v: $v) {
                unsafe { $store_bytes(p, n, v) }
            }
            #[inline(always)]
            unsafe fn stream(self, p: *mut $t, v: $v) {
                unsafe { $stream(p, v) }
            }
            #[inline(always)]
            fn fence(self) {
                unsafe { _mm_sfence() }
            }
            #[inline(always)]
            fn splat(self, x: $t) -> $v {
                unsafe { $set1(x) }
            }
            #[inline(always)]
            fn add(self, a: $v, b: $v) -> $v {
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: $v, b: $v) -> $v {
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: $v, b: $v) -> $v {
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: $v, b: $v) -> $v {
                unsafe { $div(a, b) }
            }
            #[inline(always)]
            fn fma(self, a: $v, b: $v, c: $v) -> $v {
                unsafe { $fmadd(a, b, c) }
            }
            #[inline(always)]
            fn fnma(self, a: $v, b: $v, c: $v) -> $v {
                unsafe { $fnmadd(a, b, c) }
            }
            #[inline(always)]
            fn sqrt(self, a: $v) -> $v {
                unsafe { $sqrt(a) }
            }
            #[inline(always)]
            fn abs(self, a: $v) -> $v {
                unsafe { $andnot($set1(-0.0), a) }
            }
            #[inline(always)]
            fn neg(self, a: $v) -> $v {
                unsafe { $xor(a, $set1(-0.0)) }
            }
            #[inline(always)]
            fn copysign(self, a: $v, b: $v) -> $v {
                unsafe { $or($andnot($set1(-0.0), a), $and($set1(-0.0), b)) }
            }
            #[inline(always)]
            fn max(self, a: $v, b: $v) -> $v {
                unsafe { $max(a, b) }
            }
            #[inline(always)]
            fn min(self, a: $v, b: $v) -> $v {
                unsafe { $min(a, b) }
            }
            #[inline(always)]
            fn round(self, a: $v) -> $v {
                unsafe { $round::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
            }
            #[inline(always)]
            fn lt(self, a: $v, b: $v) -> $v {
                unsafe { $cmp::<_CMP_LT_OQ>(a, b) }
            }
            #[inline(always)]
            fn eq(self, a: $v, b: $v) -> $v {
                unsafe { $cmp::<_CMP_EQ_OQ>(a, b) }
            }
            #[inline(always)]
            fn ne(self, a: $v, b: $v) -> $v {
                unsafe { $cmp::<_CMP_NEQ_UQ>(a, b) }
            }
            #[inline(always)]
            fn and(self, a: $v, b: $v) -> $v {
                unsafe { $and(a, b) }
            }
            #[inline(always)]
            fn or(self, a: $v, b: $v) -> $v {
                unsafe { $or(a, b) }
            }
            #[inline(always)]
            fn any(self, m: $v) -> bool {
                unsafe { $movemask(m) != 0 }
            }
            #[inline(always)]
            fn select(self, m: $v, a: $v, b: $v) -> $v {
                unsafe { $blendv(b, a, m) }
            }
            #[inline(always)]
            fn scale_at_once(self, x: $v, n: $v) -> $v {
                // In two steps, the second of which is the only one that can round.
                unsafe {
                    let half = Simd::<$t>::round(self, $mul(n, $set1(0.5)));
                    $mul($mul(x, $power(half)), $power($sub(n, half)))
                }
            }
            #[inline(always)]
            fn less_bits(self, a: $v, b: $v) -> $v {
                unsafe { $cast($sub_bits($bits(a), $bits(b))) }
            }
            #[inline(always)]
            fn split(self, x: $v) -> ($v, $v) {
                unsafe {
                    let small = Simd::<$t>::lt(self, x, $set1($t::MIN_POSITIVE));
                    let (m, e) =
                        $split(Simd::<$t>::select(self, small, $mul(x, $set1($subnormal)), x));
                    let shift =
                        Simd::<$t>::select(self, small, $split($set1($subnormal)).1, $set1(0.0));
                    (m, $sub(e, shift))
                }
            }
            #[inline(always)]
            fn fold(self, $a: $v, $f: impl Fn($v, $v) -> $v) -> $t {
                unsafe { $first($fold) }
            }
            #[inline(always)]
            fn unzip(self, a: $v, b: $v) -> ($v, $v) {
                unsafe { $unzip(a, b) }
            }
            #[inline(always)]
            fn zip(self, even: $v, odd: $v) -> ($v, $v) {
                unsafe { $zip(even, odd) }
            }
            #[inline(always)]
            fn first(self, a: $v) -> $t {
                unsafe { $first(a) }
            }
            #[inline(always)]
            fn head(self, n: usize) -> $v {
                unsafe { $cast(window($width * n)) }
            }
            #[inline(always)]
            fn map(self, a: $v, f: impl Fn($t) -> $t) -> $v {
                let mut lanes: [$t; $lanes] = [0.0; $lanes];
                unsafe {
                    $storeu(lanes.as_mut_ptr(), a);
                    for x in &mut lanes {
                        *x = f(*x);
                    }
                    $loadu(lanes.as_ptr())
                }
            }
            #[inline(always)]
            fn map2(self, a: $v, b: $v, f: impl Fn($t, $t) -> $t) -> $v {
                let mut lanes: [$t; $lanes] = [0.0; $lanes];
                let mut others: [$t; $lanes] = [0.0; $lanes];
                unsafe {
                    $storeu(lanes.as_mut_ptr(), a);
                    $storeu(others.as_mut_ptr(), b);
                    for (x, &y) in lanes.iter_mut().zip(&others) {
                        *x = f(*x, y);
                    }
                    $loadu(lanes.as_ptr())
                }
            }
        }
    };
}

avx2! {
    f32, __m256, 8, 1, 16_777_216.0,
    _mm256_loadu_ps _mm256_maskload_ps _mm256_storeu_ps _mm256_maskstore_ps _mm256_stream_ps _mm256_set1_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps _mm256_fnmadd_ps
    _mm256_sqrt_ps _mm256_xor_ps _mm256_and_ps _mm256_andnot_ps _mm256_or_ps _mm256_max_ps
    _mm256_min_ps _mm256_round_ps _mm256_cmp_ps _mm256_blendv_ps _mm256_movemask_ps
    power_ps split_ps _mm256_cvtss_f32 _mm256_castsi256_ps truths_ps
    _mm256_castps_si256 _mm256_sub_epi32 load_bytes_ps store_bytes_ps unzip_ps zip_ps,
    fold: |a, f| {
        let a = f(a, _mm256_permute2f128_ps::<1>(a, a));
        let a = f(a, _mm256_permute_ps::<0b01_00_11_10>(a));
        f(a, _mm256_permute_ps::<0b10_11_00_01>(a))
    }
}

avx2! {
    f64, __m256d, 4, 2, 18_014_398_509_481_984.0,
    _mm256_loadu_pd _mm256_maskload_pd _mm256_storeu_pd _mm256_maskstore_pd _mm256_stream_pd _mm256_set1_pd
    _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd _mm256_fnmadd_pd
    _mm256_sqrt_pd _mm256_xor_pd _mm256_and_pd _mm256_andnot_pd _mm256_or_pd _mm256_max_pd
    _mm256_min_pd _mm256_round_pd _mm256_cmp_pd _mm256_blendv_pd _mm256_movemask_pd
    power_pd split_pd _mm256_cvtsd_f64 _mm256_castsi256_pd truths_pd
    _mm256_castpd_si256 _mm256_sub_epi64 load_bytes_pd store_bytes_pd unzip_pd zip_pd,
    fold: |a, f| {
        let a = f(a, _mm256_permute2f128_pd::<1>(a, a));
        f(a, _mm256_permute_pd::<0b0101>(a))
    }
}
