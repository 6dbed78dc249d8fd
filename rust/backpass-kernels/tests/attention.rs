//! Attention of any shape and layout against a plain one in double precision, on every instruction
//! set; and one thread against several, bit for bit.

use backpass_kernels::elementwise::Pick;
use backpass_kernels::isa::Isa;
use backpass_kernels::matmul::{Matrix, STACK_DIMS};
use backpass_kernels::network::attention::{
    Answer, Attention, Cotangents, Heads, Mask, attention, attention_back,
};
use backpass_kernels::threads::{num_threads, set_num_threads};
use proptest::prelude::*;
use std::sync::Mutex;

/// Numbers between -1 and 1, in a fixed order.
fn numbers<T: Pick>(seed: u64, n: usize) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            T::of(((state >> 33) as i64 % 33 - 16) as f64 / 16.0)
        })
        .collect()
}

/// How the matrices of a stack lie in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// One after the other.
    Apart,
    /// Row by row of all: projections that are divided among heads.
    Beside,
    /// Turned.
    Turned,
}

fn heads<T>(x: &[T], count: usize, rows: usize, columns: usize, layout: Layout) -> Heads<T> {
    let (size, all) = ((rows * columns) as isize, (count * columns) as isize);
    let (step, row, column) = match layout {
        Layout::Apart => (size, columns as isize, 1),
        Layout::Beside => (columns as isize, all, 1),
        Layout::Turned => (size, 1, rows as isize),
    };
    let mut stack = [0; STACK_DIMS];
    stack[2] = step;
    Heads { matrix: Matrix { data: x.as_ptr(), rows: row, columns: column }, stack }
}

fn at<T: Pick>(x: &Heads<T>, head: usize, i: usize, j: usize) -> f64 {
    let offset =
        head as isize * x.stack[2] + i as isize * x.matrix.rows + j as isize * x.matrix.columns;
    // SAFETY: within the operand.
    unsafe { *x.matrix.data.offset(offset) }.wide()
}

/// All that is computed: averages, logarithms, and the cotangents of query, key, value and mask.
type Results = [Vec<f64>; 6];

#[derive(Clone, Copy, Debug)]
struct Case {
    count: usize,
    n: usize,
    m: usize,
    d: usize,
    e: usize,
    layout: Layout,
    causal: bool,
    masked: bool,
}

struct Operands<T> {
    query: Vec<T>,
    key: Vec<T>,
    value: Vec<T>,
    mask: Vec<T>,
    g: Vec<T>,
}

impl Case {
    fn operands<T: Pick>(&self) -> Operands<T> {
        let Self { count, n, m, d, e, .. } = *self;
        Operands {
            query: numbers(1, count * n * d),
            key: numbers(2, count * m * d),
            value: numbers(3, count * m * e),
            mask: numbers(4, n * m),
            g: numbers(5, count * n * e),
        }
    }

    fn attention<T: Pick>(&self, isa: Isa, held: &Operands<T>) -> Attention<T> {
        let Self { count, n, m, d, e, layout, causal, masked } = *self;
        let mut stack = [1; STACK_DIMS];
        stack[2] = count;
        let mut mask = heads(&held.mask, 1, n, m, Layout::Apart);
        mask.stack[2] = 0;
        Attention {
            isa,
            stack,
            n,
            m,
            d,
            e,
            query: heads(&held.query, count, n, d, layout),
            key: heads(&held.key, count, m, d, layout),
            value: heads(&held.value, count, m, e, layout),
            mask: if masked { Mask::Add(mask) } else { Mask::None },
            causal,
            scale: T::HALF,
            dropout: None,
        }
    }

    fn run<T: Pick>(&self, isa: Isa) -> Results {
        let Self { count, n, m, d, e, .. } = *self;
        let held = self.operands::<T>();
        let this = self.attention(isa, &held);
        let sizes = [n * e, n, n * d, m * d, m * e, n * m].map(|size| count * size);
        let made: [Vec<T>; 6] = sizes.map(|size| vec![T::ZERO; size]);
        let [out, sums, query, key, value, mask] = &made;
        let place = |x: &Vec<T>, rows, columns| heads(x, count, rows, columns, Layout::Apart);
        let answer = Answer {
            out: place(out, n, e),
            logsumexp: place(sums, n, 1),
            g: heads(&held.g, count, n, e, self.layout),
            to_logsumexp: None,
        };
        let to = Cotangents {
            query: Some(place(query, n, d)),
            key: Some(place(key, m, d)),
            value: Some(place(value, m, e)),
            mask: Some(place(mask, n, m)),
        };
        // SAFETY: the operands lie within their memory, the outputs have room.
        unsafe {
            attention(&this, answer.out, sums.as_ptr().cast_mut());
            attention_back(&this, &answer, &to);
        }
        made.map(|x| x.into_iter().map(T::wide).collect())
    }

