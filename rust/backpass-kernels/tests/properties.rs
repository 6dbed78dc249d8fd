//! Every family of kernels against plain loops in float64, over random shapes and strides, on every
//! instruction set of the processor; and one thread against several, bit for bit.

use backpass_kernels::elementwise::{
    BINARY, BINARY_RULES, Elementwise, Pick, TERNARY_RULES, UNARY, apply,
};
use backpass_kernels::extremes::{extreme_vjp, places};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::matmul::{Matrix, matmul};
use backpass_kernels::reduce::{Reduction, Shape, reduce};
use backpass_kernels::scan::cumulative_sum;
use backpass_kernels::softmax;
use backpass_kernels::threads::{num_threads, set_num_threads};
use backpass_kernels::variance::{variance, variance_vjp};
use proptest::prelude::*;
use std::sync::Mutex;

/// Numbers in a fixed order (splitmix64), between -2 and 2, a few of them equal.
fn numbers(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            let x = (z >> 11) as f64 / 2f64.powi(51) - 2.0;
            // Representable in float32, so that both types have the same exact inputs.
            if z.is_multiple_of(7) { x.round() } else { f64::from(x as f32) }
        })
        .collect()
}

fn to<T: Pick>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&x| T::of(x)).collect()
}

fn assert_near<T: Pick>(got: &[T], exact: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), exact.len());
    let unit = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for (i, (x, &e)) in got.iter().zip(exact).enumerate() {
        let bound = unit * tolerance * e.abs().max(1.0);
        let same = x.wide() == e || (x.wide().is_nan() && e.is_nan());
        assert!(same || (x.wide() - e).abs() <= bound, "{what} at {i}: {x:?}, exactly {e}");
    }
}

/// An operand of `shape`: the memory, and how each dimension is laid out in it.
#[derive(Clone, Debug)]
struct Layout {
    /// 0: broadcast; 1: as it is; 2: every second element; 3: backwards.
    kinds: Vec<u8>,
    /// Column-major.
    fortran: bool,
}

impl Layout {
    /// Strides, the offset of the first element, and how much memory it takes.
    fn strides(&self, shape: &[usize]) -> (Vec<isize>, usize, usize) {
        let mut strides = vec![0isize; shape.len()];
        let (mut size, mut offset) = (1usize, 0usize);
        let order: Vec<usize> = if self.fortran {
            (0..shape.len()).collect()
        } else {
            (0..shape.len()).rev().collect()
        };
        for d in order {
            match self.kinds[d] {
                0 => {}
                1 => strides[d] = size as isize,
                2 => strides[d] = 2 * size as isize,
                _ => {
                    strides[d] = -(size as isize);
                    offset += size * (shape[d] - 1);
                }
            }
            size *= match self.kinds[d] {
                0 => 1,
                2 => 2 * shape[d],
                _ => shape[d],
            };
        }
        (strides, offset, size)
    }
}

fn layouts(n: usize, nd: usize) -> impl Strategy<Value = Vec<Layout>> {
    let one = (prop::collection::vec(0u8..4, nd), any::<bool>())
        .prop_map(|(kinds, fortran)| Layout { kinds, fortran });
    prop::collection::vec(one, n)
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1usize..6, 1..5),
        prop::collection::vec(1usize..70, 1..3),
        (1usize..3, 200usize..700).prop_map(|(m, n)| vec![m, n]),
    ]
}

/// The indices of `shape`, in C order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &size in shape {
        all = all
            .into_iter()
            .flat_map(|index| (0..size).map(move |i| [index.clone(), vec![i]].concat()))
            .collect();
    }
    all
}

