//! Elementwise functions and their fused rules.
//!
//! A rule gets the cotangent `g` first and obeys strong zero: an entry whose cotangent is exactly 0
//! gives 0 whatever the local derivative is.

pub mod activations;
mod binary;
mod powers;
mod quaternary;
mod rules;
mod unary;

use std::marker::PhantomData;

use crate::isa::{Isa, Kernel, dispatch};
use crate::layout::{Lines, Operand, Walk};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

pub use binary::BINARY;
pub use powers::{constant_power, constant_power_rule};
pub use quaternary::QUATERNARY;
pub use rules::{BINARY_RULES, QUATERNARY_RULES, TERNARY_RULES, UNARY_RULES};
pub use unary::{COPY, UNARY};

/// A function of `N` numbers, on vectors.
pub trait Op<const N: usize>: Copy + Default {
    /// Its value.
    fn eval<T: Real, S: Simd<T>>(s: S, x: [S::V; N]) -> S::V;
}

struct Loop<'a, O, T, const N: usize> {
    lines: &'a Lines<T, N>,
    stream: bool,
    op: PhantomData<O>,
}

impl<O: Op<N>, T: Real, const N: usize> Kernel<T> for Loop<'_, O, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let &Lines { mut out, lines, length, mut ins, advance, jump } = self.lines;
        let zero = s.splat(T::ZERO);
        let mut splats = [zero; N];
        let whole = length / S::LANES;
        let rest = length % S::LANES;
        for _ in 0..lines {
            let mut at = ins;
            for i in 0..N {
                if advance[i] == 0 {
                    // SAFETY: one element stands for the line.
                    splats[i] = s.splat(unsafe { *ins[i] });
                    at[i] = (&raw const splats[i]).cast();
                }
                ins[i] = ins[i].wrapping_offset(jump[i]);
            }
            for _ in 0..whole {
                let mut x = [zero; N];
                for i in 0..N {
                    // SAFETY: a whole vector lies within each operand (or is a splat) and the output.
                    unsafe {
                        x[i] = s.load(at[i]);
                        at[i] = at[i].add(advance[i] * S::LANES);
                    }
                }
                let value = O::eval(s, x);
                // SAFETY: as above; who asks for streaming has aligned the output.
                unsafe {
                    if self.stream {
                        s.stream(out, value);
                    } else {
                        s.store(out, value);
                    }
                    out = out.add(S::LANES);
                }
            }
            if rest > 0 {
                let mut x = [zero; N];
                for i in 0..N {
                    // SAFETY: `rest` elements are left.
                    x[i] = unsafe { s.load_partial(at[i], rest) };
                }
                // SAFETY: as above.
                unsafe {
                    s.store_partial(out, rest, O::eval(s, x));
                    out = out.add(rest);
                }
            }
        }
        if self.stream {
            s.fence();
        }
    }
}

/// The loop of `O` over lines, past the caches if `stream` is set.
///
/// # Safety
///
/// The output and the operands hold all the lines; the processor has `isa`; a streamed output is
/// aligned to [`ALIGNMENT`], and there is one line.
unsafe fn run<O: Op<N>, T: Real, const N: usize>(isa: Isa, lines: &Lines<T, N>, stream: bool) {
    // SAFETY: the caller vouches for all of it.
    unsafe { dispatch(isa, Loop::<O, T, N> { lines, stream, op: PhantomData }) }
}

/// A loop over lines.
pub type LoopFn<T, const N: usize> = unsafe fn(Isa, &Lines<T, N>, bool);

/// An elementwise function of `N` operands, for both element types.
#[derive(Clone, Copy, Debug)]
pub struct Elementwise<const N: usize> {
    /// The primitive's name, with `.vjp` and the argument's number for a rule.
    pub name: &'static str,
    /// About how many picoseconds an element takes in cache.
    pub cost: u32,
    /// The loop for float32.
    pub single: LoopFn<f32, N>,
    /// The loop for float64.
    pub double: LoopFn<f64, N>,
}

impl<const N: usize> Elementwise<N> {
    /// About how many picoseconds so many elements take.
    #[inline]
    #[must_use]
    pub fn time(&self, isa: Isa, size: usize) -> usize {
        // In plain Rust it is one element after the other.
        size * self.cost as usize * if isa == Isa::Scalar { 16 } else { 1 }
    }
}

/// An element type that picks its loop of an [`Elementwise`].
pub trait Pick: Real {
    /// The loop for this type.
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<Self, N>;
}

impl Pick for f32 {
    #[inline(always)]
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<f32, N> {
        kernel.single
    }
}

impl Pick for f64 {
    #[inline(always)]
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<f64, N> {
        kernel.double
    }
}

/// The alignment of an output that is written past the caches.
const ALIGNMENT: usize = 64;
/// Outputs of so many bytes would push everything else out of the caches.
const STREAMED: usize = 1 << 24;
/// Elements of a chunk, at least.
const CHUNK: usize = 4096;
/// Chunks of a job, at most.
const MOST_CHUNKS: usize = 64;
/// A dimension of so many can be shared among threads.
const MANY: usize = 16;

