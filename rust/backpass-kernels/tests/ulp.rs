//! The accuracy of the vector mathematics, on every instruction set of the processor.
//!
//! float32 is swept: one value in 65 against the standard library's float64 functions by default, every
//! one with `cargo test --release --test ulp -- --ignored --nocapture`, which prints what it finds;
//! there the references are our own float64 kernels, because they are faster. Those are sampled against
//! the standard library's.

use backpass_kernels::elementwise::{Elementwise, UNARY};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::Lines;

/// Name, reference, limits in units in the last place: float32, float64.
type Function = (&'static str, fn(f64) -> f64, f64, f64);

const FUNCTIONS: &[Function] = &[
    ("exp", f64::exp, 2.0, 2.0),
    ("exp2", f64::exp2, 2.0, 2.0),
    ("expm1", f64::exp_m1, 2.0, 2.0),
    ("log", f64::ln, 2.0, 2.0),
    ("log2", f64::log2, 2.0, 2.0),
    ("log10", f64::log10, 2.0, 2.0),
    ("log1p", f64::ln_1p, 2.0, 2.0),
    ("sqrt", f64::sqrt, 0.5, 0.5),
    ("sin", f64::sin, 4.0, 2.0),
    ("cos", f64::cos, 4.0, 2.0),
    ("tan", f64::tan, 4.0, 2.0),
    ("arcsin", f64::asin, 4.0, 2.0),
    ("arccos", f64::acos, 4.0, 2.0),
    ("arctan", f64::atan, 4.0, 2.0),
    ("sinh", f64::sinh, 4.0, 2.0),
    ("cosh", f64::cosh, 4.0, 2.0),
    ("tanh", f64::tanh, 4.0, 2.0),
    ("arcsinh", libm::asinh, 4.0, 2.0),
    ("arccosh", arccosh, 4.0, 2.0),
    ("arctanh", libm::atanh, 4.0, 2.0),
    ("cbrt", f64::cbrt, 4.0, 2.0),
    ("expit", expit, 2.0, 2.0),
    ("log_expit", log_expit, 4.0, 3.0),
    ("erf", libm::erf, 4.0, 2.0),
    ("erfc", libm::erfc, 4.0, 4.0),
];

fn expit(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn log_expit(x: f64) -> f64 {
    if x < 0.0 { x - x.exp().ln_1p() } else { -(-x).exp().ln_1p() }
}

/// `libm` gives numbers for some below 1.
fn arccosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

fn kernel(name: &str) -> &'static Elementwise<1> {
    UNARY.iter().find(|kernel| kernel.name == name).expect("a kernel of the table")
}

/// The contiguous operand `xs` and its outputs.
fn line<T>(xs: &[T], out: &mut [T]) -> Lines<T, 1> {
    assert!(xs.len() <= out.len());
    Lines {
        out: out.as_mut_ptr(),
        lines: 1,
        length: xs.len(),
        ins: [xs.as_ptr()],
        advance: [1],
        jump: [0],
    }
}

/// The error of `got` in units in the last place of `exact`, rounded to float32; infinite where one is
/// nan, infinite or a negative zero and the other is not.
fn error32(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if rounded.is_nan() || got.is_nan() {
        return if rounded.is_nan() == got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if rounded.is_infinite() || got.is_infinite() {
        // One step across the edge of the range is no more than that.
        let (a, b) = (
            f64::from(got.clamp(f32::MIN, f32::MAX)),
            f64::from(rounded.clamp(f32::MIN, f32::MAX)),
        );
        return if got == rounded { 0.0 } else { (a - b).abs() / 2f64.powi(104) + 1.0 };
    }
    if rounded == 0.0 && got == 0.0 {
        let signs_agree = rounded.is_sign_negative() == got.is_sign_negative();
        return if signs_agree { 0.0 } else { f64::INFINITY };
    }
    let exponent = u64::from(rounded.abs().max(f32::MIN_POSITIVE).to_bits() >> 23);
    let unit = f64::from_bits((exponent + 1023 - 127 - 23) << 52);
    (f64::from(got) - exact).abs() / unit
}

/// The exact values, to float64's precision.
type Reference<'a> = &'a (dyn Fn(&[f64], &mut [f64]) + Sync);

/// The largest error over every `stride`-th float32 of a range of bit patterns, and where it is.
fn sweep(
    name: &str,
    reference: Reference<'_>,
    isas: &[Isa],
    range: std::ops::Range<u64>,
    stride: u64,
) -> Vec<(f64, f32)> {
    const CHUNK: usize = 4096;
    let run = kernel(name).single;
    let mut worst = vec![(0.0, 0.0); isas.len()];
    let mut at = range.start;
    let mut exact = vec![0f64; CHUNK];
    let mut got = vec![0f32; CHUNK];
    while at < range.end {
        let n = CHUNK.min((range.end - at).div_ceil(stride) as usize);
        let xs: Vec<f32> =
            (0..n as u64).map(|i| f32::from_bits((at + i * stride) as u32)).collect();
        let wide: Vec<f64> = xs.iter().map(|&x| f64::from(x)).collect();
        at += n as u64 * stride;
        reference(&wide, &mut exact[..n]);
        for (isa, worst) in isas.iter().zip(&mut worst) {
            // SAFETY: both arrays have the length; the processor has the instruction set.
            unsafe { run(*isa, &line(&xs, &mut got), false) };
            for ((&x, &y), &exact) in xs.iter().zip(&got).zip(&exact) {
                // The same float32 is within half a unit.
                if y.to_bits() != (exact as f32).to_bits() {
                    let error = error32(y, exact);
                    if error > worst.0 {
                        *worst = (error, x);
                    }
                }
            }
        }
    }
    worst
}

/// Sweeps every function over two threads and asserts the limits.
fn sweep_all(stride: u64, isas: &[Isa], exact: fn(&Function, &[f64], &mut [f64])) {
    let mut failed = Vec::new();
    for function in FUNCTIONS {
        let reference = |xs: &[f64], out: &mut [f64]| exact(function, xs, out);
        let half = 1u64 << 31;
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| sweep(function.0, &reference, isas, 0..half, stride));
            let right = sweep(function.0, &reference, isas, half..2 * half, stride);
            (left.join().unwrap(), right)
        });
        for ((isa, a), b) in isas.iter().zip(left).zip(right) {
            let (error, x) = if a.0 > b.0 { a } else { b };
            let line = format!("{:6} {:6} {error:8.3} ULP at {x:e}", function.0, isa.name());
            println!("{line}");
            if error > function.2 {
                failed.push(line);
            }
        }
    }
    assert!(failed.is_empty(), "over the limit:\n{}", failed.join("\n"));
}