fn check_elementwise<T: Pick, const N: usize>(
    kernel: &Elementwise<N>,
    formula: fn([f64; N]) -> f64,
    shape: &[usize],
    layouts: &[Layout],
) {
    let mut memory = Vec::new();
    let mut views = Vec::new();
    for (i, layout) in layouts[..N].iter().enumerate() {
        let (strides, offset, size) = layout.strides(shape);
        memory.push(to::<T>(&numbers(i as u64 + 1, size)));
        views.push((strides, offset));
    }
    let operands: [Operand<T>; N] = std::array::from_fn(|i| {
        let mut strides = [0; MAX_DIMS];
        strides[..shape.len()].copy_from_slice(&views[i].0);
        Operand { data: memory[i][views[i].1..].as_ptr(), strides }
    });
    let exact: Vec<f64> = indices(shape)
        .iter()
        .map(|index| {
            formula(std::array::from_fn(|i| {
                let at: isize = index.iter().zip(&views[i].0).map(|(&k, s)| k as isize * s).sum();
                memory[i][(views[i].1 as isize + at) as usize].wide()
            }))
        })
        .collect();
    for isa in Isa::available() {
        let mut out = vec![T::NAN; exact.len()];
        // SAFETY: the operands lie within their memory at every index.
        unsafe { apply(isa, kernel, out.as_mut_ptr(), shape, &operands) };
        assert_near(&out, &exact, 8.0, &format!("{} on {}", kernel.name, isa.name()));
    }
}

fn named<const N: usize>(table: &'static [Elementwise<N>], name: &str) -> &'static Elementwise<N> {
    table.iter().find(|kernel| kernel.name == name).expect("a kernel of the table")
}

fn strong(g: f64, d: f64) -> f64 {
    if g == 0.0 { 0.0 } else { g * d }
}

fn share(g: f64, x: f64, y: f64) -> f64 {
    if x == y {
        g / 2.0
    } else if x > y {
        g
    } else {
        0.0
    }
}

/// The groups of an array of this shape along its axis: indices of the elements of each.
fn groups(shape: Shape) -> Vec<Vec<usize>> {
    let Shape { outer, len, inner } = shape;
    (0..outer * inner)
        .map(|group| {
            let (o, j) = (group / inner, group % inner);
            (0..len).map(|k| (o * len + k) * inner + j).collect()
        })
        .collect()
}

/// A kernel that maps arrays of the whole shape to one of them.
fn mapped<T: Pick>(n: usize, isa: Isa, run: impl Fn(Isa, *mut T)) -> Vec<T> {
    let mut out = vec![T::NAN; n];
    run(isa, out.as_mut_ptr());
    out
}

fn check_along<T: Pick>(shape: Shape) {
    let values = numbers(9, shape.size());
    let x = to::<T>(&values);
    let g = numbers(10, shape.groups());
    let cotangent = numbers(11, shape.size());
    let (g_t, cotangent_t) = (to::<T>(&g), to::<T>(&cotangent));
    let all = groups(shape);
    let of = |f: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        all.iter().map(|group| f(&group.iter().map(|&i| values[i]).collect::<Vec<_>>())).collect()
    };
    let spread = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        let mut out = vec![0.0; shape.size()];
        for (number, group) in all.iter().enumerate() {
            for &i in group {
                out[i] = f(number, i);
            }
        }
        out
    };
    let sums = of(&|v| v.iter().sum());
    let tops = of(&|v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let lows = of(&|v| v.iter().copied().fold(f64::INFINITY, f64::min));
    let means: Vec<f64> = sums.iter().map(|s| s / shape.len as f64).collect();
    let logs = of(&|v| v.iter().map(|x| x.exp()).sum::<f64>().ln());
    let ties: Vec<f64> = all
        .iter()
        .zip(&tops)
        .map(|(group, &top)| group.iter().filter(|&&i| values[i] == top).count() as f64)
        .collect();
    let soft = spread(&|number, i| (values[i] - logs[number]).exp());
    let log_soft = spread(&|number, i| values[i] - logs[number]);
    let inner: Vec<f64> =
        all.iter().map(|group| group.iter().map(|&i| cotangent[i] * soft[i]).sum()).collect();
    let total: Vec<f64> =
        all.iter().map(|group| group.iter().map(|&i| cotangent[i]).sum()).collect();
    let (tops_t, logs_t) = (to::<T>(&tops), to::<T>(&logs));
    let (soft_t, log_soft_t) = (to::<T>(&soft), to::<T>(&log_soft));
    let length = shape.len as f64;
    for isa in Isa::available() {
        let what = |name: &str| format!("{name} of {shape:?} on {}", isa.name());
        let count = T::count(shape.len);
        for (kind, exact, name) in [
            (Reduction::Sum, &sums, "sum"),
            (Reduction::Mean, &means, "mean"),
            (Reduction::Max, &tops, "max"),
            (Reduction::Min, &lows, "min"),
        ] {
            // SAFETY: the arrays have the shape.
            let got = mapped(shape.groups(), isa, |isa, out| unsafe {
                reduce(isa, kind, shape, x.as_ptr(), out, count);
            });
            assert_near(&got, exact, 4.0 + length, &what(name));
        }
        // SAFETY: the arrays have the shape, here and below.
        let got = mapped(shape.groups(), isa, |isa, out| unsafe {
            softmax::logsumexp(isa, shape, x.as_ptr(), out);
        });
        assert_near(&got, &logs, 16.0, &what("logsumexp"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            extreme_vjp(isa, shape, g_t.as_ptr(), tops_t.as_ptr(), x.as_ptr(), out);
        });
        let exact = spread(&|n, i| if values[i] == tops[n] { g[n] / ties[n] } else { 0.0 });
        assert_near(&got, &exact, 4.0, &what("max.vjp"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            softmax::logsumexp_vjp(isa, shape, g_t.as_ptr(), logs_t.as_ptr(), x.as_ptr(), out);
        });
        let exact = spread(&|n, i| strong(g[n], soft[i]));
        assert_near(&got, &exact, 32.0, &what("logsumexp.vjp"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            softmax::softmax(isa, shape, x.as_ptr(), out);
        });
        assert_near(&got, &soft, 16.0, &what("softmax"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            softmax::log_softmax(isa, shape, x.as_ptr(), out);
        });
        assert_near(&got, &log_soft, 16.0, &what("log_softmax"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            softmax::softmax_vjp(isa, shape, cotangent_t.as_ptr(), soft_t.as_ptr(), out);
        });
        let exact = spread(&|n, i| soft[i] * (cotangent[i] - inner[n]));
        assert_near(&got, &exact, 16.0 + length, &what("softmax.vjp"));
        // SAFETY: as above.
        let got = mapped(shape.size(), isa, |isa, out| unsafe {
            softmax::log_softmax_vjp(isa, shape, cotangent_t.as_ptr(), log_soft_t.as_ptr(), out);
        });
        let exact = spread(&|n, i| cotangent[i] - soft[i] * total[n]);
        assert_near(&got, &exact, 32.0 + 2.0 * length, &what("log_softmax.vjp"));
    }
}

