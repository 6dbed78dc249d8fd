//! AVX-512: sixteen float32 or eight float64.

use core::arch::x86_64::{
    __m512, __m512d, __mmask8, __mmask16, _CMP_EQ_OQ, _CMP_LT_OQ, _CMP_NEQ_UQ, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_SRC, _mm_loadl_epi64,
    _mm_loadu_si128, _mm_maskz_loadu_epi8, _mm_sfence, _mm_test_epi8_mask, _mm256_cvtepu8_epi32,
    _mm256_mask_cvtepi32_storeu_epi8, _mm512_abs_pd, _mm512_abs_ps, _mm512_add_pd, _mm512_add_ps,
    _mm512_and_pd, _mm512_and_ps, _mm512_andnot_pd, _mm512_andnot_ps, _mm512_castpd_si512,
    _mm512_castps_si512, _mm512_castsi512_pd, _mm512_castsi512_ps, _mm512_cmp_pd_mask,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_pd, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32,
    _mm512_cvtsd_f64, _mm512_cvtss_f32, _mm512_cvttpd_epi32, _mm512_cvttps_epi32, _mm512_div_pd,
    _mm512_div_ps, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_fnmadd_pd, _mm512_fnmadd_ps,
    _mm512_getexp_pd, _mm512_getexp_ps, _mm512_getmant_pd, _mm512_getmant_ps, _mm512_loadu_pd,
    _mm512_loadu_ps, _mm512_mask_blend_pd, _mm512_mask_blend_ps, _mm512_mask_cvtepi32_storeu_epi8,
    _mm512_mask_storeu_pd, _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps,
    _mm512_max_pd, _mm512_max_ps, _mm512_min_pd, _mm512_min_ps, _mm512_mul_pd, _mm512_mul_ps,
    _mm512_or_pd, _mm512_or_ps, _mm512_permute_pd, _mm512_permute_ps, _mm512_permutex2var_pd,
    _mm512_permutex2var_ps, _mm512_roundscale_pd, _mm512_roundscale_ps, _mm512_scalef_pd,
    _mm512_scalef_ps, _mm512_set1_pd, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setr_epi64,
    _mm512_shuffle_f32x4, _mm512_shuffle_f64x2, _mm512_sqrt_pd, _mm512_sqrt_ps, _mm512_storeu_pd,
    _mm512_storeu_ps, _mm512_stream_pd, _mm512_stream_ps, _mm512_sub_epi32, _mm512_sub_epi64,
    _mm512_sub_pd, _mm512_sub_ps, _mm512_xor_pd, _mm512_xor_ps,
};

use super::Simd;

/// The token of AVX-512 (F, BW, DQ, VL).
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The token.
    ///
    /// # Safety
    ///
    /// The processor has AVX-512 F, BW, DQ and VL.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

/// Which of sixteen bytes are not 0.
#[inline(always)]
unsafe fn truths_ps(p: *const u8) -> __mmask16 {
    // SAFETY: the caller vouches for the bytes and has AVX-512 BW and VL.
    unsafe {
        let bytes = _mm_loadu_si128(p.cast());
        _mm_test_epi8_mask(bytes, bytes)
    }
}

/// Which of eight bytes are not 0.
#[inline(always)]
unsafe fn truths_pd(p: *const u8) -> __mmask8 {
    // SAFETY: the caller vouches for the bytes and has AVX-512 BW and VL.
    unsafe {
        let bytes = _mm_loadl_epi64(p.cast());
        _mm_test_epi8_mask(bytes, bytes) as __mmask8
    }
}

/// Sixteen bytes as numbers.
#[inline(always)]
unsafe fn load_bytes_ps(p: *const u8, n: usize) -> __m512 {
    // SAFETY: the caller vouches for the bytes and has AVX-512 BW and VL.
    unsafe {
        let bytes = _mm_maskz_loadu_epi8(((1u32 << n) - 1) as __mmask16, p.cast());
        _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
    }
}

