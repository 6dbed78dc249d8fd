//! Pooling on every instruction set and any number of threads, against plain loops.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::pooling::{Arrays, Axis, Images, Pooling, Window, pool};
use backpass_kernels::real::Real;
use backpass_kernels::threads::set_num_threads;
use backpass_kernels::transpose::transpose;
use proptest::prelude::*;

const ALL: [Pooling; 5] =
    [Pooling::Largest, Pooling::Picked, Pooling::Won, Pooling::Mean, Pooling::Spread];

/// What pooling gives, and the winners.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    numbers: Vec<f64>,
    winners: Vec<u8>,
}

fn is_back(pooling: Pooling) -> bool {
    matches!(pooling, Pooling::Won | Pooling::Spread)
}

/// How many numbers and winners there are.
fn sizes(images: Images, axes: [&Axis; 2], pooling: Pooling) -> [usize; 3] {
    let all = images.outer * images.channels;
    let sources = all * axes[0].sources * axes[1].sources;
    let targets = all * axes[0].targets() * axes[1].targets();
    [sources, targets, if pooling == Pooling::Won { sources } else { targets }]
}

/// With plain loops, from one thread.
fn plain<T: Real>(
    pooling: Pooling,
    images: Images,
    axes: [&Axis; 2],
    width: usize,
    source: &[T],
    given: &[u8],
) -> Found {
    let [rows, columns] = axes;
    let channels = images.channels;
    let [_, targets, watched] = sizes(images, axes, pooling);
    let mut found = Found { numbers: vec![0.0; targets], winners: given[..watched].to_vec() };
    for i in 0..targets {
        let (pixel, channel) = (i / channels, i % channels);
        let (line, column) = (pixel / columns.targets(), pixel % columns.targets());
        let (image, row) = (line / rows.targets(), line % rows.targets());
        let mut best: Option<(f64, usize)> = None;
        let mut sum = 0.0;
        for r in rows.taps(row) {
            for c in columns.taps(column) {
                let at = ((image * rows.sources + r.at) * columns.sources + c.at) * channels;
                let x = source[at + channel].wide();
                let number = r.number * width + c.number;
                let count = (r.count * c.count) as f64;
                sum += match pooling {
                    Pooling::Picked if usize::from(given[i]) != number => 0.0,
                    Pooling::Won if usize::from(given[at + channel]) != number => 0.0,
                    Pooling::Mean | Pooling::Spread => x / count,
                    _ => x,
                };
                if best.is_none_or(|(y, _)| x > y) {
                    best = Some((x, number));
                }
            }
        }
        found.numbers[i] = sum;
        if pooling == Pooling::Largest {
            let (x, number) = best.unwrap_or((f64::NEG_INFINITY, 0));
            (found.numbers[i], found.winners[i]) = (x, number as u8);
        }
    }
    found
}

fn run<T: Real>(
    isa: Isa,
    pooling: Pooling,
    images: Images,
    axes: [&Axis; 2],
    width: usize,
    source: &[T],
    given: &[u8],
) -> Found {
    let [_, targets, watched] = sizes(images, axes, pooling);
    let mut target = vec![T::ZERO; targets];
    let mut winners = given[..watched].to_vec();
    let arrays = Arrays {
        source: source.as_ptr(),
        target: target.as_mut_ptr(),
        winner: winners.as_mut_ptr(),
    };
    // SAFETY: the arrays have these sizes, and the processor has the instructions.
    unsafe { pool(isa, pooling, images, axes, width, arrays) };
    Found { numbers: target.iter().map(|x| x.wide()).collect(), winners }
}

fn check<T: Real>(images: Images, shapes: [Window; 2], sizes_of: [usize; 2], seed: u64) {
    let axes = [0, 1].map(|d| {
        let Window { window, stride, before, dilation } = shapes[d];
        let n = sizes_of[d].max(dilation * (window - 1) + 1);
        let places = (n + 2 * before - dilation * (window - 1) - 1) / stride + 1;
        Axis::windows(n, places, shapes[d], seed.is_multiple_of(2))
    });
    let back = [axes[0].transposed(), axes[1].transposed()];
    let width = shapes[1].window;
    let count = shapes[0].window * width;
    for pooling in ALL {
        let axes = if is_back(pooling) { [&back[0], &back[1]] } else { [&axes[0], &axes[1]] };
        let [sources, _, watched] = sizes(images, axes, pooling);
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            state >> 33
        };
        // Few different numbers: of several that are the largest the first wins.
        let source: Vec<T> = (0..sources).map(|_| T::of((next() % 17) as f64 - 8.0)).collect();
        let given: Vec<u8> = (0..watched).map(|_| (next() % count as u64) as u8).collect();
        let right = plain(pooling, images, axes, width, &source, &given);
        for isa in Isa::available() {
            set_num_threads(1);
            let one = run(isa, pooling, images, axes, width, &source, &given);
            set_num_threads(3);
            assert_eq!(run(isa, pooling, images, axes, width, &source, &given), one);
            assert_eq!(one.winners, right.winners, "{pooling:?} {isa:?}");
            for (a, b) in one.numbers.iter().zip(&right.numbers) {
                assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{pooling:?} {isa:?} {a} {b}");
            }
        }
    }
}

fn window() -> impl Strategy<Value = Window> {
    (1usize..4, 1usize..4, 0usize..2, 1usize..3).prop_map(|(window, stride, before, dilation)| {
        Window { window, stride, before: before.min(window / 2), dilation }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pooling_is_what_it_says(
        (outer, channels) in (1usize..40, prop_oneof![Just(1usize), 2usize..40]),
        shapes in [window(), window()],
        sizes in [1usize..14, 1usize..14],
        seed: u64,
    ) {
        let images = Images { outer, channels };
        check::<f32>(images, shapes, sizes, seed);
        check::<f64>(images, shapes, sizes, seed);
    }

    #[test]
    fn pairs_are_what_they_say(
        outer in 1usize..20,
        sizes in [2usize..9, 2usize..80],
        seed: u64,
    ) {
        let pair = Window { window: 2, stride: 2, before: 0, dilation: 1 };
        let images = Images { outer, channels: 1 };
        check::<f32>(images, [pair; 2], sizes, seed);
        check::<f64>(images, [pair; 2], sizes, seed);
    }

    #[test]
    fn transposes_are_transposed(
        (stack, rows, columns) in (1usize..6, 1usize..90, 1usize..300),
    ) {
        let x: Vec<f32> = (0..stack * rows * columns).map(|i| i as f32).collect();
        for isa in Isa::available() {
            let mut y = vec![f32::NAN; x.len()];
            // SAFETY: both have the size.
            unsafe { transpose(isa, stack, rows, columns, x.as_ptr(), y.as_mut_ptr()) };
            for (i, &found) in y.iter().enumerate() {
                let (matrix, rest) = (i / (rows * columns), i % (rows * columns));
                let (column, row) = (rest / rows, rest % rows);
                prop_assert_eq!(found, x[(matrix * rows + row) * columns + column]);
            }
        }
    }
}
