//! Embedding: rows of a table.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::embedding::{Indices, add_rows, take_rows};
use pyo3::ffi;

use super::Family;
use super::given::{Integers, dense};
use crate::keywords::{Names, each_keyword, integer};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, unlocked};
use crate::table::{Args, Object, functions, isa};

/// The kernels.
pub static KERNELS: Family = &[
    ("embedding", embedding),
    ("embedding.vjp", embedding_back),
    ("embedding_rows", embedding_rows),
    ("embedding_rows.vjp", embedding_back),
    ("embedding_weight", embedding_weight),
    ("embedding_weight.vjp", rows_back),
];

functions! {
    embedding: |a, n, k| finish(|| call(isa(), Table::All, a, n, k));
    embedding_rows: |a, n, k| finish(|| call(isa(), Table::Rows, a, n, k));
    embedding_weight: |a, n, k| finish(|| call(isa(), Table::Sums, a, n, k));
    embedding_back: |a, n, k| finish(|| rule(isa(), Table::Sums, a, n, k));
    rows_back: |a, n, k| finish(|| rule(isa(), Table::Rows, a, n, k));
}

/// What is done with the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    /// Its rows are taken.
    All,
    /// Its rows are taken, zeros for the padding's.
    Rows,
    /// Rows are added to it.
    Sums,
}

/// Indices, and what they are of.
unsafe fn call(isa: Isa, what: Table, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 2 {
            return Err(Refused);
        }
        run(isa, what, *args, *args.add(1), args.add(2), kwnames)
    }
}

/// The cotangent, and the indices.
unsafe fn rule(isa: Isa, what: Table, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 2 {
            return Err(Refused);
        }
        run(isa, what, *args.add(1), *args, args.add(2), kwnames)
    }
}

unsafe fn run(
    isa: Isa,
    what: Table,
    indices: Object,
    x: Object,
    values: Args,
    kwnames: Object,
) -> Outcome {
    static NAMES: Names<2> = Names::new([c"count", c"padding_idx"]);
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        let (mut count, mut padding) = (None, -1);
        each_keyword(kwnames, values, NAMES.get()?, |place, value| {
            match place {
                0 => count = usize::try_from(integer(value)?).ok(),
                _ if value == ffi::Py_None() => padding = -1,
                _ => padding = integer(value)? as i64,
            }
            Ok(())
        })?;
        let count = count.ok_or(Refused)?;
        let padding = if what == Table::All { -1 } else { padding };
        let x = Argument::new(x)?;
        let indices = Integers::read(indices)?;
        if !indices.as_slice().iter().all(|&i| (i as u64) < count as u64) {
            return Err(Refused);
        }
        match x.kind {
            Kind::Single => typed::<f32>(isa, what, count, padding, &indices, &x),
            Kind::Double => typed::<f64>(isa, what, count, padding, &indices, &x),
            Kind::Weak => Err(Refused),
        }
    }
}

unsafe fn typed<T: Element>(
    isa: Isa,
    what: Table,
    count: usize,
    padding: i64,
    indices: &Integers,
    x: &Argument,
) -> Outcome {
    let &width = x.shape().last().ok_or(Refused)?;
    let at = Indices { count, width, indices: indices.as_slice(), padding };
    let rows = [indices.shape(), &[width]].concat();
    let table = vec![count, width];
    let (given, made) = if what == Table::Sums { (&rows, &table) } else { (&table, &rows) };
    // A table is not copied to take some of its rows.
    if at.indices.is_empty() || width == 0 || (what != Table::Sums && !x.contiguous()) {
        return Err(Refused);
    }
    let x = dense::<T>(isa, x, given)?;
    let size = made.iter().product();
    // SAFETY: the lock is held; every index is a row of the table.
    unsafe {
        Ok(match new_array::<T>(made.len(), made.as_ptr(), std::ptr::null(), size) {
            Ok((array, out)) => {
                unlocked((size + at.indices.len() * width) * 200, || {
                    if what == Table::Sums {
                        add_rows(isa, at, x.as_ptr(), out);
                    } else {
                        take_rows(isa, at, x.as_ptr(), out);
                    }
                });
                array
            }
            Err(null) => null,
        })
    }
}
