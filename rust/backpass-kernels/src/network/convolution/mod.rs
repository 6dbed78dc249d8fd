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

mod dots;
mod frame;
mod product;
mod spans;
mod tile;
mod weight;

pub use weight::weight;

use crate::isa::Isa;
use crate::real::Real;
use dots::FEW;
use frame::channels_last;
use product::{Product, Steps, Weight};
use spans::Axis;
use tile::Left;

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

    /// Whether each channel has a window of its own ("depthwise"): channels are then vectors on both
    /// sides.
    fn left(&self) -> Left {
        let alone = self.inner() == 1 && self.outer() == 1 && self.groups > 1;
        if alone { Left::Each } else { Left::One }
    }

    /// Along rows (0) or columns (1).
    fn axis(&self, a: usize) -> Axis {
        Axis {
            size: self.size[a],
            places: self.places[a],
            window: self.window[a],
            stride: self.stride[a],
            before: self.before[a],
            dilation: self.dilation[a],
        }
    }

    /// Elements of an input and an output.
    fn elements(&self) -> usize {
        let area = |[height, width]: [usize; 2]| height * width;
        self.channels * area(self.size) + self.out * area(self.places)
    }
}

/// Where the window's elements are, for each of some channels `step` apart.
fn columns(
    window: [usize; 2],
    channels: usize,
    step: isize,
    place: impl Fn(usize, usize) -> isize,
) -> Vec<isize> {
    let mut columns = Vec::with_capacity(window[0] * window[1] * channels);
    for i in 0..window[0] {
        for j in 0..window[1] {
            columns.extend((0..channels as isize).map(|c| place(i, j) + c * step));
        }
    }
    columns
}

/// The steps of an output whose channels are contiguous.
fn steps_of(channels: usize, [height, width]: [usize; 2]) -> Steps {
    Steps([channels * height * width, channels * width, channels].map(|n| n as isize))
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
    let Windows { batch, groups, channels, window, places, size, .. } = *windows;
    let left = windows.left();
    let (inner, outer) = (windows.inner(), windows.outer());
    let shape = [batch, channels, size[0], size[1]];
    // SAFETY: the operands are the caller's.
    let copy =
        (left == Left::Each || outer <= FEW).then(|| unsafe { channels_last(isa, shape, x) });
    let x = copy.as_ref().map_or(x, |copy| copy.images);
    let [of_image, of_channel, of_row, of_column] = x.strides;
    let [of_out, of_inner, of_i, of_j] = weight.strides;
    let [rows, along] = [0, 1].map(|a| windows.axis(a));
    let columns = columns(window, inner, of_channel, |i, j| {
        (i * rows.dilation) as isize * of_row + (j * along.dilation) as isize * of_column
    });
    let weight = Weight {
        data: weight.data,
        group: of_out * outer as isize,
        outer: (inner, of_inner),
        window,
        steps: [of_i, of_j],
        inner: (outer, of_out),
    };
    let product = Product {
        isa,
        batch,
        groups,
        spans: [&rows.places(), &along.places()],
        x: x.data,
        x_steps: Steps([of_image, of_row, of_column]),
        x_group: of_channel * inner as isize,
        left,
        columns: &columns,
        weight,
        bias,
        out,
        out_steps: steps_of(windows.out, places),
        bytes: windows.elements() * size_of::<T>(),
    };
    // SAFETY: the operands are the caller's, and the spans lead within them.
    unsafe { product.together().run() };
}

/// What [`forward`] does to `x`, transposed: `y` of the output's shape spread over an input, of
/// (batch, *size, channels).
///
/// # Safety
///
/// As for [`forward`].
pub unsafe fn input<T: Real>(
    isa: Isa,
    windows: &Windows,
    y: Images<T>,
    weight: Images<T>,
    out: *mut T,
) {
    let Windows { batch, groups, window, size, places, .. } = *windows;
    let (inner, outer) = (windows.inner(), windows.outer());
    // Rows of a tile are of several images: they meet many lines if the channels lie apart.
    let shape = [batch, windows.out, places[0], places[1]];
    // SAFETY: the operands are the caller's.
    let y = unsafe { channels_last(isa, shape, y) };
    let [of_image, of_channel, of_row, of_column] = y.images.strides;
    let [of_out, of_inner, of_i, of_j] = weight.strides;
    let [rows, along] = [0, 1].map(|a| windows.axis(a));
    let columns = columns(window, outer, of_channel, |i, j| {
        -(rows.back(i) * of_row + along.back(j) * of_column)
    });
    let weight = Weight {
        data: weight.data,
        group: of_out * outer as isize,
        outer: (outer, of_out),
        window,
        steps: [of_i, of_j],
        inner: (inner, of_inner),
    };
    let product = Product {
        isa,
        batch,
        groups,
        spans: [&rows.pixels(), &along.pixels()],
        x: y.images.data,
        x_steps: Steps([of_image, of_row, of_column]),
        x_group: of_channel * outer as isize,
        left: windows.left(),
        columns: &columns,
        weight,
        bias: std::ptr::null(),
        out,
        out_steps: steps_of(windows.channels, size),
        bytes: windows.elements() * size_of::<T>(),
    };
    // SAFETY: the operands are the caller's, and the spans lead within them.
    unsafe { product.together().run() };
}