/// Eight bytes as numbers.
#[inline(always)]
unsafe fn load_bytes_pd(p: *const u8, n: usize) -> __m512d {
    // SAFETY: the caller vouches for the bytes and has AVX-512 BW and VL.
    unsafe {
        let bytes = _mm_maskz_loadu_epi8(((1u32 << n) - 1) as __mmask16, p.cast());
        _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(bytes))
    }
}

/// Sixteen numbers as bytes.
#[inline(always)]
unsafe fn store_bytes_ps(p: *mut u8, n: usize, v: __m512) {
    // SAFETY: the caller vouches for the bytes and has AVX-512.
    unsafe {
        let mask = ((1u32 << n) - 1) as __mmask16;
        _mm512_mask_cvtepi32_storeu_epi8(p.cast(), mask, _mm512_cvttps_epi32(v));
    }
}

/// Eight numbers as bytes.
#[inline(always)]
unsafe fn store_bytes_pd(p: *mut u8, n: usize, v: __m512d) {
    // SAFETY: the caller vouches for the bytes and has AVX-512 VL.
    unsafe {
        let mask = ((1u32 << n) - 1) as __mmask8;
        _mm256_mask_cvtepi32_storeu_epi8(p.cast(), mask, _mm512_cvttpd_epi32(v));
    }
}

/// Lanes with even numbers, and with odd ones.
#[inline(always)]
unsafe fn unzip_ps(a: __m512, b: __m512) -> (__m512, __m512) {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
    }
}

/// Lanes with even numbers, and with odd ones.
#[inline(always)]
unsafe fn unzip_pd(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
        let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
        (_mm512_permutex2var_pd(a, even, b), _mm512_permutex2var_pd(a, odd, b))
    }
}

/// Lanes in turn.
#[inline(always)]
unsafe fn zip_ps(even: __m512, odd: __m512) -> (__m512, __m512) {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        (_mm512_permutex2var_ps(even, low, odd), _mm512_permutex2var_ps(even, high, odd))
    }
}

/// Lanes in turn.
#[inline(always)]
unsafe fn zip_pd(even: __m512d, odd: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
        let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
        (_mm512_permutex2var_pd(even, low, odd), _mm512_permutex2var_pd(even, high, odd))
    }
}

