//! `KERNELS`: one Python function for each kernel.

use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use backpass_kernels::elementwise::{
    BINARY, BINARY_RULES, Elementwise, QUATERNARY, QUATERNARY_RULES, TERNARY_RULES, UNARY,
    UNARY_RULES,
};
use backpass_kernels::isa::Isa;
use backpass_kernels::reduce::Reduction;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::elementwise::Role;
use crate::indexing::Indexing;
use crate::products::Product;
use crate::reductions::Along;
use crate::views::View;
use crate::{
    choose, copies, elementwise, indexing, joining, network, optimizers, places, products,
    reductions, scans, sorting, unbroadcast, views,
};

static ISA: AtomicU8 = AtomicU8::new(0);

/// The instruction set, chosen when the module is loaded.
#[inline(always)]
pub fn isa() -> Isa {
    match ISA.load(Relaxed) {
        0 => Isa::Scalar,
        1 => Isa::Avx2,
        _ => Isa::Avx512,
    }
}

pub type Args = *const *mut ffi::PyObject;
pub type Object = *mut ffi::PyObject;

/// What a kernel of this name may give.
const fn role(name: &str) -> Role {
    const fn same(name: &[u8], other: &[u8]) -> bool {
        let mut i = 0;
        while i < name.len() && i < other.len() && name[i] == other[i] {
            i += 1;
        }
        i == name.len() && i == other.len()
    }
    let name = name.as_bytes();
    if same(name, b"multiply.vjp0") || same(name, b"multiply.vjp1") || same(name, b"exp.vjp") {
        return Role::Factor;
    }
    if same(name, b"xlogy") {
        return Role::Strict;
    }
    let mut i = 0;
    while i < name.len() {
        if name[i] == b'.' {
            return Role::Rule;
        }
        i += 1;
    }
    Role::Function
}

/// One function an entry of an elementwise table: the index is known when it is compiled, so that
/// the call needs no look-up.
macro_rules! entries {
    ($name:ident, $entry:ident, $table:ident, $n:literal; $($index:literal)*) => {
        unsafe extern "C" fn $entry<const I: usize>(
            _: Object,
            args: Args,
            nargs: isize,
            kwnames: Object,
        ) -> Object {
            // SAFETY: called by the interpreter.
            unsafe {
                let kernel = &$table[I];
                elementwise::call::<$n>(kernel, const { role($table[I].name) }, isa(), args, nargs, kwnames)
            }
        }

        static $name: &[ffi::PyCFunctionFastWithKeywords] = &[$($entry::<$index>),*];
    };
}

entries!(UNARY_ENTRIES, unary, UNARY, 1;
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34
    35 36 37);
entries!(BINARY_ENTRIES, binary, BINARY, 2; 0 1 2 3 4 5 6 7 8 9 10 11 12 13);
entries!(QUATERNARY_ENTRIES, quaternary, QUATERNARY, 4; 0);
entries!(UNARY_RULE_ENTRIES, unary_rule, UNARY_RULES, 1; 0 1 2 3);
entries!(BINARY_RULE_ENTRIES, binary_rule, BINARY_RULES, 2;
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33);
entries!(TERNARY_RULE_ENTRIES, ternary_rule, TERNARY_RULES, 3;
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18);
entries!(QUATERNARY_RULE_ENTRIES, quaternary_rule, QUATERNARY_RULES, 4; 0);

