//! Batch norm: each channel brought to mean 0 and variance 1 over the batch, then scaled and
//! shifted.
//!
//! Means and squares of parts that fit into a cache, each found in two passes, are put together in
//! double precision, in a fixed order.
//!
//! T. F. Chan, G. H. Golub, R. J. `LeVeque`: Updating formulae and a pairwise algorithm for computing
//! sample variances, COMPSTAT 1982.

use crate::along::{Axis, Column, Row, Sum, is_large};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Bytes of a part of a matrix.
const PART: usize = 1 << 16;
/// Elements of a row of a matrix, at least: shorter ones are taken several at a time.
const WIDE: usize = 128;

/// How the channels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// For each sample and channel a plane: samples, channels, elements of a plane.
    Planes(usize, usize, usize),
    /// Rows with an element of each channel: rows, channels.
    Rows(usize, usize),
}

impl Layout {
    /// How many channels there are.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Planes(_, channels, _) | Self::Rows(_, channels) => channels,
        }
    }

    /// Elements of each channel.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Planes(samples, _, inner) => samples * inner,
            Self::Rows(rows, _) => rows,
        }
    }

    fn size(self) -> usize {
        self.channels() * self.length()
    }
}

/// Mean and sum of the squared deviations of the numbers seen so far.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// With those of other numbers.
    #[inline(always)]
    fn join(&mut self, count: f64, mean: f64, squares: f64) {
        if self.count == 0.0 {
            *self = Self { count, mean, squares };
            return;
        }
        let whole = self.count + count;
        let (step, part) = (mean - self.mean, count / whole);
        // Two infinite means have no difference.
        self.mean = if step.is_finite() {
            self.mean + step * part
        } else {
            (self.mean * self.count + mean * count) / whole
        };
        self.squares += squares + step * step * self.count * part;
        self.count = whole;
    }
}

/// Mean and squared deviations of what goes along an axis.
#[inline(always)]
unsafe fn moments<T: Real, S: Simd<T>, A: Axis<T, S>>(
    s: S,
    axis: A,
    len: usize,
    x: *const T,
) -> [S::V; 2] {
    let n = s.splat(T::count(len));
    // SAFETY: the caller vouches for the groups behind `x`.
    unsafe {
        let sum = axis.fold::<Sum>(
            s,
            #[inline(always)]
            |k| axis.load(s, x, k),
        );
        let mean = s.div(sum, n);
        let [d, squares] = axis.folds::<Sum, 2>(
            s,
            #[inline(always)]
            |k| {
                let d = s.sub(axis.load(s, x, k), mean);
                [d, s.mul(d, d)]
            },
        );
        // What rounding has left in the mean.
        let off = s.div(d, n);
        let squares = s.fnma(off, d, squares);
        let off = s.select(s.lt(s.abs(off), s.splat(T::INFINITY)), off, s.splat(T::ZERO));
        [s.add(mean, off), s.max(s.splat(T::ZERO), squares)]
    }
}

/// What is normalised, and how.
#[derive(Clone, Copy, Debug)]
pub struct Batch<T> {
    /// How its channels lie.
    pub layout: Layout,
    /// The elements.
    pub x: *const T,
    /// What each channel is multiplied by: null, or a number a channel.
    pub weight: *const T,
    /// What is added: null, or a number a channel.
    pub bias: *const T,
    /// Added to the variance.
    pub eps: f64,
}

impl<T: Real> Batch<T> {
    unsafe fn weight(&self, channel: usize) -> f64 {
        // SAFETY: there is one a channel.
        if self.weight.is_null() { 1.0 } else { unsafe { *self.weight.add(channel) }.wide() }
    }

    unsafe fn bias(&self, channel: usize) -> T {
        // SAFETY: there is one a channel.
        if self.bias.is_null() { T::ZERO } else { unsafe { *self.bias.add(channel) } }
    }
}

/// Outputs: the elements, and for each channel mean and variance.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<T> {
    /// As the elements lie.
    pub y: *mut T,
    /// A number a channel.
    pub mean: *mut T,
    /// A number a channel.
    pub variance: *mut T,
}

/// y = (x - shift) scale + rest for a channel.
#[derive(Clone, Copy)]
struct Line<T> {
    shift: T,
    scale: T,
    rest: T,
}

/// Writes mean and variance of a channel; what is to be done with its elements.
unsafe fn finish<T: Real>(
    batch: &Batch<T>,
    to: Normalised<T>,
    channel: usize,
    found: Moments,
) -> Line<T> {
    let variance = found.squares / found.count;
    // SAFETY: there is a number a channel.
    unsafe {
        to.mean.add(channel).write(T::of(found.mean));
        to.variance.add(channel).write(T::of(variance));
        let scale = batch.weight(channel) / (variance + batch.eps).sqrt();
        let shift = T::of(found.mean);
        // The mean's rounding is made up for.
        let rest = batch.bias(channel).wide() + (shift.wide() - found.mean) * scale;
        let finite = rest.is_finite();
        let rest = if finite { T::of(rest) } else { batch.bias(channel) };
        Line { shift, scale: T::of(scale), rest }
    }
}

