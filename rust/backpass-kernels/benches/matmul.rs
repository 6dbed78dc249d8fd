//! Matrix products at the shapes of a small network, on one thread and on all, beside the `gemm`
//! crate: `cargo bench --bench matmul`. Rounds are interleaved; minimum and median in GF/s.

use std::fmt::Write;
use std::time::Instant;

use backpass_kernels::isa::Isa;
use backpass_kernels::matmul::{Matrix, matmul};
use backpass_kernels::threads::{num_threads, set_num_threads};

const ROUNDS: usize = 15;

/// Rows, inner dimension, columns; whether each operand lies transposed in memory.
type Case = (usize, usize, usize, bool, bool);

const CASES: &[Case] = &[
    (256, 784, 200, false, false),
    (784, 256, 200, true, false),
    (256, 200, 784, false, true),
    (32, 784, 200, false, false),
    (784, 32, 200, true, false),
    (32, 200, 784, false, true),
    (1, 784, 200, false, false),
    (784, 1, 200, true, false),
    (1, 200, 784, false, true),
    (256, 200, 100, false, false),
    (200, 256, 100, true, false),
    (256, 100, 200, false, true),
    (256, 100, 10, false, false),
    (64, 64, 64, false, false),
    (256, 784, 200, false, true),
    (256, 784, 200, true, false),
    (256, 784, 200, true, true),
    (1024, 1024, 1024, false, false),
    (1024, 1024, 1024, false, true),
    (1024, 1024, 1024, true, false),
    (1024, 1024, 1024, true, true),
    (48, 777, 193, false, false),
    (777, 48, 193, true, false),
    (48, 193, 777, false, true),
];

fn view(data: &[f32], rows: usize, columns: usize, transposed: bool) -> Matrix<f32> {
    let (r, c) = if transposed { (1, rows as isize) } else { (columns as isize, 1) };
    Matrix { data: data.as_ptr(), rows: r, columns: c }
}

fn main() {
    let isa = Isa::current();
    let all = num_threads();
    println!(
        "float32 on {}, GF/s best/median; gemm crate, ours on 1 and {all} threads",
        isa.name()
    );
    for &(m, k, n, left, right) in CASES {
        let x: Vec<f32> = (0..m * k).map(|i| (i % 13) as f32 - 6.0).collect();
        let y: Vec<f32> = (0..k * n).map(|i| (i % 11) as f32 - 5.0).collect();
        let mut out = vec![0f32; m * n];
        let (x, y) = (view(&x, m, k, left), view(&y, k, n, right));
        let flops = 2.0 * (m * k * n) as f64;
        let repeats = ((4e8 / flops) as usize).clamp(1, 2000);
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (which, rates) in rates.iter_mut().enumerate() {
                set_num_threads(if which == 2 { all } else { 1 });
                let start = Instant::now();
                for _ in 0..repeats {
                    // SAFETY: the operands have the shapes, the output has room.
                    unsafe {
                        if which == 0 {
                            gemm::gemm(
                                m,
                                n,
                                k,
                                out.as_mut_ptr(),
                                1,
                                n as isize,
                                false,
                                x.data,
                                x.columns,
                                x.rows,
                                y.data,
                                y.columns,
                                y.rows,
                                0.0,
                                1.0,
                                false,
                                false,
                                false,
                                gemm::Parallelism::None,
                            );
                        } else {
                            matmul(isa, m, k, n, x, y, out.as_mut_ptr());
                        }
                    }
                }
                rates.push(flops * repeats as f64 / start.elapsed().as_secs_f64() / 1e9);
            }
        }
        let mut line = format!("{m:5} x {k:4} x {n:4} {}{}", u8::from(left), u8::from(right));
        for rates in &mut rates {
            rates.sort_by(f64::total_cmp);
            let _ = write!(line, "  {:6.0}/{:6.0}", rates[ROUNDS - 1], rates[ROUNDS / 2]);
        }
        println!("{line}");
    }
}
