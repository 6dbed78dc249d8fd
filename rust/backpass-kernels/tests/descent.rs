//! The optimizers' steps against their formulas in float64, on every instruction set; and one thread
//! against several, bit for bit.

use backpass_kernels::descent::{
    Adagrad, Adam, Average, Descent, Leaf, Lion, Momentum, Order, RmsProp, Scaled, Step, Velocity,
    norm, scale_all, update,
};
use backpass_kernels::isa::Isa;
use backpass_kernels::real::Real;
use backpass_kernels::threads::set_num_threads;
use std::sync::Mutex;

static THREADS: Mutex<()> = Mutex::new(());

const SIZES: [usize; 7] = [156_800, 200, 20_000, 1, 0, 33, 4097];
const RATE: f64 = 0.125;

/// Numbers between -1 and 1 that are exact in float32, a few of them 0.
fn numbers<T: Real>(seed: usize, n: usize) -> Vec<T> {
    (0..n)
        .map(|i| T::of(((i * 7919 + seed * 104_729) % 2001) as f64 / 1024.0 - 0.976_562_5))
        .collect()
}

/// The arrays after a step, those of each leaf together, the gradient last.
fn stepped<T: Real, P: Step<T, W>, const W: usize>(isa: Isa, step: P) -> Vec<Vec<Vec<T>>> {
    let mut leaves: Vec<Vec<Vec<T>>> = SIZES
        .iter()
        .map(|&n| {
            let mut own: Vec<Vec<T>> = (0..=W).map(|k| numbers(k, n)).collect();
            for x in own.iter_mut().skip(1).take(W - 1).flatten() {
                *x = x.std_abs(); // under a root
            }
            own
        })
        .collect();
    let parts: Vec<Leaf<T, W>> = leaves
        .iter_mut()
        .map(|own| Leaf {
            arrays: std::array::from_fn(|k| own[k].as_mut_ptr()),
            gradient: own[W].as_ptr(),
            n: own[0].len(),
        })
        .collect();
    // SAFETY: the arrays are apart and have the lengths.
    unsafe { update(isa, &parts, step) };
    leaves
}

/// Compares a step with `formula`, which is given what belongs to an element, and its gradient.
fn check<T: Real, P: Step<T, W>, const W: usize>(
    step: P,
    formula: impl Fn([f64; W], f64) -> [f64; W],
) {
    let unit = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let before: Vec<[Vec<T>; 5]> =
        SIZES.iter().map(|&n| std::array::from_fn(|k| numbers(k, n))).collect();
    for isa in Isa::available() {
        let _guard = THREADS.lock();
        let [one, three] = [1, 3].map(|threads| {
            set_num_threads(threads);
            stepped(isa, step)
        });
        for ((leaf, same), old) in one.iter().zip(&three).zip(&before) {
            for i in 0..leaf[0].len() {
                let own = std::array::from_fn(|k| {
                    let x = old[k][i].wide();
                    if k == 0 { x } else { x.abs() }
                });
                let exact = formula(own, old[W][i].wide());
                for k in 0..W {
                    let found = leaf[k][i].wide();
                    assert_eq!(found.to_bits(), same[k][i].wide().to_bits());
                    let bound = 32.0 * unit * exact[k].abs().max(1.0);
                    assert!(
                        (found - exact[k]).abs() <= bound,
                        "array {k}, element {i} on {}: {found}, exactly {}",
                        isa.name(),
                        exact[k]
                    );
                }
            }
        }
    }
}

fn steps_follow_their_formulas<T: Real>() {
    let t = T::of;
    check::<T, _, 1>(Descent { learning_rate: t(RATE), weight_decay: t(0.25) }, |[w], g| {
        [w - RATE * (g + 0.25 * w)]
    });
    let momentum = Momentum { learning_rate: t(RATE), momentum: t(0.75), rest: t(0.25) };
    check::<T, _, 2>(momentum, |[w, v], g| {
        let v = 0.75 * v + 0.25 * g;
        [w - RATE * v, v]
    });
    for nesterov in [false, true] {
        let velocity = Velocity {
            learning_rate: t(RATE),
            momentum: t(0.75),
            rest: t(0.5),
            weight_decay: t(0.25),
            nesterov,
        };
        check::<T, _, 2>(velocity, |[w, v], g| {
            let d = g + 0.25 * w;
            let v = 0.75 * v + 0.5 * d;
            [w - RATE * if nesterov { d + 0.75 * v } else { v }, v]
        });
    }
    let adam = Adam {
        length: t(RATE),
        spread: t(2.0),
        rest1: t(0.25),
        beta2: t(0.875),
        rest2: t(0.125),
        eps: t(0.5),
        weight_decay: t(0.25),
        keep: t(0.9375),
    };
    let moments = |w: f64, m: f64, v: f64, g: f64| {
        let d = g + 0.25 * w;
        (0.75 * m + 0.25 * d, 0.875 * v + 0.125 * d * d)
    };
    let moved = |w: f64, m: f64, v: f64| 0.9375 * w - RATE * m / (2.0 * v.sqrt() + 0.5);
    check::<T, _, 3>(adam, |[w, m, v], g| {
        let (m, v) = moments(w, m, v, g);
        [moved(w, m, v), m, v]
    });
    check::<T, _, 4>(adam, |[w, m, v, top], g| {
        let (m, v) = moments(w, m, v, g);
        [moved(w, m, top.max(v)), m, v, top.max(v)]
    });
    let rmsprop = |centered, moving| RmsProp {
        learning_rate: t(RATE),
        alpha: t(0.75),
        rest: t(0.25),
        eps: t(0.5),
        weight_decay: t(0.25),
        momentum: t(0.5),
        centered,
        moving,
    };
    let square = |w: f64, v: f64, g: f64| {
        let d = g + 0.25 * w;
        (d, 0.75 * v + 0.25 * d * d)
    };
    check::<T, _, 2>(rmsprop(false, false), |[w, v], g| {
        let (d, v) = square(w, v, g);
        [w - RATE * d / (v.sqrt() + 0.5), v]
    });
    check::<T, _, 3>(rmsprop(false, true), |[w, v, velocity], g| {
        let (d, v) = square(w, v, g);
        let velocity = 0.5 * velocity + d / (v.sqrt() + 0.5);
        [w - RATE * velocity, v, velocity]
    });
    check::<T, _, 2>(
        Adagrad { learning_rate: t(RATE), eps: t(0.5), weight_decay: t(0.25) },
        |[w, s], g| {
            let d = g + 0.25 * w;
            let s = s + d * d;
            [w - RATE * d / (s.sqrt() + 0.5), s]
        },
    );
    let lion = Lion {
        learning_rate: t(RATE),
        beta1: t(0.75),
        rest1: t(0.25),
        beta2: t(0.875),
        rest2: t(0.125),
        keep: t(0.9375),
    };
    check::<T, _, 2>(lion, |[w, m], g| {
        let along = 0.75 * m + 0.25 * g;
        let sign = if along == 0.0 { 0.0 } else { along.signum() };
        [0.9375 * w - RATE * sign, 0.875 * m + 0.125 * g]
    });
    check::<T, _, 1>(Average { rest: t(0.25) }, |[mean], w| [0.75 * mean + 0.25 * w]);
}