/// A channel of planes.
struct Channel<T> {
    batch: Batch<T>,
    to: Normalised<T>,
    number: usize,
    past: bool,
}

impl<T: Real> Kernel<T> for Channel<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { batch, to, number: channel, past } = self;
        let Layout::Planes(samples, channels, inner) = batch.layout else { return };
        let row = Row { len: inner };
        let mut found = Moments::default();
        // SAFETY: the planes lie within the arrays.
        unsafe {
            for sample in 0..samples {
                let x = batch.x.add((sample * channels + channel) * inner);
                let [mean, squares] = moments(s, row, inner, x);
                found.join(inner as f64, s.first(mean).wide(), s.first(squares).wide());
            }
            let Line { shift, scale, rest } = finish(&batch, to, channel, found);
            let (shift, scale, rest) = (s.splat(shift), s.splat(scale), s.splat(rest));
            for sample in 0..samples {
                let at = (sample * channels + channel) * inner;
                let (x, y) = (batch.x.add(at), to.y.add(at));
                row.each_to(
                    s,
                    y,
                    past,
                    #[inline(always)]
                    |k| s.fma(s.sub(row.load(s, x, k), shift), scale, rest),
                );
            }
            s.fence();
        }
    }
}

/// Some rows of a matrix: where they begin, how many, and where a number a channel goes, twice.
struct Part<T> {
    channels: usize,
    rows: usize,
    x: *const T,
    /// If it is null, mean and squares are found, else the sums of `g` and of `g (x - mean)`.
    g: *const T,
    mean: *const T,
    out: *mut T,
}

impl<T: Real> Part<T> {
    #[inline(always)]
    unsafe fn columns<S: Simd<T>, A: Axis<T, S>>(&self, s: S, axis: A, first: usize) {
        // SAFETY: the caller vouches for the columns.
        unsafe {
            let x = self.x.add(first);
            let found = if self.g.is_null() {
                moments(s, axis, self.rows, x)
            } else {
                let (g, mean) = (self.g.add(first), axis.get(s, self.mean.add(first)));
                axis.folds::<Sum, 2>(
                    s,
                    #[inline(always)]
                    |k| {
                        let g = axis.load(s, g, k);
                        [g, s.mul(g, s.sub(axis.load(s, x, k), mean))]
                    },
                )
            };
            axis.put(s, self.out.add(first), found[0]);
            axis.put(s, self.out.add(self.channels + first), found[1]);
        }
    }
}

impl<T: Real> Kernel<T> for Part<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (len, inner) = (self.rows, self.channels);
        let mut first = 0;
        // SAFETY: within the rows.
        unsafe {
            while first + S::LANES <= inner {
                self.columns(s, Column::<true> { len, inner, width: S::LANES }, first);
                first += S::LANES;
            }
            if first < inner {
                self.columns(s, Column::<false> { len, inner, width: inner - first }, first);
            }
        }
    }
}

/// Rows of a part of a matrix.
fn part_rows<T>(rows: usize, channels: usize) -> usize {
    (PART / (channels * size_of::<T>())).max(16).min(rows)
}

/// Two numbers a channel for each part of a matrix.
unsafe fn parts<T: Real>(
    isa: Isa,
    rows: usize,
    channels: usize,
    x: *const T,
    g: *const T,
    mean: *const T,
) -> Scratch<T> {
    let step = part_rows::<T>(rows, channels);
    let parts = rows.div_ceil(step);
    let found = Scratch::<T>::new(2 * channels * parts);
    // SAFETY: each part has numbers of its own; the caller vouches for the rest.
    unsafe {
        let shared = Shared::new((x, g, mean, found.as_ptr()));
        threads::run(parts, rows * channels * size_of::<T>() / 20, &|i| {
            let (x, g, mean, out) = shared.get();
            let first = i * step;
            let rows = step.min(rows - first);
            let x = x.wrapping_add(first * channels);
            let g = if g.is_null() { g } else { g.wrapping_add(first * channels) };
            let out = out.wrapping_add(2 * channels * i);
            dispatch(isa, Part { channels, rows, x, g, mean, out });
        });
    }
    found
}

/// The lines of all channels, for rows of a matrix, or for several at a time.
struct Lines<T> {
    scratch: Scratch<T>,
    /// Rows that are taken at a time.
    times: usize,
    channels: usize,
    count: usize,
}

impl<T: Real> Lines<T> {
    /// Room for `count` numbers a channel.
    fn new(channels: usize, count: usize) -> Self {
        let times = WIDE.div_ceil(channels);
        Self { scratch: Scratch::new(count * times * channels), times, channels, count }
    }

