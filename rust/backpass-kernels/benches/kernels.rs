//! The kernels alone, beside what the machine can do: `cargo bench --bench kernels [name ...]`.
//!
//! Each line stands beside a copy that moves as many bytes as the kernel reads and writes, on as many
//! threads, measured in the same rounds; the peak of fused multiply-adds is measured before and after
//! everything. Rounds are interleaved; least and median in microseconds, float32.

use std::hint::black_box;
use std::time::Instant;

use backpass_kernels::descent::{Adam, Descent, Leaf, Momentum, update};
use backpass_kernels::elementwise::{
    BINARY, BINARY_RULES, Elementwise, TERNARY_RULES, UNARY, apply_contiguous,
};
use backpass_kernels::isa::{Isa, Kernel, dispatch};
use backpass_kernels::reduce::{Reduction, Shape, reduce};
use backpass_kernels::simd::Simd;
use backpass_kernels::softmax::{log_softmax, logsumexp, softmax};
use backpass_kernels::threads::{self, num_threads, set_num_threads};

const ROUNDS: usize = 15;
/// A round's length, in seconds.
const TURN: f64 = 0.004;
const SIZES: [usize; 3] = [10_000, 1_000_000, 10_000_000];

/// The weights of a small network, biases in between.
const NETWORK: [usize; 6] = [784 * 200, 200, 200 * 100, 100, 100 * 10, 10];

struct Case {
    name: String,
    /// Read and written.
    bytes: usize,
    work: Box<dyn FnMut()>,
}

fn random(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn elementwise<const N: usize>(isa: Isa, table: &[Elementwise<N>], name: &str, n: usize) -> Case {
    let kernel = *table.iter().find(|kernel| kernel.name == name).expect("a kernel's name");
    let ins: [Vec<f32>; N] = std::array::from_fn(|_| random(n));
    let mut out = vec![0f32; n];
    Case {
        name: format!("{name} {n}"),
        bytes: (N + 1) * n * 4,
        work: Box::new(move || {
            let pointers = std::array::from_fn(|i| ins[i].as_ptr());
            // SAFETY: all arrays have `n` elements.
            unsafe { apply_contiguous(isa, &kernel, out.as_mut_ptr(), n, pointers, [1; N]) };
        }),
    }
}

/// A kernel that takes `shape` to a number a group, or to as many numbers.
fn along(
    name: &str,
    shape: Shape,
    outputs: usize,
    mut kernel: impl FnMut(*const f32, *mut f32) + 'static,
) -> Case {
    let x = random(shape.size());
    let mut out = vec![0f32; outputs];
    Case {
        name: format!("{name} {}x{}x{}", shape.outer, shape.len, shape.inner),
        bytes: (shape.size() + outputs) * 4,
        work: Box::new(move || kernel(x.as_ptr(), out.as_mut_ptr())),
    }
}

fn reductions(isa: Isa) -> Vec<Case> {
    let mut cases = Vec::new();
    for (outer, len, inner) in [(1, 1_000_000, 1), (1000, 1000, 1), (1, 1000, 1000), (32, 10, 1)] {
        let shape = Shape { outer, len, inner };
        for (name, kind) in [("sum", Reduction::Sum), ("max", Reduction::Max)] {
            cases.push(along(name, shape, shape.groups(), move |x, out| {
                // SAFETY: the arrays have the shape and a number a group.
                unsafe { reduce(isa, kind, shape, x, out, 1.0) }
            }));
        }
        cases.push(along("logsumexp", shape, shape.groups(), move |x, out| {
            // SAFETY: the arrays have the shape and a number a group.
            unsafe { logsumexp(isa, shape, x, out) }
        }));
        cases.push(along("softmax", shape, shape.size(), move |x, out| {
            // SAFETY: the arrays have the shape.
            unsafe { softmax(isa, shape, x, out) }
        }));
        cases.push(along("log_softmax", shape, shape.size(), move |x, out| {
            // SAFETY: the arrays have the shape.
            unsafe { log_softmax(isa, shape, x, out) }
        }));
    }
    cases
}

/// A step of an optimizer that overwrites `W` arrays for each weight.
fn step<const W: usize>(
    name: &str,
    isa: Isa,
    step: impl backpass_kernels::descent::Step<f32, W> + 'static,
) -> Case {
    let total: usize = NETWORK.iter().sum();
    let mut arrays: [_; W] = std::array::from_fn(|_| NETWORK.map(random));
    let g = NETWORK.map(random);
    Case {
        name: format!("{name} {total}"),
        bytes: (2 * W + 1) * total * 4,
        work: Box::new(move || {
            let leaves: [Leaf<f32, W>; 6] = std::array::from_fn(|i| Leaf {
                arrays: std::array::from_fn(|k| arrays[k][i].as_mut_ptr()),
                gradient: g[i].as_ptr(),
                n: NETWORK[i],
            });
            // SAFETY: the arrays have the lengths and are apart.
            unsafe { update(isa, &leaves, step) };
        }),
    }
}

fn updates(isa: Isa) -> Vec<Case> {
    let adam = Adam {
        length: 1e-6,
        spread: 1.0,
        rest1: 0.1,
        beta2: 0.999,
        rest2: 0.001,
        eps: 1e-3,
        weight_decay: 0.0,
        keep: 1.0,
    };
    vec![
        step("sgd_update", isa, Descent { learning_rate: 1e-6, weight_decay: 0.0 }),
        step("momentum_update", isa, Momentum { learning_rate: 1e-6, momentum: 0.9, rest: 0.1 }),
        step::<3>("adam_update", isa, adam),
    ]
}

/// Moves `bytes`, half of them read, half written, on all threads.
fn copy(bytes: usize) -> Case {
    let n = bytes / 2;
    let (source, mut target) = (vec![1u8; n], vec![0u8; n]);
    Case {
        name: String::new(),
        bytes,
        work: Box::new(move || {
            let (from, to) = (source.as_ptr() as usize, target.as_mut_ptr() as usize);
            let parts = num_threads();
            threads::run(parts, bytes / 50, &|part| {
                let (start, end) = (n * part / parts, n * (part + 1) / parts);
                let (from, to) = ((from + start) as *const u8, (to + start) as *mut u8);
                // SAFETY: each part lies within the arrays and is copied once.
                unsafe { std::ptr::copy_nonoverlapping(from, to, end - start) };
            });
            black_box(&mut target);
        }),
    }
}

/// Multiplies and adds in registers.
struct MultiplyAdd(usize);

impl Kernel<f32> for MultiplyAdd {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd<f32>>(self, s: S) -> f32 {
        let (x, y) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        let mut sums = [s.splat(1.0); 12];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = s.fma(*sum, x, y);
            }
        }
        let mut all = sums[0];
        for sum in &sums[1..] {
            all = s.add(all, *sum);
        }
        s.first(all)
    }
}

