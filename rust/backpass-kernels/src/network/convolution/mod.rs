//! Convolution: a matrix product whose left operand is not in memory as a matrix.
//!
//! A window's elements lie at the same distances from its corner wherever it stands. So the matrix
//! that has a row for each place and a column for each element of the window ("im2col") need not be
//! made: its element is `x[rows[place] + columns[element]]`, and the micro-kernel ([`tile`]) reads it
//! there, in whatever layout the images have. The right operand's rows are vectors of channels.
//!
//! The three passes are three such products, for each group of channels:
//!
//! | | rows | columns | right operand |
//! |---|---|---|---|
//! | [`forward`] | places | channels x window | the weight |
//! | [`input`] | pixels | output channels x window, turned round | the weight |
//! | [`weight`] | channels x window | places | the cotangent |
//!
//! Outputs have their channels innermost, because these are the vectors. A border of zeros, where
//! there is one, is a copy's ([`frame`]).

mod frame;
mod product;
mod tile;

use crate::isa::Isa;
use crate::real::Real;
use frame::framed;
use product::{Product, Rows, Weights};

/// Images: where the first element lies, and strides in elements along batch, channels, rows and
/// columns.
#[derive(Clone, Copy, Debug)]
pub struct Images<T> {
    /// The element at 0, 0, 0, 0.
    pub data: *const T,
    /// Strides.
    pub strides: [isize; 4],
}

/// The places of a window, and how many of what there are; pairs are along rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub out: usize,
    /// Input and output channels fall into as many groups.
    pub groups: usize,
    /// The input's height and width.
    pub size: [usize; 2],
    /// The output's.
    pub places: [usize; 2],
    /// The window's.
    pub window: [usize; 2],
    /// From place to place.
    pub stride: [usize; 2],
    /// Zeros before the input; what is negative is cut away.
    pub before: [isize; 2],
    /// From element to element of the window.
    pub dilation: [usize; 2],
}

impl Windows {
    /// Channels of the input that an output sees.
    fn inner(&self) -> usize {
        self.channels / self.groups
    }

    /// Channels of the output that see an input.
    fn outer(&self) -> usize {
        self.out / self.groups
    }

    /// Elements of a window, of all channels that it sees.
    fn depth(&self) -> usize {
        self.inner() * self.window[0] * self.window[1]
    }
}

/// The convolution of `x` with `weight` (strides along output channels, channels, rows and columns),
/// and a bias for each output channel, which may be null: an output of (batch, *places, out).
///
/// # Safety
///
/// The operands are readable at every index; `out` is writeable and overlaps none of them; the
/// processor has `isa`.
pub unsafe fn forward<T: Real>(
    isa: Isa,
    windows: &Windows,
    x: Images<T>,
    weight: Images<T>,
    bias: *const T,
    out: *mut T,
) {
    let Windows { batch, stride, places, window, dilation, before, .. } = *windows;
    let last = std::array::from_fn(|a| {
        ((places[a] - 1) * stride[a] + (window[a] - 1) * dilation[a]) as isize - before[a]
    });
    let shape = [batch, windows.channels, windows.size[0], windows.size[1]];
    // SAFETY: the operands are the caller's.
    unsafe {
        let x = framed(isa, shape, x, before.map(|n| -n), last);
        let [of_batch, of_channel, of_row, of_column] = x.images.strides;
        let steps = [of_row * dilation[0] as isize, of_column * dilation[1] as isize];
        let mut columns = Vec::with_capacity(windows.depth());
        for c in 0..windows.inner() as isize {
            for i in 0..window[0] as isize {
                for j in 0..window[1] as isize {
                    columns.push(c * of_channel + i * steps[0] + j * steps[1]);
                }
            }
        }
        let out_step = windows.out as isize;
        let rows = Rows {
            counts: [batch, places[0], places[1]],
            from: [of_batch, of_row * stride[0] as isize, of_column * stride[1] as isize],
            to: [
                out_step * (places[0] * places[1]) as isize,
                out_step * places[1] as isize,
                out_step,
            ],
        };
        let [of_out, of_inner, of_i, of_j] = weight.strides;
        let product = Product {
            isa,
            rows,
            columns: &columns,
            groups: windows.groups,
            n: windows.outer(),
            x: x.images.data,
            x_group: of_channel * windows.inner() as isize,
            weights: Weights {
                data: weight.data,
                group: of_out * windows.outer() as isize,
                outer: (windows.inner(), of_inner),
                taps: window,
                steps: [of_i, of_j],
                column: of_out,
            },
            bias,
            out,
        };
        product.run();
    }
}