    /// Sets the numbers of a channel.
    fn set<const N: usize>(&self, channel: usize, values: [T; N]) {
        assert_eq!(N, self.count);
        let width = self.times * self.channels;
        for (i, value) in values.into_iter().enumerate() {
            for time in 0..self.times {
                // SAFETY: within the scratch.
                unsafe {
                    let place = i * width + time * self.channels + channel;
                    self.scratch.as_ptr().add(place).write(value);
                }
            }
        }
    }
}

/// Rows of a matrix, each element by its channel's numbers: `(x - a) b + c`, or, where there is a
/// `g`, `g a + (x - d) b + c`.
struct Apply<T> {
    /// Elements of all rows.
    size: usize,
    width: usize,
    lines: *const T,
    x: *const T,
    g: *const T,
    out: *mut T,
    past: bool,
}

impl<T: Real> Kernel<T> for Apply<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { size, width, lines, x, g, out, past } = self;
        let mut at = 0;
        while at < size {
            let row = Row { len: width.min(size - at) };
            // SAFETY: within the rows.
            unsafe {
                let (x, out) = (x.add(at), out.add(at));
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| lines.wrapping_add(i * width));
                if g.is_null() {
                    row.each_to(
                        s,
                        out,
                        past,
                        #[inline(always)]
                        |k| {
                            let x = s.sub(row.load(s, x, k), row.load(s, a, k));
                            s.fma(x, row.load(s, b, k), row.load(s, c, k))
                        },
                    );
                } else {
                    let g = g.add(at);
                    row.each_to(
                        s,
                        out,
                        past,
                        #[inline(always)]
                        |k| {
                            let x = s.sub(row.load(s, x, k), row.load(s, d, k));
                            let y = s.fma(x, row.load(s, b, k), row.load(s, c, k));
                            s.fma(row.load(s, g, k), row.load(s, a, k), y)
                        },
                    );
                }
            }
            at += width;
        }
        s.fence();
    }
}

/// Applies the lines to all rows.
unsafe fn apply<T: Real>(
    isa: Isa,
    size: usize,
    lines: &Lines<T>,
    x: *const T,
    g: *const T,
    out: *mut T,
) {
    let past = is_large::<T>(size);
    let width = lines.times * lines.channels;
    let rows = size.div_ceil(width);
    let chunks = rows.min(size / 8192).clamp(1, 64);
    // SAFETY: each chunk has rows of its own; the caller vouches for the rest.
    unsafe {
        let shared = Shared::new((lines.scratch.as_ptr().cast_const(), x, g, out));
        threads::run(chunks, size * size_of::<T>() / 20, &|chunk| {
            let (lines, x, g, out) = shared.get();
            let first = rows * chunk / chunks * width;
            let last = size.min(rows * (chunk + 1) / chunks * width);
            let (x, out) = (x.wrapping_add(first), out.wrapping_add(first));
            let g = if g.is_null() { g } else { g.wrapping_add(first) };
            dispatch(isa, Apply { size: last - first, width, lines, x, g, out, past });
        });
    }
}

/// Normalises the batch.
///
/// # Safety
///
/// The batch and the outputs hold what they say; the outputs overlap nothing; the processor has
/// `isa`.
pub unsafe fn batch_norm<T: Real>(isa: Isa, batch: Batch<T>, to: Normalised<T>) {
    let size = batch.layout.size();
    let past = is_large::<T>(size);
    // SAFETY: each chunk has channels of its own; the caller vouches for the rest.
    unsafe {
        match batch.layout {
            Layout::Planes(_, channels, _) => {
                let shared = Shared::new((batch, to));
                threads::run(channels, size * size_of::<T>() / 10, &|channel| {
                    let (batch, to) = shared.get();
                    dispatch(isa, Channel { batch, to, number: channel, past });
                });
            }
            Layout::Rows(rows, channels) => {
                let null = std::ptr::null();
                let found = parts(isa, rows, channels, batch.x, null, null);
                let step = part_rows::<T>(rows, channels);
                let lines = Lines::new(channels, 3);
                for channel in 0..channels {
                    let mut all = Moments::default();
                    for i in 0..rows.div_ceil(step) {
                        let part = found.as_ptr().add(2 * channels * i + channel);
                        let (mean, squares) =
                            (part.read().wide(), part.add(channels).read().wide());
                        all.join(step.min(rows - i * step) as f64, mean, squares);
                    }
                    let Line { shift, scale, rest } = finish(&batch, to, channel, all);
                    lines.set(channel, [shift, scale, rest]);
                }
                apply(isa, size, &lines, batch.x, null, to.y);
            }
        }
    }
}

