//! Matrix products of whole numbers, which every summation gives exactly: any shape, any strides,
//! stacks, epilogues, on every instruction set; and one thread against several, bit for bit.

use backpass_kernels::elementwise::Pick;
use backpass_kernels::isa::Isa;
use backpass_kernels::matmul::{
    Activation, Epilogue, Matrix, Stack, matmul, matmul_stack, matmul_with,
};
use backpass_kernels::threads::{num_threads, set_num_threads};
use proptest::prelude::*;
use std::sync::Mutex;

/// Whole numbers from -4 to 4, in a fixed order.
fn whole(seed: u64, n: usize) -> Vec<i64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as i64 % 9 - 4
        })
        .collect()
}

fn to<T: Pick>(values: &[i64]) -> Vec<T> {
    values.iter().map(|&x| T::of(x as f64)).collect()
}

/// A stack of matrices in memory: strides of the stack, of rows and of columns, and what lies where.
struct Operand<T> {
    memory: Vec<T>,
    values: Vec<i64>,
    origin: usize,
    stack: isize,
    rows: isize,
    columns: isize,
}

impl<T: Pick> Operand<T> {
    /// `kind`: as it is, transposed, with gaps, backwards, rows far apart, one row everywhere, one
    /// column everywhere, one number everywhere; `spread`: one matrix everywhere.
    fn new(
        seed: u64,
        count: usize,
        (rows, columns): (usize, usize),
        kind: u8,
        spread: bool,
    ) -> Self {
        let (r, c) = (rows as isize, columns as isize);
        let (rows_step, columns_step) = match kind {
            0 => (c, 1),
            1 => (1, r),
            2 => (6 * c, 3),
            3 => (-c, -1),
            4 => (c + 1024, 1),
            5 => (0, 1),
            6 => (1, 0),
            _ => (0, 0),
        };
        let one = ((r - 1) * rows_step.abs() + (c - 1) * columns_step.abs() + 1).max(1) as usize;
        let stack = if spread { 0 } else { one as isize };
        let size = if spread { one } else { one * count.max(1) };
        let values = whole(seed, size);
        let origin = if kind == 3 { one - 1 } else { 0 };
        let memory = to(&values);
        Self { memory, values, origin, stack, rows: rows_step, columns: columns_step }
    }

    fn matrix(&self) -> Matrix<T> {
        let data = self.memory[self.origin.min(self.memory.len() - 1)..].as_ptr();
        Matrix { data, rows: self.rows, columns: self.columns }
    }

    fn at(&self, s: usize, i: usize, j: usize) -> i64 {
        let offset = s as isize * self.stack + i as isize * self.rows + j as isize * self.columns;
        self.values[(self.origin as isize + offset) as usize]
    }
}

type Shape = (usize, usize, usize);

fn exact<T: Pick>(x: &Operand<T>, y: &Operand<T>, count: usize, (m, k, n): Shape) -> Vec<i64> {
    let mut made = Vec::with_capacity(count * m * n);
    for s in 0..count {
        for i in 0..m {
            for j in 0..n {
                made.push((0..k).map(|l| x.at(s, i, l) * y.at(s, l, j)).sum());
            }
        }
    }
    made
}

fn check<T: Pick>(count: usize, (m, k, n): Shape, kinds: (u8, u8), spread: (bool, bool)) {
    let x = Operand::<T>::new(1, count, (m, k), kinds.0, spread.0);
    let y = Operand::<T>::new(2, count, (k, n), kinds.1, spread.1);
    let expected: Vec<T> = to(&exact(&x, &y, count, (m, k, n)));
    let mut stack = Stack::NONE;
    stack.push(count, x.stack, y.stack);
    for isa in Isa::available() {
        let what = format!("{count} of {m} x {k} x {n}, {kinds:?} {spread:?}, on {}", isa.name());
        let mut out = vec![T::NAN; count * m * n];
        // SAFETY: the operands lie within their memory, the output has room.
        unsafe { matmul_stack(isa, stack, m, k, n, x.matrix(), y.matrix(), out.as_mut_ptr()) };
        assert!(out == expected, "{what}");
        if count == 1 {
            out.fill(T::NAN);
            // SAFETY: as above.
            unsafe { matmul(isa, m, k, n, x.matrix(), y.matrix(), out.as_mut_ptr()) };
            assert!(out == expected, "{what}");
        }
    }
}

type Formula = fn(f64) -> f64;

/// The activations, with their formulas.
fn activations() -> [(Activation, Formula); 5] {
    [
        (Activation::Identity, |x| x),
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Tanh, f64::tanh),
        (Activation::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Activation::Gelu, |x| {
            let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            x * 0.5 * (1.0 + inside.tanh())
        }),
    ]
}

