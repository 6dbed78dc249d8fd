//! Which instruction set the kernels use.

use std::sync::OnceLock;

use crate::real::Real;
use crate::settings;
use crate::simd::Simd;
use crate::simd::portable::Portable;

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// Every instruction set of this processor, the best last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut found = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    found.push(Self::Avx512);
                }
            }
        }
        found
    }

    /// The best of this processor, or what the environment variable `BACKPASS_ISA` (`scalar`,
    /// `avx2`, `avx512`) asks for if the processor has it. Chosen once.
    #[must_use]
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            settings::isa().unwrap_or_else(|| {
                let available = Self::available();
                available[available.len() - 1]
            })
        })
    }

    /// The name `BACKPASS_ISA` knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// A computation written once for every instruction set.
pub trait Kernel<T: Real> {
    /// What it returns.
    type Output;
    /// The computation; mark it `#[inline(always)]`, or it runs without the target feature.
    fn run<S: Simd<T>>(self, s: S) -> Self::Output;
}

/// Runs `kernel` on `isa`.
///
/// # Safety
///
/// The processor has `isa` (see [`Isa::available`]).
#[inline]
pub unsafe fn dispatch<T: Real, K: Kernel<T>>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        Isa::Scalar => kernel.run(Portable),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller vouches for the processor.
        Isa::Avx2 => unsafe { T::enter_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller vouches for the processor.
        Isa::Avx512 => unsafe { T::enter_avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => unreachable!("not an instruction set of this processor"),
    }
}
