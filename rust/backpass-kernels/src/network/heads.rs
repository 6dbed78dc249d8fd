//! The heads of an attention side by side in vectors.

use super::attention::Heads;
use crate::matmul::{STACK_DIMS, cut};
use crate::real::Real;
use crate::threads::{self, Shared};

/// Writes the vectors of `parts` one after the other: `out` has a row for each of the `n` vectors of
/// each place in `outer`, and in it the parts, and in these the heads, of `length` elements.
///
/// # Safety
///
/// Each part is a stack of `outer` by `heads` (the last dimension of the stack) matrices of `n`
/// contiguous rows of `length`, readable; `out` has room for all of them and overlaps none.
pub unsafe fn join<T: Real>(
    outer: &[usize],
    (heads, n, length): (usize, usize, usize),
    parts: &[Heads<T>],
    out: *mut T,
) {
    let rows = outer.iter().product::<usize>() * n;
    let width = parts.len() * heads * length;
    let chunks = rows.min(16);
    // SAFETY: each chunk writes rows of its own.
    let shared = unsafe { Shared::new((parts, out)) };
    threads::run(chunks, rows * width * size_of::<T>() / 8, &|chunk| {
        let (parts, out) = shared.get();
        for row in cut(rows, chunks, chunk)..cut(rows, chunks, chunk + 1) {
            let mut to = out.wrapping_add(row * width);
            for part in parts {
                let mut from =
                    part.matrix.data.wrapping_offset((row % n) as isize * part.matrix.rows);
                let mut place = row / n;
                for (d, &size) in outer.iter().enumerate().rev() {
                    let step = part.stack[STACK_DIMS - 1 - outer.len() + d];
                    from = from.wrapping_offset((place % size) as isize * step);
                    place /= size;
                }
                for _ in 0..heads {
                    // SAFETY: within the part and the output.
                    unsafe { from.copy_to_nonoverlapping(to, length) };
                    from = from.wrapping_offset(part.stack[STACK_DIMS - 1]);
                    to = to.wrapping_add(length);
                }
            }
        }
    });
}