fn check_epilogues<T: Pick>((m, k, n): Shape, kinds: (u8, u8)) {
    let x = Operand::<T>::new(1, 1, (m, k), kinds.0, false);
    let y = Operand::<T>::new(2, 1, (k, n), kinds.1, false);
    let bias = whole(3, n);
    let product = exact(&x, &y, 1, (m, k, n));
    let unit = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for isa in Isa::available() {
        for (activation, formula) in activations() {
            for with_bias in [false, true] {
                let held: Vec<T> = to(&bias);
                let pointer = if with_bias { held.as_ptr() } else { std::ptr::null() };
                let epilogue = Epilogue { bias: pointer, activation };
                let mut out = vec![T::NAN; m * n];
                let (left, right) = (x.matrix(), y.matrix());
                // SAFETY: the operands lie within their memory, the output has room.
                unsafe { matmul_with(isa, m, k, n, left, right, epilogue, out.as_mut_ptr()) };
                for (i, got) in out.iter().enumerate() {
                    let sum = product[i] + if with_bias { bias[i % n] } else { 0 };
                    let right = formula(sum as f64);
                    // gelu multiplies a rounded 1 + tanh, next to 0 where x is below 0
                    let scale = right.abs()
                        + if activation == Activation::Gelu { sum.abs() as f64 } else { 0.0 };
                    // float32's results end where its normal numbers do.
                    let bound = 8.0 * unit * scale + f64::from(f32::MIN_POSITIVE);
                    let what = format!("{activation:?} of {sum} on {}", isa.name());
                    assert!(
                        (got.wide() - right).abs() <= bound,
                        "{what}: {got:?}, exactly {right}"
                    );
                }
            }
        }
    }
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0usize..5, 3 => 5usize..40, 1 => 40usize..150]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 32 } else { 200 }))]

    #[test]
    fn products_of_any_layout_are_exact(
        m in sizes(),
        k in prop_oneof![4 => sizes(), 1 => 300usize..1300],
        n in sizes(),
        kinds in (0u8..8, 0u8..8),
    ) {
        check::<f32>(1, (m, k, n), kinds, (false, false));
        check::<f64>(1, (m, k, n), kinds, (false, false));
    }

    #[test]
    fn stacks_of_any_layout_are_exact(
        count in 0usize..20,
        m in 0usize..20,
        k in 0usize..20,
        n in 0usize..40,
        kinds in (0u8..8, 0u8..8),
        spread in (any::<bool>(), any::<bool>()),
    ) {
        check::<f32>(count, (m, k, n), kinds, spread);
        check::<f64>(count, (m, k, n), kinds, spread);
    }

    #[test]
    fn epilogues_follow_their_formulas(
        m in sizes(),
        k in prop_oneof![4 => sizes(), 1 => 500usize..600],
        n in sizes(),
        kinds in (0u8..3, 0u8..3),
    ) {
        check_epilogues::<f32>((m, k, n), kinds);
        check_epilogues::<f64>((m, k, n), kinds);
    }
}

#[test]
fn large_products_are_exact() {
    for (shape, kinds) in [
        ((300, 1030, 270), (0, 0)),
        ((300, 1030, 270), (4, 4)),
        ((130, 1100, 513), (1, 1)),
        ((1, 1000, 3000), (0, 0)),
        ((3, 3000, 700), (0, 1)),
        ((2, 70_001, 2), (1, 0)),
        ((1, 100_001, 1), (0, 0)),
        ((40, 3, 5000), (0, 1)),
    ] {
        check::<f32>(1, shape, kinds, (false, false));
        check::<f64>(1, shape, kinds, (false, false));
    }
    check::<f32>(3, (200, 300, 100), (0, 1), (true, false));
    // The right operand is packed in several stages.
    check::<f32>(1, (65, 1100, 4200), (0, 0), (false, false));
}

/// Guards the number of threads, which is the process's.
static THREADS: Mutex<()> = Mutex::new(());

/// Numbers with rounding, unlike those above.
fn fractions<T: Pick>(seed: u64, n: usize) -> Vec<T> {
    whole(seed, n)
        .iter()
        .zip(whole(seed + 7, n))
        .map(|(&a, b)| T::of(a as f64 + b as f64 / 7.0))
        .collect()
}

fn on_any_number_of_threads_the_same<T: Pick>() {
    let _guard = THREADS.lock();
    let before = num_threads();
    for isa in Isa::available() {
        for (count, (m, k, n)) in [
            (1, (256, 784, 200)),
            (1, (150, 1100, 140)),
            (1, (1, 3000, 300)),
            (1, (3, 900, 500)),
            (1, (784, 1, 200)),
            (1, (1, 200_000, 1)),
            (50, (30, 40, 50)),
            (3, (100, 300, 100)),
        ] {
            let x = fractions::<T>(1, count * m * k);
            let y = fractions::<T>(2, count * k * n);
            for (left, right) in [(false, false), (true, false), (false, true), (true, true)] {
                let view = |data: &[T], rows: usize, columns: usize, transposed| Matrix {
                    data: data.as_ptr(),
                    rows: if transposed { 1 } else { columns as isize },
                    columns: if transposed { rows as isize } else { 1 },
                };
                let mut stack = Stack::NONE;
                stack.push(count, (m * k) as isize, (k * n) as isize);
                let bits = [1, 2, 5].map(|threads| {
                    set_num_threads(threads);
                    let mut out = vec![T::NAN; count * m * n];
                    let (a, b) = (view(&x, m, k, left), view(&y, k, n, right));
                    // SAFETY: the operands lie within their memory, the output has room.
                    unsafe { matmul_stack(isa, stack, m, k, n, a, b, out.as_mut_ptr()) };
                    out.iter().map(|x| x.wide().to_bits()).collect::<Vec<_>>()
                });
                let what = format!("{count} of {m} x {k} x {n} on {}", isa.name());
                assert!(bits[0] == bits[1] && bits[0] == bits[2], "{what}");
            }
        }
    }
    set_num_threads(before);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    on_any_number_of_threads_the_same::<f32>();
    on_any_number_of_threads_the_same::<f64>();
}