/// What needs the order of the elements, or their distances from the mean.
fn check_moments_and_places<T: Pick>(shape: Shape) {
    let values = numbers(12, shape.size());
    let (x, g) = (to::<T>(&values), numbers(13, shape.groups()));
    let g_t = to::<T>(&g);
    let all = groups(shape);
    let length = shape.len as f64;
    let divisor = length + 1.0;
    let means: Vec<f64> =
        all.iter().map(|group| group.iter().map(|&i| values[i]).sum::<f64>() / length).collect();
    let spread: Vec<f64> = all
        .iter()
        .zip(&means)
        .map(|(group, m)| group.iter().map(|&i| (values[i] - m).powi(2)).sum::<f64>() / divisor)
        .collect();
    let roots: Vec<f64> = spread.iter().map(|v| v.sqrt()).collect();
    let roots_t = to::<T>(&roots);
    let mut slopes = [vec![0.0; shape.size()], vec![0.0; shape.size()]];
    let mut sums = [vec![0.0; shape.size()], vec![0.0; shape.size()]];
    let mut first = [vec![], vec![]];
    for (n, group) in all.iter().enumerate() {
        for &i in group {
            slopes[0][i] = g[n] * 2.0 * (values[i] - means[n]) / divisor;
            slopes[1][i] = if roots[n] == 0.0 { 0.0 } else { slopes[0][i] / (2.0 * roots[n]) };
        }
        let (mut forwards, mut backwards) = (0.0, 0.0);
        for (&i, &j) in group.iter().zip(group.iter().rev()) {
            forwards += values[i];
            backwards += values[j];
            (sums[0][i], sums[1][j]) = (forwards, backwards);
        }
        for (largest, first) in first.iter_mut().rev().enumerate() {
            let sign = if largest == 1 { 1.0 } else { -1.0 };
            let key = |&k: &usize| sign * values[group[k]];
            let best =
                (0..group.len()).rev().max_by(|a, b| key(a).partial_cmp(&key(b)).expect("no nan"));
            first.push(best.expect("a group has elements") as isize);
        }
    }
    for isa in Isa::available() {
        let what = |name: &str| format!("{name} of {shape:?} on {}", isa.name());
        for root in [false, true] {
            let (exact, divisor) = (if root { &roots } else { &spread }, T::of(divisor));
            // SAFETY: the arrays have the shape, here and below.
            let got = mapped(shape.groups(), isa, |isa, out| unsafe {
                variance(isa, root, shape, x.as_ptr(), out, divisor);
            });
            assert_near(&got, exact, 16.0 + length, &what("variance"));
            // SAFETY: as above.
            let got = mapped(shape.size(), isa, |isa, out| unsafe {
                let (g, ans) = (g_t.as_ptr(), roots_t.as_ptr());
                variance_vjp(isa, root, shape, g, ans, x.as_ptr(), out, divisor);
            });
            if shape.len > 2 {
                assert_near(&got, &slopes[usize::from(root)], 64.0 + length, &what("its rule"));
            }
            // SAFETY: as above.
            let got = mapped(shape.size(), isa, |isa, out| unsafe {
                cumulative_sum(isa, root, shape, x.as_ptr(), out);
            });
            assert_near(&got, &sums[usize::from(root)], 8.0 + length, &what("cumulative sum"));
            let mut got = vec![-1; shape.groups()];
            // SAFETY: as above.
            unsafe { places(isa, root, shape, x.as_ptr(), got.as_mut_ptr()) };
            assert_eq!(got, first[usize::from(!root)], "{}", what("places"));
        }
    }
}

