//! Every family of kernels against plain loops in float64, over random shapes and strides, on every
//! instruction set of the processor; and one thread against several, bit for bit.

use backpass_kernels::descent::{Leaf, momentum_update, sgd_update};
use backpass_kernels::elementwise::{
    BINARY, BINARY_RULES, Elementwise, Pick, TERNARY_RULES, UNARY, apply,
};
use backpass_kernels::extremes::extreme_vjp;
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::matmul::{Matrix, matmul};
use backpass_kernels::reduce::{Reduction, Shape, reduce};
use backpass_kernels::softmax;
use backpass_kernels::threads::{num_threads, set_num_threads};
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
        assert!((x.wide() - e).abs() <= bound, "{what} at {i}: {x:?}, exactly {e}");
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
        let rule = named(BINARY, "tanh.vjp");
        check_elementwise::<f32, 2>(rule, |[g, a]| strong(g, 1.0 - a * a), &shape, &layouts);
        let rule = named(TERNARY, "maximum.vjp0");
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

/// Weights, velocities and gradients after a step on one and on three threads, bit for bit.
fn descended<T: Pick>(isa: Isa, sizes: &[usize], momentum: bool) -> Vec<Vec<Vec<T>>> {
    let run = || {
        let mut arrays: Vec<Vec<Vec<T>>> =
            (0..3).map(|which| sizes.iter().map(|&n| to(&numbers(which, n))).collect()).collect();
        let leaves: Vec<Leaf<T>> = (0..sizes.len())
            .map(|i| Leaf {
                weights: arrays[0][i].as_mut_ptr(),
                velocity: if momentum { arrays[1][i].as_mut_ptr() } else { std::ptr::null_mut() },
                gradient: arrays[2][i].as_ptr(),
                n: sizes[i],
            })
            .collect();
        // SAFETY: the arrays are apart and hold their leaf's elements.
        unsafe {
            if momentum {
                momentum_update(isa, &leaves, 0.1, 0.9);
            } else {
                sgd_update(isa, &leaves, 0.1);
            }
        }
        arrays
    };
    let [one, three] = on_one_and_three(run);
    assert!(one == three, "{}", isa.name());
    one
}

fn descent_follows_its_formula<T: Pick>() {
    let sizes = [156_800usize, 200, 20_000, 1, 0, 33, 4097];
    for isa in Isa::available() {
        let [plain, mean] = [false, true].map(|momentum| descended::<T>(isa, &sizes, momentum));
        for (i, &n) in sizes.iter().enumerate() {
            let [w, v, g] = [0, 1, 2].map(|which| numbers(which, n));
            let along = |slope: &[f64]| -> Vec<f64> {
                w.iter().zip(slope).map(|(w, slope)| w - 0.1 * slope).collect()
            };
            let velocity: Vec<f64> = v.iter().zip(&g).map(|(v, g)| 0.9 * v + 0.1 * g).collect();
            assert_near(&mean[1][i], &velocity, 4.0, "velocity");
            assert_near(&mean[0][i], &along(&velocity), 4.0, "weights");
            assert_near(&plain[0][i], &along(&g), 4.0, "weights without momentum");
            assert_near(&plain[1][i], &v, 0.0, "a velocity that is not in use");
            for arrays in [&plain, &mean] {
                assert_near(&arrays[2][i], &g, 0.0, "a gradient");
            }
        }
    }
}

#[test]
fn descent_follows_its_formula_on_any_number_of_threads() {
    descent_follows_its_formula::<f32>();
    descent_follows_its_formula::<f64>();
}