/// The cotangent of the output, and the statistics.
#[derive(Clone, Copy, Debug)]
pub struct Given<T> {
    /// As the elements lie.
    pub g: *const T,
    /// Each channel's mean.
    pub mean: *const T,
    /// Each channel's variance.
    pub variance: *const T,
}

/// Where the cotangents of elements, weight and bias go.
#[derive(Clone, Copy, Debug)]
pub struct Cotangents<T> {
    /// As the elements lie.
    pub x: *mut T,
    /// A number a channel.
    pub weight: *mut T,
    /// A number a channel.
    pub bias: *mut T,
}

/// From the sums of `g` and of `g (x - mean)` the cotangents of weight and bias, and what is done
/// with the elements: `g a + (x - mean) b + c`.
unsafe fn slopes<T: Real>(
    batch: &Batch<T>,
    given: Given<T>,
    to: Cotangents<T>,
    channel: usize,
    [whole, product]: [f64; 2],
) -> [T; 3] {
    let n = batch.layout.length() as f64;
    // SAFETY: there is a number a channel.
    unsafe {
        let rstd = 1.0 / ((*given.variance.add(channel)).wide() + batch.eps).sqrt();
        to.weight.add(channel).write(T::of(product * rstd));
        to.bias.add(channel).write(T::of(whole));
        let scale = batch.weight(channel) * rstd;
        let along = -scale * (product * rstd) * rstd / n;
        let level = -scale * whole / n;
        [T::of(scale), T::of(along), T::of(level)]
    }
}

/// A channel of planes, backwards.
struct ChannelBack<T> {
    batch: Batch<T>,
    given: Given<T>,
    to: Cotangents<T>,
    number: usize,
    past: bool,
}

impl<T: Real> Kernel<T> for ChannelBack<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { batch, given, to, number: channel, past } = self;
        let Layout::Planes(samples, channels, inner) = batch.layout else { return };
        let row = Row { len: inner };
        let mut sums = [0.0; 2];
        // SAFETY: the planes lie within the arrays.
        unsafe {
            let mean = s.splat(*given.mean.add(channel));
            for sample in 0..samples {
                let at = (sample * channels + channel) * inner;
                let (x, g) = (batch.x.add(at), given.g.add(at));
                let found = row.folds::<Sum, 2>(
                    s,
                    #[inline(always)]
                    |k| {
                        let g = row.load(s, g, k);
                        [g, s.mul(g, s.sub(row.load(s, x, k), mean))]
                    },
                );
                sums[0] += s.first(found[0]).wide();
                sums[1] += s.first(found[1]).wide();
            }
            let [scale, along, level] = slopes(&batch, given, to, channel, sums);
            let (scale, along, level) = (s.splat(scale), s.splat(along), s.splat(level));
            for sample in 0..samples {
                let at = (sample * channels + channel) * inner;
                let (x, g, out) = (batch.x.add(at), given.g.add(at), to.x.add(at));
                row.each_to(
                    s,
                    out,
                    past,
                    #[inline(always)]
                    |k| {
                        let rest = s.fma(s.sub(row.load(s, x, k), mean), along, level);
                        s.fma(row.load(s, g, k), scale, rest)
                    },
                );
            }
            s.fence();
        }
    }
}

/// The rule of [`batch_norm`], for the elements of the output.
///
/// # Safety
///
/// The batch, what is given and the outputs hold what they say; the outputs overlap nothing; the
/// processor has `isa`.
pub unsafe fn batch_norm_back<T: Real>(
    isa: Isa,
    batch: Batch<T>,
    given: Given<T>,
    to: Cotangents<T>,
) {
    let size = batch.layout.size();
    let past = is_large::<T>(size);
    // SAFETY: each chunk has channels of its own; the caller vouches for the rest.
    unsafe {
        match batch.layout {
            Layout::Planes(_, channels, _) => {
                let shared = Shared::new((batch, given, to));
                threads::run(channels, size * size_of::<T>() / 8, &|channel| {
                    let (batch, given, to) = shared.get();
                    dispatch(isa, ChannelBack { batch, given, to, number: channel, past });
                });
            }
            Layout::Rows(rows, channels) => {
                let found = parts(isa, rows, channels, batch.x, given.g, given.mean);
                let step = part_rows::<T>(rows, channels);
                let lines = Lines::new(channels, 4);
                for channel in 0..channels {
                    let mut sums = [0.0; 2];
                    for i in 0..rows.div_ceil(step) {
                        let part = found.as_ptr().add(2 * channels * i + channel);
                        sums[0] += part.read().wide();
                        sums[1] += part.add(channels).read().wide();
                    }
                    let [scale, along, level] = slopes(&batch, given, to, channel, sums);
                    lines.set(channel, [scale, along, level, *given.mean.add(channel)]);
                }
                apply(isa, size, &lines, batch.x, given.g, to.x);
            }
        }
    }
}
