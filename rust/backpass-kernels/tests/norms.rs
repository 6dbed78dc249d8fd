//! Norms, losses, dropout and embedding at sizes that several threads share: the same bits on one
//! thread and on three; random bits the same on every instruction set; exponentials rounded right
//! where they are denormal.

use backpass_kernels::elementwise::{Pick, UNARY, apply};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::network::batch_norm::{self, Batch, Layout, Normalised};
use backpass_kernels::network::cross_entropy::{self, Labels, losses, losses_vjp};
use backpass_kernels::network::dropout::{Mask, dropout};
use backpass_kernels::network::embedding::{Indices, add_rows, take_rows};
use backpass_kernels::network::layer_norm::{Rows, layer_norm, layer_norm_back};
use backpass_kernels::reduce::Shape;
use backpass_kernels::threads::set_num_threads;

/// Numbers in a fixed order, between -2 and 2.
fn numbers<T: Pick>(seed: u64, n: usize) -> Vec<T> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 22) - 2.0
    };
    (0..n).map(|_| T::of(next())).collect()
}

fn indices(seed: u64, n: usize, count: usize) -> Vec<i64> {
    let numbers = numbers::<f64>(seed, n);
    numbers.iter().map(|x| ((x + 2.0) / 4.0 * count as f64) as i64).collect()
}

fn bits<T: Pick>(values: &[T]) -> Vec<u64> {
    values.iter().map(|x| x.wide().to_bits()).collect()
}

/// What `run` writes, `n` numbers at most.
fn written<T: Pick>(n: usize, run: impl FnOnce(*mut T)) -> Vec<T> {
    let mut out = vec![T::ZERO; n];
    run(out.as_mut_ptr());
    out
}

/// Each kernel's result.
fn results<T: Pick>(isa: Isa) -> Vec<(&'static str, Vec<T>)> {
    let mut found = Vec::new();
    for (rows, len) in [(1000, 65), (67, 1000), (9, 7001)] {
        let n = rows * len;
        let (x, g) = (numbers::<T>(1, n), numbers::<T>(2, n));
        let (weight, bias) = (numbers::<T>(3, len), numbers::<T>(4, len));
        let about = Rows {
            rows,
            len,
            x: x.as_ptr(),
            weight: weight.as_ptr(),
            bias: bias.as_ptr(),
            eps: T::of(1e-5),
            centred: true,
        };
        // SAFETY: every array has the length that its kernel asks for.
        unsafe {
            found.push(("layer_norm", written(n, |out| layer_norm(isa, about, out))));
            let back = written(n + 2 * len, |out: *mut T| {
                layer_norm_back(isa, about, g.as_ptr(), out, out.add(n));
            });
            found.push(("layer_norm_back", back));
        }
        let labels = indices(5, rows, len);
        let labels = Labels {
            labels: labels.as_ptr(),
            ignored: None,
            weight: std::ptr::null(),
            smoothing: 0.1,
        };
        for (outer, inner) in [(rows, 1), (1, rows)] {
            let shape = Shape { outer, len, inner };
            let g = cross_entropy::Cotangents { g: g.as_ptr(), each: true };
            // SAFETY: as above; the labels fit.
            unsafe {
                let terms =
                    written(rows, |out| losses::<T, true>(isa, shape, labels, x.as_ptr(), out));
                found.push(("losses", terms));
                let back = written(n, |out| {
                    losses_vjp::<T, true>(isa, shape, labels, g, x.as_ptr(), out);
                });
                found.push(("losses_vjp", back));
            }
        }
        for layout in [Layout::Rows(rows, len), Layout::Planes(5, rows / 5, len)] {
            let channels = layout.channels();
            let weight = numbers::<T>(6, channels);
            let batch = Batch {
                layout,
                x: x.as_ptr(),
                weight: weight.as_ptr(),
                bias: std::ptr::null(),
                eps: 1e-5,
            };
            let own = layout.channels() * layout.length();
            // SAFETY: as above.
            unsafe {
                let made = written(own + 2 * channels, |out: *mut T| {
                    let (mean, variance) = (out.add(own), out.add(own + channels));
                    batch_norm::batch_norm(isa, batch, Normalised { y: out, mean, variance });
                });
                let (mean, variance) = made[own..].split_at(channels);
                let given = batch_norm::Given {
                    g: g.as_ptr(),
                    mean: mean.as_ptr(),
                    variance: variance.as_ptr(),
                };
                let back = written(own + 2 * channels, |out: *mut T| {
                    let (weight, bias) = (out.add(own), out.add(own + channels));
                    let to = batch_norm::Cotangents { x: out, weight, bias };
                    batch_norm::batch_norm_back(isa, batch, given, to);
                });
                found.push(("batch_norm", made));
                found.push(("batch_norm_back", back));
            }
        }
        let at = Indices { count: rows, width: len, indices: &indices(7, rows, rows), padding: 3 };
        // SAFETY: as above.
        unsafe {
            found.push(("take_rows", written(n, |out| take_rows(isa, at, x.as_ptr(), out))));
            found.push(("add_rows", written(n, |out| add_rows(isa, at, x.as_ptr(), out))));
            let mask = Mask { n, inner: 1, rate: 0.3, key: [u64::MAX - 5, 1 << 40] };
            found.push(("dropout", written(n, |out| dropout(isa, mask, x.as_ptr(), out))));
            let mask = Mask { n: rows, inner: len, ..mask };
            found.push(("dropout", written(n, |out| dropout(isa, mask, x.as_ptr(), out))));
        }
    }
    found
}

