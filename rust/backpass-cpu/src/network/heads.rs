//! `join_heads`.

use backpass_kernels::matmul::{Matrix, STACK_DIMS};
use backpass_kernels::network::attention::Heads;
use backpass_kernels::network::heads::join;

use crate::network::Family;
use crate::network::outputs::made;
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, unlocked};
use crate::table::{Args, Object, functions};

functions! {
    join_heads: |a, n, k| call(a, n, k);
}

/// Those of this family.
pub static KERNELS: Family = &[("join_heads", join_heads)];

/// The most parts: queries, keys and values.
const MOST: usize = 3;

/// Joins several parts; a single one is a view nearly always, which the reference finds.
unsafe fn call(args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let count = nargs as usize;
            if !(2..=MOST).contains(&count) || !kwnames.is_null() {
                return Err(Refused);
            }
            let first = Argument::new(*args)?;
            let mut parts = [first; MOST];
            for (i, part) in parts[..count].iter_mut().enumerate() {
                *part = Argument::new(*args.add(i))?;
                if part.kind != first.kind || part.shape() != first.shape() {
                    return Err(Refused);
                }
            }
            match first.kind {
                Kind::Single => typed::<f32>(&parts[..count]),
                Kind::Double => typed::<f64>(&parts[..count]),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

unsafe fn typed<T: Element>(parts: &[Argument]) -> Outcome {
    let &[ref outer @ .., heads, n, length] = parts[0].shape() else { return Err(Refused) };
    let depth = outer.len();
    if depth >= STACK_DIMS {
        return Err(Refused);
    }
    let mut stacks = [Heads {
        matrix: Matrix { data: std::ptr::null(), rows: 0, columns: 1 },
        stack: [0; STACK_DIMS],
    }; MOST];
    for (x, to) in parts.iter().zip(&mut stacks) {
        if x.stride::<T>(depth + 2) != 1 && length > 1 {
            return Err(Refused);
        }
        to.matrix.data = x.data();
        to.matrix.rows = x.stride::<T>(depth + 1);
        for d in 0..=depth {
            to.stack[STACK_DIMS - 1 - depth + d] = x.stride::<T>(d);
        }
    }
    let shape = [outer, &[n, parts.len() * heads * length]].concat();
    let size = shape.iter().product::<usize>();
    let stacks = &stacks[..parts.len()];
    // SAFETY: the lock is held; the parts have one shape, and contiguous rows.
    unsafe {
        Ok(made::<T, 1>([&shape], |[out]| {
            if size > 0 {
                unlocked(size * 150, || join(outer, (heads, n, length), stacks, out));
            }
        }))
    }
}
