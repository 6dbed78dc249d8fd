//! Convolutions of whole numbers, which every summation gives exactly: all passes, windows of every
//! kind, any layout, on every instruction set; and one thread against several, bit for bit.

use std::sync::Mutex;

use backpass_kernels::elementwise::Pick;
use backpass_kernels::isa::Isa;
use backpass_kernels::network::convolution::{Images, Windows, forward, input, weight};
use backpass_kernels::threads::{num_threads, set_num_threads};
use proptest::prelude::*;

/// Elements about an output that are not its own.
const MARGIN: usize = 256;

/// Tests that change the number of threads take turns.
static THREADS: Mutex<()> = Mutex::new(());

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

/// Four axes in memory: in their order, with the second one innermost, with gaps, or backwards.
struct Array<T> {
    memory: Vec<T>,
    values: Vec<i64>,
    shape: [usize; 4],
    origin: usize,
    strides: [isize; 4],
}

impl<T: Pick> Array<T> {
    fn new(seed: u64, shape: [usize; 4], layout: u8) -> Self {
        let [_, second, third, fourth] = shape.map(|n| n as isize);
        let area = third * fourth;
        let strides = match layout {
            0 => [second * area, area, fourth, 1],
            1 => [second * area, 1, fourth * second, second],
            2 => [2 * second * area + 6, 2 * area, 2 * fourth, 2],
            _ => [-second * area, area, -fourth, 1],
        };
        let ends = |sign: isize| -> usize {
            let reach = |(n, step): (&usize, &isize)| (*n as isize - 1) * (step * sign).max(0);
            shape.iter().zip(&strides).map(reach).sum::<isize>() as usize
        };
        let (origin, end) = (ends(-1), ends(1));
        let values = whole(seed, shape.iter().product());
        let mut made =
            Self { memory: vec![T::NAN; origin + end + 1], values, shape, origin, strides };
        for i in 0..made.values.len() {
            let index = made.index(i);
            let place: isize = index.iter().zip(strides).map(|(&i, step)| i as isize * step).sum();
            made.memory[(origin as isize + place) as usize] = T::of(made.values[i] as f64);
        }
        made
    }

    fn index(&self, mut i: usize) -> [usize; 4] {
        let mut index = [0; 4];
        for d in (0..4).rev() {
            (index[d], i) = (i % self.shape[d], i / self.shape[d]);
        }
        index
    }

    fn images(&self) -> Images<T> {
        Images { data: self.memory[self.origin..].as_ptr(), strides: self.strides }
    }
}

#[derive(Clone, Debug)]
struct Case {
    windows: Windows,
    seed: u64,
    layouts: [u8; 3],
}

impl Case {
    fn shapes(&self) -> [[usize; 4]; 3] {
        let Windows { batch, channels, out, groups, size, places, window, .. } = self.windows;
        [
            [batch, channels, size[0], size[1]],
            [out, channels / groups, window[0], window[1]],
            [batch, out, places[0], places[1]],
        ]
    }