/// Evaluates `kernel` over `n` contiguous outputs, on several threads if that is worth it; `ins` and
/// `advance` as in [`Lines`].
///
/// # Safety
///
/// `out` holds `n` elements and overlaps no operand; every operand is as `advance` says; the
/// processor has `isa`.
#[inline(always)]
pub unsafe fn apply_contiguous<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    n: usize,
    ins: [*const T; N],
    advance: [usize; N],
) {
    let lines = Lines { out, lines: 1, length: n, ins, advance, jump: [0; N] };
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if n <= CHUNK {
            T::pick(kernel)(isa, &lines, false);
        } else {
            apply_in_chunks(isa, kernel, &lines);
        }
    }
}

#[inline(never)]
unsafe fn apply_in_chunks<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    line: &Lines<T, N>,
) {
    let run = T::pick(kernel);
    let n = line.length;
    let length = n.div_ceil(MOST_CHUNKS).max(CHUNK).next_multiple_of(CHUNK);
    let stream = n * size_of::<T>() >= STREAMED && (line.out as usize).is_multiple_of(ALIGNMENT);
    // SAFETY: each chunk writes a part of the output of its own.
    let shared = unsafe { Shared::new(*line) };
    threads::run(n.div_ceil(length), kernel.time(isa, n) / 1000, &|chunk| {
        let mut part = shared.get();
        let start = chunk * length;
        part.length = length.min(n - start);
        part.out = part.out.wrapping_add(start);
        for i in 0..N {
            part.ins[i] = part.ins[i].wrapping_add(part.advance[i] * start);
        }
        // SAFETY: within the operands.
        unsafe { run(isa, &part, stream) };
    });
}

/// Evaluates `kernel` into `out`, contiguous and of shape `shape`, on several threads if that is
/// worth it.
///
/// # Safety
///
/// `out` holds the whole shape; every operand is readable at every index; `out` overlaps none of
/// them; the processor has `isa`.
pub unsafe fn apply<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    shape: &[usize],
    operands: &[Operand<T>; N],
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { apply_walk(isa, kernel, out, Walk::new(shape, operands)) }
}

unsafe fn apply_walk<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    walk: Walk<T, N>,
) {
    let run = T::pick(kernel);
    let size = walk.size();
    if size <= CHUNK {
        // SAFETY: the caller vouches for the operands, the walk keeps within them.
        unsafe { walk.run(out, &mut |lines| run(isa, lines, false)) };
        return;
    }
    if let Some(line) = walk.line(out) {
        // SAFETY: the caller vouches for the operands.
        unsafe { apply_in_chunks(isa, kernel, &line) };
        return;
    }
    let rows = walk.outermost();
    if rows < MANY && !walk.is_flat() {
        // Too few to be shared: one after the other, each on several threads.
        for row in 0..rows {
            // SAFETY: as above.
            unsafe {
                apply_walk(isa, kernel, out.wrapping_add(row * (size / rows)), walk.at(row));
            }
        }
        return;
    }
    let chunks = rows.min(size / CHUNK).min(MOST_CHUNKS);
    // SAFETY: each chunk writes rows of its own.
    let shared = unsafe { Shared::new((out, walk)) };
    threads::run(chunks, 2 * kernel.time(isa, size) / 1000, &|chunk| {
        let (out, walk) = shared.get();
        let (top, bottom) = (rows * chunk / chunks, rows * (chunk + 1) / chunks);
        let out = out.wrapping_add(top * (size / rows));
        // SAFETY: within the operands.
        unsafe { walk.part(top, bottom).run(out, &mut |lines| run(isa, lines, false)) };
    });
}

/// The table `$table` of elementwise functions, each with the primitive's name and its cost.
macro_rules! table {
    (
        $(#[$doc:meta])* $table:ident, $n:literal:
        $($op:ident $name:literal $cost:tt [$($x:ident),*] |$s:ident, $t:ident| $value:expr;)*
    ) => {
        $(
            #[derive(Clone, Copy, Default)]
            struct $op;

            impl crate::elementwise::Op<$n> for $op {
                #[inline(always)]
                #[allow(unused_variables)]
                fn eval<$t: crate::real::Real, S: crate::simd::Simd<$t>>(
                    $s: S,
                    [$($x),*]: [S::V; $n],
                ) -> S::V {
                    $value
                }
            }
        )*

        $(#[$doc])*
        pub static $table: &[crate::elementwise::Elementwise<$n>] = &[
            $(crate::elementwise::Elementwise {
                name: $name,
                cost: $cost,
                single: crate::elementwise::run::<$op, f32, $n>,
                double: crate::elementwise::run::<$op, f64, $n>,
            },)*
        ];
    };
}
use table;