#[test]
fn steps_follow_their_formulas_on_any_number_of_threads() {
    steps_follow_their_formulas::<f32>();
    steps_follow_their_formulas::<f64>();
}

/// A mean of squares that is less than the square of the mean.
#[test]
fn a_variance_is_never_negative() {
    for isa in Isa::available() {
        let (mut w, mut v, mut mean) = ([1.0f32; 5], [1.0f32; 5], [2.0f32; 5]);
        let g = [2.0f32; 5];
        let arrays = [w.as_mut_ptr(), v.as_mut_ptr(), mean.as_mut_ptr()];
        let step = RmsProp {
            learning_rate: 0.25,
            alpha: 1.0,
            rest: 0.0,
            eps: 0.5,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: true,
            moving: false,
        };
        // SAFETY: the arrays have the length.
        unsafe { update(isa, &[Leaf { arrays, gradient: g.as_ptr(), n: 5 }], step) };
        assert_eq!(w, [0.0; 5]);
    }
}

fn norms_and_multiples<T: Real>() {
    let arrays: Vec<Vec<T>> = SIZES.iter().map(|&n| numbers(3, n)).collect();
    let parts: Vec<(*const T, usize)> = arrays.iter().map(|x| (x.as_ptr(), x.len())).collect();
    let all = || arrays.iter().flatten().map(|x| x.wide());
    let exact = [
        (Order::One, all().map(f64::abs).sum::<f64>()),
        (Order::Two, all().map(|x| x * x).sum::<f64>().sqrt()),
        (Order::Infinity, all().map(f64::abs).fold(0.0, f64::max)),
    ];
    for isa in Isa::available() {
        let _guard = THREADS.lock();
        for (order, expected) in exact {
            let [one, three] = [1, 3].map(|threads| {
                set_num_threads(threads);
                // SAFETY: the arrays have the lengths.
                unsafe { norm(isa, &parts, order) }
            });
            assert_eq!(one.to_bits(), three.to_bits());
            assert!((one - expected).abs() <= 1e-12 * expected, "{order:?}: {one}, {expected}");
        }
        let mut made: Vec<Vec<T>> = SIZES.iter().map(|&n| numbers(4, n)).collect();
        let scaled: Vec<Scaled<T>> = arrays
            .iter()
            .zip(&mut made)
            .map(|(x, y)| Scaled { from: x.as_ptr(), to: y.as_mut_ptr(), n: x.len() })
            .collect();
        // SAFETY: the arrays have the lengths.
        unsafe { scale_all(isa, &scaled, 0.3) };
        for (x, y) in arrays.iter().flatten().zip(made.iter().flatten()) {
            assert_eq!((*x * T::of(0.3)).wide().to_bits(), y.wide().to_bits());
        }
    }
}

#[test]
fn norms_and_multiples_are_those_of_all_arrays() {
    norms_and_multiples::<f32>();
    norms_and_multiples::<f64>();
}

#[test]
fn norms_tell_of_what_is_not_finite() {
    for isa in Isa::available() {
        for order in [Order::One, Order::Two, Order::Infinity] {
            for at in [0, 40, 8191, 8200, 20_000] {
                let of = |value: f32| {
                    let mut x = vec![1.0f32; 20_001];
                    x[at] = value;
                    // SAFETY: the array has the length.
                    unsafe { norm(isa, &[(x.as_ptr(), x.len())], order) }
                };
                assert!(of(f32::NAN).is_nan(), "{order:?}");
                assert!(of(f32::NEG_INFINITY) == f64::INFINITY);
                assert!(of(f32::MAX).is_finite());
            }
        }
    }
}
