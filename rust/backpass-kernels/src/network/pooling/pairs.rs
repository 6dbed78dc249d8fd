//! Windows of two by two, one beside the other, over planes: two rows are read or written at once.

use super::operation::{Arrays, larger};
use crate::isa::Kernel;
use crate::real::Real;
use crate::simd::Simd;

/// What is done with the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paired {
    /// The largest of each window.
    Largest,
    /// What each window gave goes to its winner.
    Won,
    /// The mean of each window.
    Mean,
    /// What each window gave is spread over it.
    Spread,
}

/// Some rows of windows, counted over all planes.
#[derive(Clone, Copy)]
pub struct Pairs<T> {
    pub paired: Paired,
    pub arrays: Arrays<T>,
    /// Height and width of the planes.
    pub size: [usize; 2],
    /// Rows and columns of windows.
    pub places: [usize; 2],
    pub first: usize,
    pub last: usize,
}

/// The numbers of `N` neighbours, first those with even numbers and then those with odd ones.
#[inline(always)]
unsafe fn read<T: Real, S: Simd<T>>(s: S, p: *const T, n: usize) -> (S::V, S::V) {
    let lanes = S::LANES;
    // SAFETY: the caller vouches for `2 n` elements.
    unsafe {
        if n == lanes {
            return s.unzip(s.load(p), s.load(p.add(lanes)));
        }
        let (low, high) = ((2 * n).min(lanes), (2 * n).saturating_sub(lanes));
        s.unzip(s.load_partial(p, low), s.load_partial(p.wrapping_add(lanes), high))
    }
}

/// The reverse.
#[inline(always)]
unsafe fn write<T: Real, S: Simd<T>>(s: S, p: *mut T, n: usize, even: S::V, odd: S::V) {
    let lanes = S::LANES;
    let (a, b) = s.zip(even, odd);
    // SAFETY: the caller vouches for `2 n` elements.
    unsafe {
        if n == lanes {
            s.store(p, a);
            s.store(p.add(lanes), b);
        } else {
            s.store_partial(p, (2 * n).min(lanes), a);
            s.store_partial(p.wrapping_add(lanes), (2 * n).saturating_sub(lanes), b);
        }
    }
}

impl<T: Real> Kernel<T> for Pairs<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        match self.paired {
            Paired::Largest => self.each(
                s,
                #[inline(always)]
                |top, bottom, at, n| {
                    // SAFETY: the windows are there.
                    unsafe {
                        let (a, b) = read(s, self.arrays.source.add(top), n);
                        let (c, d) = read(s, self.arrays.source.add(bottom), n);
                        let (mut best, mut winner) = (a, s.splat(T::ZERO));
                        for (number, x) in [(1, b), (2, c), (3, d)] {
                            let (wins, made) = larger(s, best, x);
                            winner = s.select(wins, s.splat(T::count(number)), winner);
                            best = made;
                        }
                        s.store_partial(self.arrays.target.add(at), n, best);
                        s.store_bytes(self.arrays.winner.add(at), n, winner);
                    }
                },
            ),
            Paired::Mean => self.each(
                s,
                #[inline(always)]
                |top, bottom, at, n| {
                    // SAFETY: the windows are there.
                    unsafe {
                        let (a, b) = read(s, self.arrays.source.add(top), n);
                        let (c, d) = read(s, self.arrays.source.add(bottom), n);
                        let sum = s.add(s.add(a, c), s.add(b, d));
                        let mean = s.mul(sum, s.splat(T::of(0.25)));
                        s.store_partial(self.arrays.target.add(at), n, mean);
                    }
                },
            ),
            Paired::Won => self.each_back(
                s,
                #[inline(always)]
                |at, n| {
                    // SAFETY: the windows are there.
                    unsafe {
                        let y = s.load_partial(self.arrays.source.add(at), n);
                        let winner = s.load_bytes(self.arrays.winner.add(at), n);
                        let zero = s.splat(T::ZERO);
                        let mut parts = [zero; 4];
                        for (number, part) in parts.iter_mut().enumerate() {
                            let won = s.eq(winner, s.splat(T::count(number)));
                            *part = s.select(won, y, zero);
                        }
                        parts
                    }
                },
            ),
            Paired::Spread => self.each_back(
                s,
                #[inline(always)]
                |at, n| {
                    // SAFETY: the windows are there.
                    let y = unsafe { s.load_partial(self.arrays.source.add(at), n) };
                    [s.mul(y, s.splat(T::of(0.25))); 4]
                },
            ),
        }
    }
}

impl<T: Real> Pairs<T> {
    /// Calls `f` with where the upper and the lower row of some windows begin, the first window's own
    /// place, and how many they are.
    #[inline(always)]
    fn each<S: Simd<T>>(&self, _: S, mut f: impl FnMut(usize, usize, usize, usize)) {
        let ([height, width], [rows, columns]) = (self.size, self.places);
        for line in self.first..self.last {
            let top = ((line / rows) * height + 2 * (line % rows)) * width;
            let mut column = 0;
            while column < columns {
                let n = S::LANES.min(columns - column);
                let first = top + 2 * column;
                f(first, first + width, line * columns + column, n);
                column += n;
            }
        }
    }

    /// Writes what `f` gives to the four elements of each window, and 0 to what no window sees.
    #[inline(always)]
    fn each_back<S: Simd<T>>(&self, s: S, f: impl Fn(usize, usize) -> [S::V; 4]) {
        let ([height, width], [rows, columns]) = (self.size, self.places);
        let out = self.arrays.target;
        self.each(
            s,
            #[inline(always)]
            |top, bottom, at, n| {
                let [a, b, c, d] = f(at, n);
                // SAFETY: the windows are there.
                unsafe {
                    write(s, out.add(top), n, a, b);
                    write(s, out.add(bottom), n, c, d);
                }
            },
        );
        if height == 2 * rows && width == 2 * columns {
            return;
        }
        for line in self.first..self.last {
            let row = 2 * (line % rows);
            let top = ((line / rows) * height + row) * width;
            let last = if line % rows == rows - 1 { height } else { row + 2 };
            for below in 0..last - row {
                let seen = if below < 2 { 2 * columns } else { 0 };
                // SAFETY: the row is there; the bits of zeros are zeros.
                unsafe { out.add(top + below * width + seen).write_bytes(0, width - seen) };
            }
        }
    }
}