/// Multiplications and additions of each of its registers, in one measurement.
const CHAIN: usize = 100_000;

/// The most GF/s of one thread.
fn peak(isa: Isa) -> f64 {
    let lanes = match isa {
        Isa::Avx512 => 16,
        Isa::Avx2 => 8,
        Isa::Scalar => 1,
    };
    (0..10)
        .map(|_| {
            let start = Instant::now();
            // SAFETY: the processor has it.
            black_box(unsafe { dispatch(isa, MultiplyAdd(CHAIN)) });
            (2 * 12 * lanes * CHAIN) as f64 / start.elapsed().as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}

/// The seconds of a call, taken over a turn.
fn turn(work: &mut dyn FnMut(), repeats: &mut usize) -> f64 {
    let start = Instant::now();
    for _ in 0..*repeats {
        work();
    }
    let call = start.elapsed().as_secs_f64() / *repeats as f64;
    *repeats = ((TURN / call) as usize).clamp(1, 100_000);
    call
}

/// Keeps all threads at work until the system has given each a processor.
fn settle() {
    let mut work = copy(1 << 20).work;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.5 {
        work();
    }
}

fn main() {
    let isa = Isa::current();
    let all = num_threads();
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut cases = Vec::new();
    for n in SIZES {
        cases.push(elementwise(isa, BINARY, "add", n));
        for name in ["exp", "log", "tanh", "expit", "erf", "sin", "sqrt"] {
            cases.push(elementwise(isa, UNARY, name, n));
        }
        cases.push(elementwise(isa, BINARY, "maximum", n));
        for name in ["tanh.vjp", "multiply.vjp0"] {
            cases.push(elementwise(isa, BINARY_RULES, name, n));
        }
        cases.push(elementwise(isa, TERNARY_RULES, "divide.vjp1", n));
    }
    cases.extend(reductions(isa));
    cases.extend(updates(isa));
    let wanted = |case: &Case| {
        chosen.is_empty() || chosen.iter().any(|name| case.name.split(' ').next() == Some(name))
    };
    println!(
        "float32 on {}; a fused multiply-add takes 2 operations: {:.0} GF/s a thread at most",
        isa.name(),
        peak(isa)
    );
    for threads in if all > 1 { vec![1, all] } else { vec![1] } {
        set_num_threads(threads);
        settle();
        println!("\n{threads} thread(s): us least / median; GB/s; the copy's GB/s; time in copies");
        for case in cases.iter_mut().filter(|case| wanted(case)) {
            let mut beside = copy(case.bytes);
            let mut repeats = [1, 1];
            let mut times = [const { Vec::new() }; 2];
            for round in 0..=ROUNDS {
                for (which, work) in [&mut case.work, &mut beside.work].into_iter().enumerate() {
                    let call = turn(work, &mut repeats[which]);
                    if round > 0 {
                        times[which].push(call);
                    }
                }
            }
            for times in &mut times {
                times.sort_by(f64::total_cmp);
            }
            let [own, copied] = times.map(|times| (times[0], times[ROUNDS / 2]));
            let bytes = case.bytes as f64 / 1e9;
            println!(
                "{:28} {:9.2} / {:9.2}   {:6.0} {:6.0}   {:5.2}",
                case.name,
                own.0 * 1e6,
                own.1 * 1e6,
                bytes / own.1,
                bytes / copied.1,
                own.1 / copied.1
            );
        }
    }
    println!("\n{:.0} GF/s a thread at the end", peak(isa));
}