/// The kernel of this name in a table.
fn named<const N: usize>(table: &'static [Elementwise<N>], name: &str) -> &'static Elementwise<N> {
    table.iter().find(|kernel| kernel.name == name).expect("a kernel of the table")
}

/// Functions that the interpreter can call, from expressions of their arguments.
macro_rules! functions {
    ($($function:ident: |$args:ident, $nargs:ident, $kwnames:ident| $call:expr;)*) => {$(
        unsafe extern "C" fn $function(
            _: Object,
            $args: Args,
            $nargs: isize,
            $kwnames: Object,
        ) -> Object {
            // SAFETY: called by the interpreter.
            unsafe { $call }
        }
    )*};
}

pub(crate) use functions;

functions! {
    choose: |a, n, k| choose::call(isa(), a, n, k);
    power: |a, n, k| elementwise::power(named(BINARY, "power"), isa(), a, n, k);
    power_vjp0: |a, n, k| {
        elementwise::power_vjp0(named(TERNARY_RULES, "power.vjp0"), isa(), a, n, k)
    };
    sum: |a, n, k| reductions::call(Along::Reduce(Reduction::Sum), isa(), a, n, k);
    mean: |a, n, k| reductions::call(Along::Reduce(Reduction::Mean), isa(), a, n, k);
    max: |a, n, k| reductions::call(Along::Reduce(Reduction::Max), isa(), a, n, k);
    min: |a, n, k| reductions::call(Along::Reduce(Reduction::Min), isa(), a, n, k);
    extreme_vjp: |a, n, k| reductions::call(Along::ExtremeVjp, isa(), a, n, k);
    var: |a, n, k| reductions::call(Along::Variance(false, 0), isa(), a, n, k);
    std: |a, n, k| reductions::call(Along::Variance(true, 0), isa(), a, n, k);
    var_vjp: |a, n, k| reductions::call(Along::VarianceVjp(false, 0), isa(), a, n, k);
    std_vjp: |a, n, k| reductions::call(Along::VarianceVjp(true, 0), isa(), a, n, k);
    logsumexp: |a, n, k| reductions::call(Along::LogSumExp, isa(), a, n, k);
    logsumexp_vjp: |a, n, k| reductions::call(Along::LogSumExpVjp, isa(), a, n, k);
    softmax: |a, n, k| reductions::call(Along::Softmax, isa(), a, n, k);
    softmax_vjp: |a, n, k| reductions::call(Along::SoftmaxVjp, isa(), a, n, k);
    log_softmax: |a, n, k| reductions::call(Along::LogSoftmax, isa(), a, n, k);
    log_softmax_vjp: |a, n, k| reductions::call(Along::LogSoftmaxVjp, isa(), a, n, k);
    matmul: |a, n, k| products::call(Product::Matmul, isa(), a, n, k);
    dot: |a, n, k| products::call(Product::Dot, isa(), a, n, k);
    argmax: |a, n, k| places::call(true, isa(), a, n, k);
    argmin: |a, n, k| places::call(false, isa(), a, n, k);
    sum_vjp: |a, n, k| views::call(View::SumVjp, a, n, k);
    mean_vjp: |a, n, k| views::call(View::MeanVjp, a, n, k);
    broadcast_to: |a, n, k| views::call(View::BroadcastTo, a, n, k);
    reshape: |a, n, k| views::call(View::Reshape, a, n, k);
    flip: |a, n, k| views::call(View::Flip, a, n, k);
    transpose: |a, n, k| views::call(View::Transpose, a, n, k);
    getitem: |a, n, k| indexing::call(Indexing::GetItem, isa(), a, n, k);
    getitem_vjp: |a, n, k| indexing::call(Indexing::GetItemVjp, isa(), a, n, k);
    scatter: |a, n, k| indexing::call(Indexing::Scatter, isa(), a, n, k);
    permute: |a, n, k| indexing::call(Indexing::Permute, isa(), a, n, k);
    permute_back: |a, n, k| indexing::call(Indexing::PermuteBack, isa(), a, n, k);
    sorted_order: |a, n, k| sorting::call(isa(), a, n, k);
    concatenate: |a, n, k| joining::call(false, a, n, k);
    stack: |a, n, k| joining::call(true, a, n, k);
    cumsum: |a, n, k| scans::call(false, isa(), a, n, k);
    cumsum_vjp: |a, n, k| scans::call(true, isa(), a, n, k);
    unbroadcasted: |a, n, k| unbroadcast::call(isa(), a, n, k);
    copies: |a, n, k| copies::call(a, n, k);
    matmul_vjp0: |a, n, k| products::call(Product::Vjp0, isa(), a, n, k);
    matmul_vjp1: |a, n, k| products::call(Product::Vjp1, isa(), a, n, k);
}

/// Views, `where`, what goes along one axis, and powers in place of the tables' entries.
static OTHERS: &[(&str, ffi::PyCFunctionFastWithKeywords)] = &[
    ("where", choose),
    ("power", power),
    ("power.vjp0", power_vjp0),
    ("sum", sum),
    ("sum.vjp", sum_vjp),
    ("mean", mean),
    ("mean.vjp", mean_vjp),
    ("max.vjp", extreme_vjp),
    ("min.vjp", extreme_vjp),
    ("var", var),
    ("var.vjp", var_vjp),
    ("std", std),
    ("std.vjp", std_vjp),
    ("logsumexp", logsumexp),
    ("logsumexp.vjp", logsumexp_vjp),
    ("softmax", softmax),
    ("softmax.vjp", softmax_vjp),
    ("log_softmax", log_softmax),
    ("log_softmax.vjp", log_softmax_vjp),
    ("broadcast_to", broadcast_to),
    ("reshape", reshape),
    ("flip", flip),
    ("transpose", transpose),
    ("getitem", getitem),
    ("getitem.vjp", getitem_vjp),
    ("scatter", scatter),
    ("permute", permute),
    ("permute_back", permute_back),
    ("sorted_order", sorted_order),
    ("concatenate", concatenate),
    ("stack", stack),
    ("cumsum", cumsum),
    ("cumsum.vjp", cumsum_vjp),
    ("unbroadcast", unbroadcasted),
    ("copies", copies),
];

/// In plain Rust they are slower than `NumPy`'s, which are vectorised everywhere.
static EXTREMES: &[(&str, ffi::PyCFunctionFastWithKeywords)] =
    &[("max", max), ("min", min), ("argmax", argmax), ("argmin", argmin)];

/// Matrix products. In plain Rust they are slower than `numpy.matmul`.
static PRODUCTS: &[(&str, ffi::PyCFunctionFastWithKeywords)] = &[
    ("matmul", matmul),
    ("matmul.vjp0", matmul_vjp0),
    ("matmul.vjp1", matmul_vjp1),
    ("dot", dot),
    ("dot.vjp0", matmul_vjp0),
    ("dot.vjp1", matmul_vjp1),
];

/// The table: each kernel by its primitive's name.
pub fn kernels(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let isa = Isa::current();
    ISA.store(isa as u8, Relaxed);
    let table = PyDict::new(py);
    fill(py, &table, UNARY, UNARY_ENTRIES)?;
    fill(py, &table, BINARY, BINARY_ENTRIES)?;
    fill(py, &table, QUATERNARY, QUATERNARY_ENTRIES)?;
    fill(py, &table, UNARY_RULES, UNARY_RULE_ENTRIES)?;
    fill(py, &table, BINARY_RULES, BINARY_RULE_ENTRIES)?;
    fill(py, &table, TERNARY_RULES, TERNARY_RULE_ENTRIES)?;
    fill(py, &table, QUATERNARY_RULES, QUATERNARY_RULE_ENTRIES)?;
    let (extremes, products) =
        if isa == Isa::Scalar { (&[][..], &[][..]) } else { (EXTREMES, PRODUCTS) };
    let networks = network::FAMILIES.iter().copied().flatten();
    let networks = networks.filter(|(name, _)| network::is_worth(isa, name));
    for &(name, entry) in
        OTHERS.iter().chain(extremes).chain(products).chain(optimizers::KERNELS).chain(networks)
    {
        table.set_item(name, function(py, name, entry)?)?;
    }
    Ok(table)
}

/// Adds the kernels of an elementwise table.
fn fill<const N: usize>(
    py: Python<'_>,
    table: &Bound<'_, PyDict>,
    kernels: &[Elementwise<N>],
    entries: &[ffi::PyCFunctionFastWithKeywords],
) -> PyResult<()> {
    assert_eq!(kernels.len(), entries.len());
    for (kernel, &entry) in kernels.iter().zip(entries) {
        if isa() == Isa::Avx512 && matches!(kernel.name, "cbrt" | "arctan2" | "arctanh" | "arccosh")
        {
            continue; // NumPy's are faster there
        }
        table.set_item(kernel.name, function(py, kernel.name, entry)?)?;
    }
    Ok(())
}

/// A built-in function. Its definition lives as long as the process, as the interpreter asks.
pub fn function<'py>(
    py: Python<'py>,
    name: &str,
    entry: ffi::PyCFunctionFastWithKeywords,
) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(name).expect("names hold no zero byte");
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.into_raw(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: std::ptr::null(),
    }));
    // SAFETY: the definition is complete and never freed; the result is a new reference or null.
    unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(definition, null_mut(), null_mut()))
    }
}
