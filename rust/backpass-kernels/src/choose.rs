//! Choosing between two operands by an array of truth values.

use crate::elementwise::Pick;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Elements of a chunk.
const CHUNK: usize = 16_384;
/// About how many picoseconds an element takes.
const COST: usize = 60;

/// `n` elements: of `ins[0]` where a byte of `condition` is not 0, else of `ins[1]`. An operand
/// advances if `advance` is 1; if it is 0, one element stands for all.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    /// The first output.
    pub out: *mut T,
    /// How many there are.
    pub n: usize,
    /// Zeros and ones.
    pub condition: *const u8,
    /// The two operands.
    pub ins: [*const T; 2],
    /// 1 or 0.
    pub advance: [usize; 2],
}

impl<T: Real> Kernel<T> for Choice<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { mut out, n, mut condition, mut ins, advance } = self;
        if n == 0 {
            return;
        }
        let mut splats = [s.splat(T::ZERO); 2];
        for i in 0..2 {
            if advance[i] == 0 {
                // SAFETY: one element stands for all.
                splats[i] = s.splat(unsafe { *ins[i] });
                ins[i] = (&raw const splats[i]).cast();
            }
        }
        for _ in 0..n / S::LANES {
            // SAFETY: a whole vector lies within each operand (or is a splat) and the output.
            unsafe {
                let chosen = s.truths(condition);
                s.store(out, s.select(chosen, s.load(ins[0]), s.load(ins[1])));
                out = out.add(S::LANES);
                condition = condition.add(S::LANES);
                ins[0] = ins[0].add(advance[0] * S::LANES);
                ins[1] = ins[1].add(advance[1] * S::LANES);
            }
        }
        let rest = n % S::LANES;
        let mut bytes = [0u8; 16];
        // SAFETY: `rest` elements are left; no vector has more than sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(condition, bytes.as_mut_ptr(), rest);
            let (x, y) = (s.load_partial(ins[0], rest), s.load_partial(ins[1], rest));
            s.store_partial(out, rest, s.select(s.truths(bytes.as_ptr()), x, y));
        }
    }
}

/// Makes the choice, on several threads if that is worth it.
///
/// # Safety
///
/// The output, the condition and the operands hold what [`Choice`] says; the output overlaps none of
/// the others; the processor has `isa`.
pub unsafe fn choose<T: Pick>(isa: Isa, choice: &Choice<T>) {
    if choice.n <= CHUNK {
        // SAFETY: the caller vouches for all of it.
        return unsafe { dispatch(isa, *choice) };
    }
    // SAFETY: each chunk writes a part of the output of its own.
    let shared = unsafe { Shared::new(*choice) };
    let n = choice.n;
    threads::run(n.div_ceil(CHUNK), n * COST / 1000, &|chunk| {
        let mut part = shared.get();
        let start = chunk * CHUNK;
        part.n = CHUNK.min(n - start);
        part.out = part.out.wrapping_add(start);
        part.condition = part.condition.wrapping_add(start);
        for i in 0..2 {
            part.ins[i] = part.ins[i].wrapping_add(part.advance[i] * start);
        }
        // SAFETY: within the operands.
        unsafe { dispatch(isa, part) };
    });
}
