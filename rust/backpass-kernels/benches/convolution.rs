//! Convolutions of a small network, on one thread and on all: `cargo bench --bench convolution`.
//! Minimum and median in microseconds, and GF/s.

use std::fmt::Write;
use std::time::Instant;

use backpass_kernels::isa::Isa;
use backpass_kernels::network::convolution::{Images, Windows, forward, input, weight};
use backpass_kernels::threads::{num_threads, set_num_threads};

const ROUNDS: usize = 40;

/// Batch, channels, side, output channels, window, padding, groups.
type Case = (usize, usize, usize, usize, usize, usize, usize);

const CASES: &[Case] = &[
    (32, 32, 12, 64, 5, 0, 1),
    (32, 32, 14, 64, 5, 0, 1),
    (32, 32, 14, 64, 5, 2, 1),
    (1, 32, 12, 64, 5, 0, 1),
    (32, 1, 28, 32, 5, 0, 1),
    (1, 1, 28, 32, 5, 0, 1),
    (128, 32, 12, 64, 5, 0, 1),
    (8, 256, 14, 256, 3, 1, 1),
    (8, 256, 14, 256, 1, 0, 1),
    (8, 3, 64, 64, 3, 1, 1),
    (8, 64, 28, 64, 3, 1, 4),
    (8, 64, 28, 64, 3, 1, 64),
    (16, 64, 28, 3, 3, 1, 1),
];

fn images(data: &[f32], channels: usize, side: [usize; 2], last: bool) -> Images<f32> {
    let [c, h, w] = [channels, side[0], side[1]].map(|n| n as isize);
    let strides = if last { [c * h * w, 1, w * c, c] } else { [c * h * w, h * w, w, 1] };
    Images { data: data.as_ptr(), strides }
}

fn main() {
    let isa = Isa::current();
    let all = num_threads();
    println!("float32 on {}, microseconds best/median (GF/s), on 1 and {all} threads", isa.name());
    for &(batch, channels, side, out, window, padding, groups) in CASES {
        let places = side + 2 * padding - window + 1;
        let windows = Windows {
            batch,
            channels,
            out,
            groups,
            size: [side; 2],
            places: [places; 2],
            window: [window; 2],
            stride: [1; 2],
            before: [padding as isize; 2],
            dilation: [1; 2],
        };
        let numbers = |n: usize| (0..n).map(|i| (i % 13) as f32 - 6.0).collect::<Vec<_>>();
        let x = numbers(batch * channels * side * side);
        let w = numbers(out * channels / groups * window * window);
        let bias = numbers(out);
        let mut y = numbers(batch * out * places * places);
        let flops =
            2.0 * (batch * out * places * places * channels / groups * window * window) as f64;
        let name = format!(
            "{batch} x {channels}x{side}x{side} -> {out}, {window}x{window} pad {padding}, {groups} groups"
        );
        println!("{name}");
        let (mut gx, mut gw) = (x.clone(), w.clone());
        for pass in ["forward", "input", "weight"] {
            let mut line = format!("    {pass:8}");
            for last in [false, true] {
                for threads in [1, all] {
                    set_num_threads(threads);
                    let mut times: Vec<f64> = (0..ROUNDS)
                        .map(|_| {
                            let start = Instant::now();
                            // SAFETY: the vectors have the sizes that `windows` tells of.
                            unsafe {
                                let w = images(&w, channels / groups, [window; 2], false);
                                if pass == "forward" {
                                    let x = images(&x, channels, [side; 2], last);
                                    forward(isa, &windows, x, w, bias.as_ptr(), y.as_mut_ptr());
                                } else if pass == "weight" {
                                    let x = images(&x, channels, [side; 2], last);
                                    let y = images(&y, out, [places; 2], last);
                                    weight(isa, &windows, y, x, gw.as_mut_ptr());
                                } else {
                                    let y = images(&y, out, [places; 2], last);
                                    input(isa, &windows, y, w, gx.as_mut_ptr());
                                }
                            }
                            start.elapsed().as_secs_f64()
                        })
                        .collect();
                    times.sort_by(f64::total_cmp);
                    let [best, median] = [times[0], times[ROUNDS / 2]].map(|t| t * 1e6);
                    let layout = if last { "nhwc" } else { "nchw" };
                    write!(
                        line,
                        "  {layout}{threads} {best:.0}/{median:.0} ({:.0})",
                        flops / best / 1e3
                    )
                    .unwrap();
                }
            }
            println!("{line}");
        }
    }
}