#[test]
fn float32_within_limits() {
    // An odd stride meets every pattern of low bits.
    let stride = if cfg!(debug_assertions) { 4097 } else { 65 };
    sweep_all(stride, &Isa::available(), |function, xs, out| {
        for (x, y) in xs.iter().zip(out) {
            *y = function.1(*x);
        }
    });
}

#[test]
#[ignore = "every float32: minutes"]
fn float32_within_limits_everywhere() {
    // In plain Rust the functions are the standard library's.
    sweep_all(1, &Isa::available()[1..], |function, xs, out| {
        let run = kernel(function.0).double;
        // SAFETY: both arrays have the length; the processor has its own instruction set.
        unsafe { run(Isa::current(), &line(xs, out), false) };
    });
}

/// A reproducible stream of 64-bit words (splitmix64).
fn words(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn error64(got: f64, exact: f64) -> f64 {
    if exact.is_nan() || got.is_nan() || exact.is_infinite() || got.is_infinite() || exact == got {
        let same = got == exact && got.is_sign_negative() == exact.is_sign_negative();
        return if same || (got.is_nan() && exact.is_nan()) { 0.0 } else { f64::INFINITY };
    }
    let magnitude = exact.abs().max(f64::MIN_POSITIVE);
    let unit = f64::from_bits(magnitude.to_bits() + 1) - magnitude;
    (got - exact).abs() / unit
}

#[test]
fn float64_within_limits() {
    let n = if cfg!(debug_assertions) { 20_000 } else { 400_000 };
    let mut next = words(1);
    let mut failed = Vec::new();
    for &(name, reference, _, limit) in FUNCTIONS {
        // Any bit pattern, and every magnitude where the functions have their shape.
        let xs: Vec<f64> = (0..n)
            .map(|i| match i % 4 {
                0 => f64::from_bits(next()),
                1 => (next() as f64 / 2f64.powi(63) - 1.0) * 800.0,
                2 => (next() as f64 / 2f64.powi(63) - 1.0) * 6.0,
                _ => 2f64.powi((next() % 80) as i32 - 60) * (next() as f64 / 2f64.powi(63) - 1.0),
            })
            .collect();
        for isa in Isa::available() {
            let mut got = vec![0f64; xs.len()];
            // SAFETY: both arrays have the length; the processor has the instruction set.
            unsafe { (kernel(name).double)(isa, &line(&xs, &mut got), false) };
            let (error, x) = xs
                .iter()
                .zip(&got)
                .map(|(&x, &y)| (error64(y, reference(x)), x))
                .fold((0.0, 0.0), |worst, new| if new.0 > worst.0 { new } else { worst });
            let line = format!("{name:6} {:6} {error:8.3} ULP at {x:e}", isa.name());
            println!("{line}");
            if error > limit {
                failed.push(line);
            }
        }
    }
    assert!(failed.is_empty(), "over the limit:\n{}", failed.join("\n"));
}
