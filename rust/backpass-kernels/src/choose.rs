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
/// advances if `advance` is 1; if it is 0, one element stands for all, and likewise the condition.
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
    /// 1 or 0.
    pub advance_condition: usize,
}

/// What is true everywhere.
static TRUE: [u8; 16] = [1; 16];

impl<T: Real> Kernel<T> for Choice<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { mut out, n, mut condition, mut ins, mut advance, advance_condition } = self;
        if n == 0 {
            return;
        }
        if advance_condition == 0 {
            // One of the operands, all of it.
            // SAFETY: one byte stands for all.
            let chosen = usize::from(unsafe { *condition } == 0);
            (ins, advance) = ([ins[chosen]; 2], [advance[chosen]; 2]);
            condition = TRUE.as_ptr();
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
                condition = condition.add(advance_condition * S::LANES);
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
        part.condition = part.condition.wrapping_add(part.advance_condition * start);
        for i in 0..2 {
            part.ins[i] = part.ins[i].wrapping_add(part.advance[i] * start);
        }
        // SAFETY: within the operands.
        unsafe { dispatch(isa, part) };
    });
}

/// Choices of `n` elements each, one after the other in the output.
///
/// For each dimension, the outermost first, its length, and how far the condition and the operands
/// go on along it.
struct Grid<'a, T> {
    line: Choice<T>,
    dims: &'a [(usize, [isize; 3])],
    first: usize,
    last: usize,
}

impl<T: Real> Kernel<T> for Grid<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { line, dims, first, last } = self;
        for number in first..last {
            let (mut rest, mut line) = (number, line);
            line.out = line.out.wrapping_add(number * line.n);
            for &(length, [condition, x, y]) in dims.iter().rev() {
                let index = (rest % length) as isize;
                rest /= length;
                line.condition = line.condition.wrapping_offset(index * condition);
                line.ins[0] = line.ins[0].wrapping_offset(index * x);
                line.ins[1] = line.ins[1].wrapping_offset(index * y);
            }
            line.run(s);
        }
    }
}

/// Makes choices line by line; see [`choose`]. For each dimension, the outermost first, its length,
/// and how far the condition and the operands go on along it.
///
/// # Safety
///
/// The output holds all lines; the condition and the operands hold what their steps say; the output
/// overlaps none of them; the processor has `isa`.
pub unsafe fn choose_lines<T: Pick>(isa: Isa, line: &Choice<T>, dims: &[(usize, [isize; 3])]) {
    let lines: usize = dims.iter().map(|dim| dim.0).product();
    let part = (CHUNK / line.n.max(1)).max(1);
    // SAFETY: each chunk writes lines of its own.
    let shared = unsafe { Shared::new(*line) };
    threads::run(lines.div_ceil(part), lines * line.n * COST / 1000, &|chunk| {
        let (first, last) = (chunk * part, lines.min((chunk + 1) * part));
        // SAFETY: the caller vouches for the operands and the processor.
        unsafe { dispatch(isa, Grid { line: shared.get(), dims, first, last }) };
    });
}