    /// The formulas.
    fn right(&self) -> Results {
        let Self { count, n, m, d, e, causal, masked, .. } = *self;
        let held = self.operands::<f64>();
        let this = self.attention(Isa::Scalar, &held);
        let g = heads(&held.g, count, n, e, self.layout);
        let sizes = [n * e, n, n * d, m * d, m * e, n * m].map(|size| count * size);
        let mut made: Results = sizes.map(|size| vec![0.0; size]);
        let [out, sums, to_query, to_key, to_value, to_mask] = &mut made;
        for h in 0..count {
            for i in 0..n {
                let reach = if causal { m.min(i + 1) } else { m };
                let score = |j: usize| {
                    let dot = |l| at(&this.query, h, i, l) * at(&this.key, h, j, l);
                    let mask = if masked { held.mask[i * m + j] } else { 0.0 };
                    (0..d).map(dot).sum::<f64>() / 2.0 + mask
                };
                let mass: f64 = (0..reach).map(|j| score(j).exp()).sum();
                sums[h * n + i] = mass.ln();
                let weights: Vec<f64> = (0..reach).map(|j| score(j).exp() / mass).collect();
                let mut inner = 0.0;
                for l in 0..e {
                    let term = |j| weights[j] * at(&this.value, h, j, l);
                    let average = (0..reach).map(term).sum::<f64>();
                    out[(h * n + i) * e + l] = average;
                    inner += average * at(&g, h, i, l);
                }
                for (j, &weight) in weights.iter().enumerate() {
                    let mut pulled = -inner;
                    for l in 0..e {
                        pulled += at(&g, h, i, l) * at(&this.value, h, j, l);
                        to_value[(h * m + j) * e + l] += weight * at(&g, h, i, l);
                    }
                    let pulled = weight * pulled;
                    to_mask[(h * n + i) * m + j] = pulled;
                    for l in 0..d {
                        to_query[(h * n + i) * d + l] += pulled * at(&this.key, h, j, l) / 2.0;
                        to_key[(h * m + j) * d + l] += pulled * at(&this.query, h, i, l) / 2.0;
                    }
                }
            }
        }
        made
    }

    fn check<T: Pick>(&self, unit: f64) {
        let right = self.right();
        for isa in Isa::available() {
            for (which, (mine, right)) in self.run::<T>(isa).iter().zip(&right).enumerate() {
                let scale = right.iter().fold(1.0_f64, |top, x| top.max(x.abs()));
                for (i, (x, y)) in mine.iter().zip(right).enumerate() {
                    let off = (x - y).abs();
                    let what = format!("{self:?}, result {which}[{i}] on {}", isa.name());
                    assert!(off <= 64.0 * unit * scale, "{what}: {x}, but should be {y}");
                }
            }
        }
    }
}

fn layout(kind: u8) -> Layout {
    [Layout::Apart, Layout::Beside, Layout::Turned][usize::from(kind % 3)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_the_formulas_say(
        count in 1_usize..4,
        n in 1_usize..160,
        m in 1_usize..160,
        d in 1_usize..20,
        e in 1_usize..20,
        kind in 0_u8..3,
        causal: bool,
        masked: bool,
    ) {
        let case = Case { count, n, m, d, e, layout: layout(kind), causal, masked };
        case.check::<f32>(f64::from(f32::EPSILON));
        case.check::<f64>(f64::EPSILON);
    }
}

/// The number of threads is the process's.
static THREADS: Mutex<()> = Mutex::new(());

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let _lock = THREADS.lock();
    let before = num_threads();
    for (count, n, m) in [(1, 300, 1200), (3, 700, 90), (5, 200, 600)] {
        let case =
            Case { count, n, m, d: 16, e: 24, layout: Layout::Beside, causal: m < n, masked: true };
        for isa in Isa::available() {
            let runs = [1, 2, 3].map(|threads| {
                set_num_threads(threads);
                case.run::<f32>(isa)
            });
            assert!(runs[0] == runs[1] && runs[0] == runs[2], "{case:?} on {}", isa.name());
        }
    }
    set_num_threads(before);
}
