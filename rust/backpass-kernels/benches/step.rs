//! The training step of a small network from the kernels alone, beside the roofline:
//! `cargo bench --bench step`.
//!
//! Linear layers with tanh between them, log-softmax, gradient descent with momentum, in float32.
//! Printed are the whole step's time, each part's share of it, and the floor: the step's flops at the
//! peak and its traffic at the bandwidth that are measured in the same run.

use std::time::Instant;

use backpass_kernels::descent::{Leaf, Momentum, update};
use backpass_kernels::elementwise::{BINARY_RULES, Elementwise, apply_contiguous};
use backpass_kernels::isa::{Isa, Kernel, dispatch};
use backpass_kernels::matmul::{Activation, Epilogue, Matrix, matmul, matmul_with};
use backpass_kernels::real::Real;
use backpass_kernels::reduce::{Reduction, Shape, reduce};
use backpass_kernels::simd::Simd;
use backpass_kernels::softmax::{log_softmax, log_softmax_vjp};
use backpass_kernels::threads::{self, num_threads, set_num_threads};

const NETWORKS: &[(&[usize], usize)] = &[
    (&[784, 200, 100, 10], 1),
    (&[784, 200, 100, 10], 32),
    (&[784, 200, 100, 10], 256),
    (&[777, 193, 67, 10], 48),
];
const PARTS: [&str; 6] = ["x W", "loss", "xT g", "bias", "g WT", "update"];

/// A layer of the network and all that its step needs.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Weights, bias; their velocities; their gradients.
    arrays: [[Vec<f32>; 2]; 3],
    result: Vec<f32>,
    cotangent: Vec<f32>,
}

struct Network {
    isa: Isa,
    batch: usize,
    x: Vec<f32>,
    labels: Vec<f32>,
    logs: Vec<f32>,
    layers: Vec<Layer>,
    tanh_vjp: &'static Elementwise<2>,
}

fn rows(data: &[f32], columns: usize) -> Matrix<f32> {
    Matrix { data: data.as_ptr(), rows: columns as isize, columns: 1 }
}

impl Network {
    fn new(sizes: &[usize], batch: usize) -> Self {
        let some = |n: usize| (0..n).map(|i| (i % 17) as f32 / 170.0 - 0.05).collect::<Vec<_>>();
        let layers = sizes.windows(2).map(|pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let set = || [some(inputs * outputs), some(outputs)];
            Layer {
                inputs,
                outputs,
                arrays: [set(), set(), set()],
                result: some(batch * outputs),
                cotangent: some(batch * outputs),
            }
        });
        let classes = sizes[sizes.len() - 1];
        let mut labels = vec![0.0; batch * classes];
        for i in 0..batch {
            labels[i * classes + i % classes] = -1.0 / batch as f32;
        }
        Self {
            isa: Isa::current(),
            batch,
            x: some(batch * sizes[0]),
            labels,
            logs: vec![0.0; batch * classes],
            layers: layers.collect(),
            tanh_vjp: BINARY_RULES
                .iter()
                .find(|kernel| kernel.name == "tanh.vjp")
                .expect("in the table"),
        }
    }

    /// One step; `lap` is told the part that has just ended.
    fn step(&mut self, mut lap: impl FnMut(usize)) {
        let Self { isa, batch, .. } = *self;
        let last = self.layers.len() - 1;
        // SAFETY: the arrays have the shapes that they are used with.
        unsafe {
            for i in 0..=last {
                let (before, rest) = self.layers.split_at_mut(i);
                let Layer { inputs, outputs, arrays: [[w, b], ..], result, .. } = &mut rest[0];
                let (k, n) = (*inputs, *outputs);
                let x = before.last().map_or(&self.x, |layer| &layer.result);
                let activation = if i < last { Activation::Tanh } else { Activation::Identity };
                let epilogue = Epilogue { bias: b.as_ptr(), activation };
                matmul_with(
                    isa,
                    batch,
                    k,
                    n,
                    rows(x, k),
                    rows(w, n),
                    epilogue,
                    result.as_mut_ptr(),
                );
            }
            lap(0);
            let top = &mut self.layers[last];
            let shape = Shape { outer: batch, len: top.outputs, inner: 1 };
            log_softmax(isa, shape, top.result.as_ptr(), self.logs.as_mut_ptr());
            let g = top.cotangent.as_mut_ptr();
            log_softmax_vjp(isa, shape, self.labels.as_ptr(), self.logs.as_ptr(), g);
            lap(1);
            for i in (0..=last).rev() {
                let (before, rest) = self.layers.split_at_mut(i);
                let Layer { inputs, outputs, arrays: [[w, _], _, [dw, db]], cotangent, .. } =
                    &mut rest[0];
                let (k, n) = (*inputs, *outputs);
                let x = before.last().map_or(&self.x, |layer| &layer.result);
                let g = rows(cotangent, n);
                matmul(isa, k, batch, n, rows(x, k).transposed(), g, dw.as_mut_ptr());
                lap(2);
                let shape = Shape { outer: 1, len: batch, inner: n };
                reduce(isa, Reduction::Sum, shape, g.data, db.as_mut_ptr(), 1.0);
                lap(3);
                if let Some(below) = before.last_mut() {
                    let to = below.cotangent.as_mut_ptr();
                    matmul(isa, batch, n, k, g, rows(w, n).transposed(), to);
                    let ins = [to.cast_const(), below.result.as_ptr()];
                    apply_contiguous(isa, self.tanh_vjp, to, batch * k, ins, [1; 2]);
                    lap(4);
                }
            }
            let mut leaves = Vec::new();
            for layer in &mut self.layers {
                let [weights, velocity, gradient] = &mut layer.arrays;
                for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
                    let n = w.len();
                    let arrays = [w.as_mut_ptr(), v.as_mut_ptr()];
                    leaves.push(Leaf { arrays, gradient: g.as_ptr(), n });
                }
            }
            let step = Momentum { learning_rate: 0.01, momentum: 0.9, rest: 0.1 };
            update(isa, &leaves, step);
            lap(5);
        }
    }

    /// Flops and bytes of a step: each operand of each kernel once.
    fn work(&self) -> (f64, f64) {
        let (mut flops, mut bytes) = (0, 0);
        for (i, layer) in self.layers.iter().enumerate() {
            let (k, n, b) = (layer.inputs, layer.outputs, self.batch);
            let products = if i == 0 { 2 } else { 3 };
            flops += products * 2 * b * k * n;
            // Weights read by one or two products and written; gradient written and read; velocity.
            bytes += 4 * k * n * (products - 1 + 1 + 2 + 2) + 4 * b * (3 * k + 5 * n);
        }
        (flops as f64, bytes as f64)
    }
}