/// A matrix in memory: as it is, transposed, with gaps, or one number everywhere.
fn matrix<T: Pick>(seed: u64, rows: usize, columns: usize, kind: u8) -> (Vec<T>, isize, isize) {
    let (r, c) = (rows as isize, columns as isize);
    match kind {
        0 => (to(&numbers(seed, rows * columns)), c, 1),
        1 => (to(&numbers(seed, rows * columns)), 1, r),
        2 => (to(&numbers(seed, 6 * rows * columns)), 6 * c, 3),
        _ => (to(&numbers(seed, 1)), 0, 0),
    }
}

fn check_matmul<T: Pick>(m: usize, k: usize, n: usize, left: u8, right: u8) {
    let (x, x_rows, x_columns) = matrix::<T>(1, m, k, left);
    let (y, y_rows, y_columns) = matrix::<T>(2, k, n, right);
    let at = |v: &[T], i: usize, j: usize, r: isize, c: isize| {
        v[(i as isize * r + j as isize * c) as usize].wide()
    };
    let mut exact = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            exact[i * n + j] = (0..k)
                .map(|l| at(&x, i, l, x_rows, x_columns) * at(&y, l, j, y_rows, y_columns))
                .sum();
        }
    }
    for isa in Isa::available() {
        let mut out = vec![T::NAN; m * n];
        // SAFETY: the operands lie within their memory.
        unsafe {
            let x = Matrix { data: x.as_ptr(), rows: x_rows, columns: x_columns };
            let y = Matrix { data: y.as_ptr(), rows: y_rows, columns: y_columns };
            matmul(isa, m, k, n, x, y, out.as_mut_ptr());
        }
        let what = format!("{m} x {k} x {n}, layouts {left} and {right}, on {}", isa.name());
        assert_near(&out, &exact, 4.0 + 2.0 * k as f64, &what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 96 }))]

    #[test]
    fn elementwise_kernels_read_any_layout(
        (shape, layouts) in shapes().prop_flat_map(|shape| {
            let nd = shape.len();
            (Just(shape), layouts(3, nd))
        })
    ) {
        let exp = named(UNARY, "exp");
        check_elementwise::<f32, 1>(exp, |[x]| x.exp(), &shape, &layouts);
        check_elementwise::<f64, 1>(exp, |[x]| x.exp(), &shape, &layouts);
        let add = named(BINARY, "add");
        check_elementwise::<f32, 2>(add, |[x, y]| x + y, &shape, &layouts);
        check_elementwise::<f64, 2>(add, |[x, y]| x + y, &shape, &layouts);
        let power = named(BINARY, "power");
        let raised = |[x, y]: [f64; 2]| x.powf(y);
        check_elementwise::<f64, 2>(power, raised, &shape, &layouts);
        let hypot = named(BINARY, "hypot");
        check_elementwise::<f32, 2>(hypot, |[x, y]| x.hypot(y), &shape, &layouts);
        let angle = named(BINARY, "arctan2");
        check_elementwise::<f32, 2>(angle, |[y, x]| y.atan2(x), &shape, &layouts);
        check_elementwise::<f64, 2>(angle, |[y, x]| y.atan2(x), &shape, &layouts);
        let rule = named(BINARY_RULES, "tanh.vjp");
        check_elementwise::<f32, 2>(rule, |[g, a]| strong(g, 1.0 - a * a), &shape, &layouts);
        let rule = named(TERNARY_RULES, "maximum.vjp0");
        check_elementwise::<f32, 3>(rule, |[g, x, y]| share(g, x, y), &shape, &layouts);
        check_elementwise::<f64, 3>(rule, |[g, x, y]| share(g, x, y), &shape, &layouts);
    }

    #[test]
    fn kernels_along_an_axis(outer in 1usize..5, len in 1usize..300, inner in 1usize..40) {
        for shape in [
            Shape { outer, len, inner },
            Shape { outer, len, inner: 1 },
            Shape { outer: 1, len: len * inner, inner: 1 },
            Shape { outer: 1, len, inner: outer },
        ] {
            check_along::<f32>(shape);
            check_along::<f64>(shape);
            check_moments_and_places::<f32>(shape);
            check_moments_and_places::<f64>(shape);
        }
    }

    #[test]
    fn products_of_any_layout(
        m in prop_oneof![1usize..5, 1usize..70],
        k in prop_oneof![Just(1usize), 2usize..60, 300usize..900],
        n in prop_oneof![1usize..5, 1usize..140],
        left in 0u8..4,
        right in 0u8..4,
    ) {
        check_matmul::<f32>(m, k, n, left, right);
        check_matmul::<f64>(m, k, n, left, right);
    }
}

