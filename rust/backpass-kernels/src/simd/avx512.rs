//! AVX-512: sixteen float32 or eight float64.

use core::arch::x86_64::{
    __m512, __m512d, __mmask8, __mmask16, _CMP_EQ_OQ, _CMP_LT_OQ, _CMP_NEQ_UQ, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_SRC, _mm_sfence, _mm512_abs_pd,
    _mm512_abs_ps, _mm512_add_pd, _mm512_add_ps, _mm512_and_pd, _mm512_and_ps, _mm512_andnot_pd,
    _mm512_andnot_ps, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_cvtsd_f64, _mm512_cvtss_f32,
    _mm512_div_pd, _mm512_div_ps, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_fnmadd_pd,
    _mm512_fnmadd_ps, _mm512_getexp_pd, _mm512_getexp_ps, _mm512_getmant_pd, _mm512_getmant_ps,
    _mm512_loadu_pd, _mm512_loadu_ps, _mm512_mask_blend_pd, _mm512_mask_blend_ps,
    _mm512_mask_storeu_pd, _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps,
    _mm512_max_pd, _mm512_max_ps, _mm512_min_pd, _mm512_min_ps, _mm512_mul_pd, _mm512_mul_ps,
    _mm512_or_pd, _mm512_or_ps, _mm512_permute_pd, _mm512_permute_ps, _mm512_roundscale_pd,
    _mm512_roundscale_ps, _mm512_scalef_pd, _mm512_scalef_ps, _mm512_set1_pd, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_shuffle_f64x2, _mm512_sqrt_pd, _mm512_sqrt_ps, _mm512_storeu_pd,
    _mm512_storeu_ps, _mm512_stream_pd, _mm512_stream_ps, _mm512_sub_pd, _mm512_sub_ps,
    _mm512_xor_pd, _mm512_xor_ps,
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

macro_rules! avx512 {
    (
        $t:ty, $v:ty, $m:ty, $lanes:literal,
        $loadu:ident $maskz_loadu:ident $storeu:ident $mask_storeu:ident
        $stream:ident $set1:ident
        $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $fnmadd:ident $sqrt:ident
        $abs:ident $xor:ident $and:ident $andnot:ident $or:ident $max:ident $min:ident
        $roundscale:ident $cmp:ident $blend:ident $scalef:ident $getexp:ident $getmant:ident
        $first:ident, fold: |$a:ident, $f:ident| $fold:expr
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
            unsafe fn store(self, p: *mut $t, v: $v) {
                unsafe { $storeu(p, v) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, p: *mut $t, n: usize, v: $v) {
                unsafe { $mask_storeu(p, ((1u32 << n) - 1) as $m, v) }
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
            fn scale(self, x: $v, n: $v) -> $v {
                unsafe { $scalef(x, n) }
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
    _mm512_scalef_ps _mm512_getexp_ps _mm512_getmant_ps _mm512_cvtss_f32,
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
    _mm512_scalef_pd _mm512_getexp_pd _mm512_getmant_pd _mm512_cvtsd_f64,
    fold: |a, f| {
        let a = f(a, _mm512_shuffle_f64x2::<0b01_00_11_10>(a, a));
        let a = f(a, _mm512_shuffle_f64x2::<0b10_11_00_01>(a, a));
        f(a, _mm512_permute_pd::<0b0101_0101>(a))
    }
}