struct Peak;

impl<T: Real> Kernel<T> for Peak {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> T {
        let mut sums = [s.splat(T::ONE); 12];
        let x = std::hint::black_box(s.splat(T::HALF));
        for _ in 0..20_000 {
            for sum in &mut sums {
                *sum = s.fma(x, *sum, x);
            }
        }
        s.first(sums.into_iter().fold(x, |a, b| s.add(a, b)))
    }
}

/// Billions of flops a second, and of bytes copied from and to the second-level cache.
fn roofline(isa: Isa, all: usize) -> (f64, f64) {
    set_num_threads(all);
    let lanes = match isa {
        Isa::Scalar => 1.0,
        Isa::Avx2 => 8.0,
        Isa::Avx512 => 16.0,
    };
    let size = 64 << 10;
    let from = vec![1f32; size * all];
    let to = vec![0f32; size * all];
    let (mut flops, mut bytes) = (0f64, 0f64);
    for _ in 0..50 {
        let start = Instant::now();
        threads::run(all, 1_000_000, &|_| {
            // SAFETY: the instruction set is this processor's.
            std::hint::black_box(unsafe { dispatch::<f32, _>(isa, Peak) });
        });
        let seconds = start.elapsed().as_secs_f64();
        flops = flops.max(all as f64 * 20_000.0 * 12.0 * 2.0 * lanes / seconds / 1e9);
        let start = Instant::now();
        threads::run(all, 1_000_000, &|i| {
            for _ in 0..20 {
                // SAFETY: each chunk writes a part of its own.
                unsafe {
                    let to = to.as_ptr().cast_mut().add(i * size);
                    std::ptr::copy_nonoverlapping(from.as_ptr().add(i * size), to, size);
                }
                std::hint::black_box(&to);
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        bytes = bytes.max((all * size * 4 * 2 * 20) as f64 / seconds / 1e9);
    }
    (flops, bytes)
}

fn main() {
    let isa = Isa::current();
    let all = num_threads();
    for threads in [1, all] {
        let (peak, bandwidth) = roofline(isa, threads);
        println!(
            "float32 on {}, {threads} threads: peak {peak:.0} GF/s, copies in cache {bandwidth:.0} GB/s",
            isa.name()
        );
        for &(sizes, batch) in NETWORKS {
            let mut network = Network::new(sizes, batch);
            let mut times = Vec::new();
            let mut parts = [f64::INFINITY; PARTS.len()];
            for round in 0..40 {
                let repeats = 4 + 400 / batch.max(1);
                let start = Instant::now();
                for _ in 0..repeats {
                    network.step(|_| ());
                }
                let mean = start.elapsed().as_secs_f64() / repeats as f64;
                if round > 5 {
                    times.push(mean * 1e6);
                }
                let mut sums = [0.0; PARTS.len()];
                let mut since = Instant::now();
                for _ in 0..repeats {
                    network.step(|part| {
                        let now = Instant::now();
                        sums[part] += (now - since).as_secs_f64();
                        since = now;
                    });
                }
                for (best, sum) in parts.iter_mut().zip(sums) {
                    *best = best.min(sum / repeats as f64 * 1e6);
                }
            }
            times.sort_by(f64::total_cmp);
            let (flops, bytes) = network.work();
            let (by_flops, by_bytes) = (flops / peak / 1e3, bytes / bandwidth / 1e3);
            let shares: Vec<String> =
                PARTS.iter().zip(parts).map(|(name, t)| format!("{name} {t:.1}")).collect();
            println!(
                "{sizes:?} batch {batch}: {:.1}/{:.1} us; floor {:.1} (flops), {:.1} (traffic); {}",
                times[0],
                times[times.len() / 2],
                by_flops,
                by_bytes,
                shares.join(", ")
            );
        }
    }
}