/// Shapes that are cut: long rows, short rows, many rows, wide rows.
const LARGE: [Shape; 7] = [
    Shape { outer: 1, len: 100_003, inner: 1 },
    Shape { outer: 1, len: 30_011, inner: 3 },
    Shape { outer: 1, len: 301, inner: 517 },
    Shape { outer: 1, len: 70, inner: 9001 },
    Shape { outer: 3, len: 2000, inner: 5 },
    Shape { outer: 2, len: 131, inner: 1100 },
    Shape { outer: 700, len: 130, inner: 1 },
];

#[test]
fn kernels_along_an_axis_of_large_arrays() {
    for shape in LARGE {
        check_along::<f32>(shape);
        check_along::<f64>(shape);
        check_moments_and_places::<f32>(shape);
        check_moments_and_places::<f64>(shape);
    }
}

/// Guards the number of threads, which is the process's.
static THREADS: Mutex<()> = Mutex::new(());

/// What `run` gives on one thread and on three.
fn on_one_and_three<R>(run: impl Fn() -> R) -> [R; 2] {
    let _guard = THREADS.lock();
    let before = num_threads();
    set_num_threads(1);
    let one = run();
    set_num_threads(3);
    let three = run();
    set_num_threads(before);
    [one, three]
}

fn bits<T: Pick>(values: &[T]) -> Vec<u64> {
    values.iter().map(|x| x.wide().to_bits()).collect()
}