    /// Calls `f` with the elements of input, weight and output, in their order, that are multiplied
    /// with each other.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Windows {
            batch,
            channels,
            out,
            groups,
            size,
            places,
            window,
            stride,
            before,
            dilation,
        } = self.windows;
        let (inner, outer) = (channels / groups, out / groups);
        for n in 0..batch {
            for o in 0..out {
                for c in 0..inner {
                    for p in 0..places[0] * places[1] {
                        for t in 0..window[0] * window[1] {
                            let at = |a: usize, p: usize, t: usize| {
                                let i = (p * stride[a] + t * dilation[a]) as isize - before[a];
                                (0..size[a] as isize).contains(&i).then_some(i as usize)
                            };
                            let row = at(0, p / places[1], t / window[1]);
                            let column = at(1, p % places[1], t % window[1]);
                            if let (Some(row), Some(column)) = (row, column) {
                                let channel = o / outer * inner + c;
                                f(
                                    ((n * channels + channel) * size[0] + row) * size[1] + column,
                                    (o * inner + c) * window[0] * window[1] + t,
                                    (n * out + o) * places[0] * places[1] + p,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let axis = (1usize..11, 1usize..6, 1usize..4, 1usize..4, -1isize..4, -1isize..4);
    let channels = prop_oneof![
        (Just(1usize), 1usize..40, 1usize..40),
        (2usize..4, 1usize..6, 1usize..18),
        (2usize..40, Just(1), Just(1)),
    ];
    (axis.clone(), axis, channels, 1usize..6, any::<u64>(), [0u8..4, 0u8..4, 0u8..4]).prop_map(
        |(rows, columns, (groups, inner, outer), batch, seed, layouts)| {
            // The window is cut down to what there is.
            let fit = |axis: (usize, usize, usize, usize, isize, isize)| {
                let (size, window, stride, dilation, before, after) = axis;
                let wide = (size as isize + before + after).max(1) as usize;
                let window = window.min((wide - 1) / dilation + 1);
                let places = (wide - dilation * (window - 1) - 1) / stride + 1;
                (size, window, stride, dilation, before, places)
            };
            let (rows, columns) = (fit(rows), fit(columns));
            let windows = Windows {
                batch,
                channels: groups * inner,
                out: groups * outer,
                groups,
                size: [rows.0, columns.0],
                places: [rows.5, columns.5],
                window: [rows.1, columns.1],
                stride: [rows.2, columns.2],
                before: [rows.4, columns.4],
                dilation: [rows.3, columns.3],
            };
            Case { windows, seed, layouts }
        },
    )
}

/// An output of (batch, height, width, channels) as one of (batch, channels, height, width).
fn channels_second<T: Copy>(made: &[T], [batch, channels, height, width]: [usize; 4]) -> Vec<T> {
    let area = height * width;
    (0..batch * channels * area)
        .map(|i| {
            let (n, c, p) = (i / (channels * area), i / area % channels, i % area);
            made[(n * area + p) * channels + c]
        })
        .collect()
}

fn check<T: Pick>(isa: Isa, case: &Case) {
    let windows = &case.windows;
    let [x_shape, w_shape, y_shape] = case.shapes();
    let x = Array::<T>::new(case.seed, x_shape, case.layouts[0]);
    let w = Array::<T>::new(case.seed ^ 1, w_shape, case.layouts[1]);
    let y = Array::<T>::new(case.seed ^ 2, y_shape, case.layouts[2]);
    let bias = whole(case.seed ^ 3, windows.out);
    let bias_values: Vec<T> = bias.iter().map(|&b| T::of(b as f64)).collect();
    let area = y_shape[2] * y_shape[3];
    let mut right_y: Vec<i64> = (0..y.values.len()).map(|i| bias[i / area % windows.out]).collect();
    let (mut right_x, mut right_w) = (vec![0; x.values.len()], vec![0; w.values.len()]);
    case.each(|i, j, k| {
        right_y[k] += x.values[i] * w.values[j];
        right_x[i] += y.values[k] * w.values[j];
        right_w[j] += y.values[k] * x.values[i];
    });
    // What lies about an output stays as it is.
    let fresh = |n: usize| vec![T::NAN; n + 2 * MARGIN];
    let (mut made_y, mut made_x, mut made_w) =
        (fresh(right_y.len()), fresh(right_x.len()), fresh(right_w.len()));
    // SAFETY: the arrays have the shapes that `windows` tells of.
    unsafe {
        let [y_to, x_to, w_to] =
            [&mut made_y, &mut made_x, &mut made_w].map(|made| made[MARGIN..].as_mut_ptr());
        forward(isa, windows, x.images(), w.images(), bias_values.as_ptr(), y_to);
        input(isa, windows, y.images(), w.images(), x_to);
        weight(isa, windows, y.images(), x.images(), w_to);
    }
    let same = |what: &str, made: &[T], right: &[i64]| {
        for (i, (&made, &right)) in made.iter().zip(right).enumerate() {
            assert!(made.wide() == right as f64, "{what}[{i}]: {made:?}, not {right}; {case:?}");
        }
    };
    let inside = |made: &[T]| {
        let (before, rest) = made.split_at(MARGIN);
        let (inside, after) = rest.split_at(rest.len() - MARGIN);
        assert!(before.iter().chain(after).all(|x| x.wide().is_nan()), "written outside: {case:?}");
        inside.to_vec()
    };
    same("output", &channels_second(&inside(&made_y), y_shape), &right_y);
    same("input", &channels_second(&inside(&made_x), x_shape), &right_x);
    same("weight", &inside(&made_w), &right_w);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn all_passes_are_right_in_any_layout(case in case()) {
        let _turn = THREADS.lock();
        for isa in Isa::available() {
            check::<f32>(isa, &case);
            check::<f64>(isa, &case);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let _turn = THREADS.lock();
    let before = num_threads();
    for (groups, channels, out, window) in
        [(1, 20, 33, 5), (1, 1, 32, 5), (24, 24, 24, 3), (2, 6, 40, 1)]
    {
        let windows = Windows {
            batch: 5,
            channels,
            out,
            groups,
            size: [17, 16],
            places: [17 + 2 - window + 1, 16 + 2 - window + 1],
            window: [window; 2],
            stride: [1; 2],
            before: [1; 2],
            dilation: [1; 2],
        };
        let case = Case { windows, seed: 7, layouts: [0; 3] };
        let [x, w, y] = case.shapes().map(|shape| {
            let mut array = Array::<f32>::new(3, shape, 1);
            array.memory.iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32).sin());
            array
        });
        for isa in Isa::available() {
            let run = |threads: usize| {
                set_num_threads(threads);
                let fresh = |array: &Array<f32>| vec![0f32; array.values.len()];
                let (mut made_x, mut made_w, mut made_y) = (fresh(&x), fresh(&w), fresh(&y));
                // SAFETY: the arrays have the shapes that `windows` tells of.
                unsafe {
                    let none = std::ptr::null();
                    forward(isa, &windows, x.images(), w.images(), none, made_y.as_mut_ptr());
                    input(isa, &windows, y.images(), w.images(), made_x.as_mut_ptr());
                    weight(isa, &windows, y.images(), x.images(), made_w.as_mut_ptr());
                }
                [made_x, made_w, made_y]
                    .map(|made| made.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            };
            let alone = run(1);
            for threads in [2, 3, 7] {
                assert_eq!(alone, run(threads), "{isa:?}, {threads} threads, {windows:?}");
            }
        }
    }
    set_num_threads(before);
}