fn check<T: Pick>() {
    let mut first: Option<Vec<(&str, Vec<T>)>> = None;
    for isa in Isa::available() {
        set_num_threads(1);
        let alone = results::<T>(isa);
        set_num_threads(3);
        for ((name, one), (_, three)) in alone.iter().zip(&results::<T>(isa)) {
            assert_eq!(bits(one), bits(three), "{name} on one thread and on three, {isa:?}");
        }
        let first = first.get_or_insert_with(|| alone.clone());
        let unit = if size_of::<T>() == 4 { 1e-5 } else { 1e-13 };
        for ((name, mine), (_, other)) in alone.iter().zip(first.iter()) {
            let scale = other.iter().fold(1.0, |most: f64, x| most.max(x.wide().abs()));
            let exact = matches!(*name, "dropout" | "take_rows" | "add_rows");
            for (i, (x, y)) in mine.iter().zip(other).enumerate() {
                let off = (x.wide() - y.wide()).abs();
                assert!(off <= if exact { 0.0 } else { unit * scale }, "{name} at {i}, {isa:?}");
            }
        }
    }
}

#[test]
fn results_are_the_same_on_any_number_of_threads_and_near_on_any_instruction_set() {
    check::<f32>();
    check::<f64>();
}

/// The words that the authors of Philox publish for their tests.
#[test]
fn dropout_keeps_what_philox_says() {
    let words = [0x6627_e8d5_u64, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
    for isa in Isa::available() {
        for (place, word) in words.into_iter().enumerate() {
            for (rate, kept) in [(word as f64, true), (word as f64 + 1.0, false)] {
                let mask = Mask { n: 4, inner: 1, rate: rate / 4_294_967_296.0, key: [0, 0] };
                // SAFETY: both arrays have four elements.
                let out =
                    written(4, |out| unsafe { dropout(isa, mask, [1.0f64; 4].as_ptr(), out) });
                assert_eq!(out[place] != 0.0, kept, "word {place}, {isa:?}");
            }
        }
    }
}

fn exponentials<T: Pick>(x: &[T]) -> Vec<Vec<T>> {
    let exp = UNARY.iter().find(|kernel| kernel.name == "exp").unwrap();
    let mut strides = [0; MAX_DIMS];
    strides[0] = 1;
    let operand = Operand { data: x.as_ptr(), strides };
    let run = |isa| {
        // SAFETY: the operand and the output have the length.
        written(x.len(), |out| unsafe { apply(isa, exp, out, &[x.len()], &[operand]) })
    };
    Isa::available().into_iter().map(run).collect()
}

#[test]
fn exponentials_are_rounded_once_where_they_are_denormal() {
    // Beside large ones, so that some lanes of a vector are denormal and others are not.
    let single: Vec<f32> = (0..40_000u16)
        .map(|i| if i % 5 == 0 { f32::from(i) / 500.0 } else { -86.0 - f32::from(i) / 2000.0 })
        .collect();
    for found in exponentials(&single) {
        for (x, y) in single.iter().zip(found) {
            let exact = f64::from(*x).exp();
            let unit = f64::from(f32::from_bits(1)).max(exact * f64::from(f32::EPSILON));
            assert!((f64::from(y) - exact).abs() <= 1.01 * unit, "exp({x}) is {y}, not {exact}");
        }
    }
    let double: Vec<f64> = (0..40_000u16).map(|i| -708.0 - f64::from(i) / 1000.0).collect();
    for found in exponentials(&double) {
        for (x, y) in double.iter().zip(found) {
            let unit = f64::from_bits(1).max(x.exp() * f64::EPSILON);
            assert!((y - x.exp()).abs() <= 1.01 * unit, "exp({x}) is {y}, not {}", x.exp());
        }
    }
}
