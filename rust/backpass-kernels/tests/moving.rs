//! Reading and adding at lists of places, and the order that sorts, against plain loops.

use backpass_kernels::gather::{Blocks, Move, gather, move_elements, scatter_add};
use backpass_kernels::isa::Isa;
use backpass_kernels::sorting::sorted_order;
use backpass_kernels::threads::set_num_threads;
use proptest::prelude::*;

/// Numbers of very different sizes: sums of them depend on the order.
fn numbers() -> impl Strategy<Value = f32> {
    prop_oneof![
        -2.0f32..2.0,
        -1e9f32..1e9,
        Just(0.0),
        Just(-0.0),
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn places_are_read_and_added_in_their_order(
        (outer, len, block) in (1usize..4, 1usize..20, prop_oneof![Just(1usize), 1usize..200]),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..1500),
        values in prop::collection::vec(-1e6f32..1e6, 997),
    ) {
        let places: Vec<usize> = picks.iter().map(|pick| pick.index(len)).collect();
        let at = |i: usize| values[i % values.len()] * if i.is_multiple_of(3) { 1e-6 } else { 1.0 };
        let x: Vec<f32> = (0..outer * len * block).map(at).collect();
        let g: Vec<f32> = (0..outer * places.len() * block).map(|i| at(i + 5)).collect();
        let (mut read, mut added) = (vec![], vec![0.0f32; x.len()]);
        for o in 0..outer {
            for (i, &place) in places.iter().enumerate() {
                for b in 0..block {
                    let from = (o * len + place) * block + b;
                    read.push(x[from]);
                    added[from] += g[(o * places.len() + i) * block + b];
                }
            }
        }
        let blocks = Blocks { outer, len, block, places: &places };
        for threads in [1, 3] {
            set_num_threads(threads);
            for isa in Isa::available() {
                let (mut out, mut sums) = (vec![f32::NAN; read.len()], vec![0.0f32; x.len()]);
                // SAFETY: the arrays are as long as they are said to be.
                unsafe {
                    gather(blocks, x.as_ptr(), out.as_mut_ptr());
                    scatter_add(isa, blocks, g.as_ptr(), sums.as_mut_ptr());
                }
                prop_assert_eq!(&out, &read);
                prop_assert_eq!(&sums, &added);
            }
        }
    }

    #[test]
    fn numbers_are_sorted_and_put_back(
        values in prop_oneof![
            prop::collection::vec(numbers(), 1..40),
            prop::collection::vec(numbers(), 1100..3000),
            prop::collection::vec((0u32..3).prop_map(|k| 1.0 + k as f32), 1100..2000),
        ],
        nearby in any::<bool>(),
    ) {
        let n = values.len();
        let rank = |x: f64| (x.is_nan(), if x.is_nan() || x == 0.0 { 0.0 } else { x });
        // In float64 also numbers that differ in their last bits only.
        let wide: Vec<f64> = values
            .iter()
            .map(|&x| f64::from(x))
            .map(|x| if nearby && x.is_finite() { 1.0 + x * 1e-16 } else { x })
            .collect();
        let mut right: Vec<isize> = (0..n as isize).collect();
        right.sort_by(|&a, &b| {
            let (a, b) = (rank(wide[a as usize]), rank(wide[b as usize]));
            a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).expect("no nan"))
        });
        let mut order = vec![-1; n];
        // SAFETY: the arrays are as long as they are said to be, here and below.
        unsafe { sorted_order(1, n, wide.as_ptr(), order.as_mut_ptr()) };
        prop_assert_eq!(&order, &right);
        let mut single: Vec<isize> = (0..n as isize).collect();
        single.sort_by(|&a, &b| {
            let (a, b) = (rank(values[a as usize].into()), rank(values[b as usize].into()));
            a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).expect("no nan"))
        });
        // SAFETY: as above.
        unsafe { sorted_order(1, n, values.as_ptr(), order.as_mut_ptr()) };
        prop_assert_eq!(&order, &single);
        let (mut taken, mut back, mut sums) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let places = order.as_ptr();
        // SAFETY: as above.
        let done = unsafe {
            [
                move_elements(Move::Take, 1, n, n, wide.as_ptr(), places, taken.as_mut_ptr()),
                move_elements(Move::Put, 1, n, n, taken.as_ptr(), places, back.as_mut_ptr()),
                move_elements(Move::Add, 1, n, n, taken.as_ptr(), places, sums.as_mut_ptr()),
            ]
        };
        prop_assert_eq!(done, [true; 3]);
        for i in 0..n {
            prop_assert_eq!(taken[i].to_bits(), wide[order[i] as usize].to_bits());
            prop_assert_eq!(back[i].to_bits(), wide[i].to_bits());
            prop_assert!(sums[i] == wide[i] || wide[i].is_nan());
        }
        order[0] = n as isize;
        // SAFETY: as above.
        let refused = unsafe {
            move_elements(Move::Take, 1, n, n, wide.as_ptr(), order.as_ptr(), taken.as_mut_ptr())
        };
        prop_assert!(!refused);
    }
}