fn check_threads<T: Pick>() {
    for isa in Isa::available() {
        for (m, k, n) in
            [(256, 784, 200), (32, 784, 200), (1, 3000, 300), (784, 1, 200), (3, 900, 500)]
        {
            for (left, right) in [(0, 0), (1, 0), (0, 1)] {
                let (x, x_rows, x_columns) = matrix::<T>(1, m, k, left);
                let (y, y_rows, y_columns) = matrix::<T>(2, k, n, right);
                let [one, three] = on_one_and_three(|| {
                    let x = Matrix { data: x.as_ptr(), rows: x_rows, columns: x_columns };
                    let y = Matrix { data: y.as_ptr(), rows: y_rows, columns: y_columns };
                    // SAFETY: the operands lie within their memory.
                    bits(&mapped::<T>(m * n, isa, |isa, out| unsafe {
                        matmul(isa, m, k, n, x, y, out);
                    }))
                });
                assert!(one == three, "{m} x {k} x {n} on {}", isa.name());
            }
        }
        for shape in [
            Shape { outer: 1, len: 1_000_003, inner: 1 },
            Shape { outer: 3000, len: 130, inner: 1 },
            Shape { outer: 1, len: 1000, inner: 517 },
            Shape { outer: 7, len: 100, inner: 300 },
        ] {
            let x = to::<T>(&numbers(3, shape.size()));
            let [one, three] = on_one_and_three(|| {
                // SAFETY: the arrays have the shape.
                bits(&mapped::<T>(shape.groups(), isa, |isa, out| unsafe {
                    reduce(isa, Reduction::Sum, shape, x.as_ptr(), out, T::ONE);
                }))
            });
            assert!(one == three, "sum of {shape:?} on {}", isa.name());
            let [one, three] = on_one_and_three(|| {
                // SAFETY: the arrays have the shape.
                bits(&mapped::<T>(shape.size(), isa, |isa, out| unsafe {
                    softmax::softmax(isa, shape, x.as_ptr(), out);
                }))
            });
            assert!(one == three, "softmax of {shape:?} on {}", isa.name());
        }
        for shape in LARGE {
            let x = to::<T>(&numbers(3, shape.size()));
            let (n, p) = (T::count(shape.len), x.as_ptr());
            // SAFETY: the arrays have the shape.
            let [one, three] = on_one_and_three(|| unsafe {
                let sums = |isa, out| reduce(isa, Reduction::Mean, shape, p, out, n);
                let logs = |isa, out| softmax::logsumexp(isa, shape, p, out);
                let spread = |isa, out| variance(isa, true, shape, p, out, n);
                let soft = |isa, out| softmax::log_softmax(isa, shape, p, out);
                [
                    bits(&mapped::<T>(shape.groups(), isa, sums)),
                    bits(&mapped::<T>(shape.groups(), isa, logs)),
                    bits(&mapped::<T>(shape.groups(), isa, spread)),
                    bits(&mapped::<T>(shape.size(), isa, soft)),
                ]
            });
            assert!(one == three, "{shape:?} on {}", isa.name());
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    check_threads::<f32>();
    check_threads::<f64>();
}

#[test]
fn elementwise_kernels_do_not_depend_on_the_number_of_threads() {
    let n = 300_007;
    let x = to::<f32>(&numbers(4, n));
    let mut strides = [0; MAX_DIMS];
    strides[0] = 1;
    let view = Operand { data: x.as_ptr(), strides };
    let [one, three] = on_one_and_three(|| {
        // SAFETY: the operand has `n` elements.
        bits(&mapped::<f32>(n, Isa::current(), |isa, out| unsafe {
            apply(isa, named(UNARY, "tanh"), out, &[n], &[view]);
        }))
    });
    assert!(one == three);
}