macro_rules! avx512 {
    (
        $t:ty, $v:ty, $m:ty, $lanes:literal,
        $loadu:ident $maskz_loadu:ident $storeu:ident $mask_storeu:ident
        $stream:ident $set1:ident
        $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $fnmadd:ident $sqrt:ident
        $abs:ident $xor:ident $and:ident $andnot:ident $or:ident $max:ident $min:ident
        $roundscale:ident $cmp:ident $blend:ident $scalef:ident $getexp:ident $getmant:ident
        $first:ident $truths:ident $bits:ident $float:ident $sub_bits:ident
        $load_bytes:ident $store_bytes:ident $unzip:ident $zip:ident, fold: |$a:ident, $f:ident| $fold:expr
    ) => {
        // SAFETY of every block below: the token proves that the processor has the instructions,
        // and the caller of a memory method vouches for the pointer.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Simd<$t> for Avx512 {
            type V = $v;
            type M = $m;
            const LANES: usize = $lanes;
            const FUSED: bool = true;
            const ROWS: usize = 14;

            #[inline(always)]
            unsafe fn load(self, p: *const $t) -> $v {
                unsafe { $loadu(p) }
            }
            #[inline(always)]
            unsafe fn load_partial(self, p: *const $t, n: usize) -> $v {
                unsafe { $maskz_loadu(((1u32 << n) - 1) as $m, p) }
            }
            #[inline(always)]
            unsafe fn truths(self, p: *const u8) -> $m {
                unsafe { $truths(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $t, v: $v) {
                unsafe { $storeu(p, v) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, p: *mut $t, n: usize, v: $v) {
                unsafe { $mask_storeu(p, ((1u32 << n) - 1) as $m, v) }
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
                unsafe { $abs(a) }
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
                unsafe { $roundscale::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
            }
            #[inline(always)]
            fn lt(self, a: $v, b: $v) -> $m {
                unsafe { $cmp::<_CMP_LT_OQ>(a, b) }
            }
            #[inline(always)]
            fn eq(self, a: $v, b: $v) -> $m {
                unsafe { $cmp::<_CMP_EQ_OQ>(a, b) }
            }
            #[inline(always)]
            fn ne(self, a: $v, b: $v) -> $m {
                unsafe { $cmp::<_CMP_NEQ_UQ>(a, b) }
            }
            #[inline(always)]
            fn and(self, a: $m, b: $m) -> $m {
                a & b
            }
            #[inline(always)]
            fn or(self, a: $m, b: $m) -> $m {
                a | b
            }
            #[inline(always)]
            fn any(self, m: $m) -> bool {
                m != 0
            }
            #[inline(always)]
            fn select(self, m: $m, a: $v, b: $v) -> $v {
                unsafe { $blend(m, b, a) }
            }
            #[inline(always)]
            fn scale_at_once(self, x: $v, n: $v) -> $v {
                unsafe { $scalef(x, n) }
            }
            #[inline(always)]
            fn less_bits(self, a: $v, b: $v) -> $v {
                unsafe { $float($sub_bits($bits(a), $bits(b))) }
            }
            #[inline(always)]
            fn split(self, x: $v) -> ($v, $v) {
                unsafe {
                    let m = $getmant::<_MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_SRC>(x);
                    let e = $getexp(x);
                    let below = $cmp::<_CMP_LT_OQ>(m, $set1(1.0));
                    (m, $blend(below, e, $add(e, $set1(1.0))))
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
            fn head(self, n: usize) -> $m {
                ((1u32 << n) - 1) as $m
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

avx512! {
    f32, __m512, __mmask16, 16,
    _mm512_loadu_ps _mm512_maskz_loadu_ps _mm512_storeu_ps _mm512_mask_storeu_ps _mm512_stream_ps _mm512_set1_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps _mm512_fnmadd_ps
    _mm512_sqrt_ps _mm512_abs_ps _mm512_xor_ps _mm512_and_ps _mm512_andnot_ps _mm512_or_ps
    _mm512_max_ps _mm512_min_ps _mm512_roundscale_ps _mm512_cmp_ps_mask _mm512_mask_blend_ps
    _mm512_scalef_ps _mm512_getexp_ps _mm512_getmant_ps _mm512_cvtss_f32 truths_ps
    _mm512_castps_si512 _mm512_castsi512_ps _mm512_sub_epi32 load_bytes_ps store_bytes_ps unzip_ps zip_ps,
    fold: |a, f| {
        let a = f(a, _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a));
        let a = f(a, _mm512_shuffle_f32x4::<0b10_11_00_01>(a, a));
        let a = f(a, _mm512_permute_ps::<0b01_00_11_10>(a));
        f(a, _mm512_permute_ps::<0b10_11_00_01>(a))
    }
}

avx512! {
    f64, __m512d, __mmask8, 8,
    _mm512_loadu_pd _mm512_maskz_loadu_pd _mm512_storeu_pd _mm512_mask_storeu_pd _mm512_stream_pd _mm512_set1_pd
    _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd _mm512_fnmadd_pd
    _mm512_sqrt_pd _mm512_abs_pd _mm512_xor_pd _mm512_and_pd _mm512_andnot_pd _mm512_or_pd
    _mm512_max_pd _mm512_min_pd _mm512_roundscale_pd _mm512_cmp_pd_mask _mm512_mask_blend_pd
    _mm512_scalef_pd _mm512_getexp_pd _mm512_getmant_pd _mm512_cvtsd_f64 truths_pd
    _mm512_castpd_si512 _mm512_castsi512_pd _mm512_sub_epi64 load_bytes_pd store_bytes_pd unzip_pd zip_pd,
    fold: |a, f| {
        let a = f(a, _mm512_shuffle_f64x2::<0b01_00_11_10>(a, a));
        let a = f(a, _mm512_shuffle_f64x2::<0b10_11_00_01>(a, a));
        f(a, _mm512_permute_pd::<0b0101_0101>(a))
    }
}
