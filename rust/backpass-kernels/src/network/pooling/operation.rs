//! What is done with the sources that a target reads.

use crate::real::Real;
use crate::simd::Simd;

/// Where the numbers lie.
#[derive(Clone, Copy, Debug)]
pub struct Arrays<T> {
    /// What is read.
    pub source: *const T,
    /// What is written.
    pub target: *mut T,
    /// Which element of its window won, one beside each element of the window's array.
    pub winner: *mut u8,
}

/// On which side the winners lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winners {
    /// There are none.
    None,
    /// They are written beside the targets.
    Made,
    /// They are read beside the targets.
    OfTarget,
    /// They are read beside the sources.
    OfSource,
}

/// A way of pooling, on up to a vector of channels; all offsets are those of the first channel.
pub trait Operation<T: Real>: Copy + Sync {
    /// Where the winners lie.
    const WINNERS: Winners;
    /// What is known of a target so far.
    type State<S: Simd<T>>: Copy;

    /// Before the first source, which is element `first` of the window.
    ///
    /// # Safety
    ///
    /// `n` elements are there.
    unsafe fn start<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        target: usize,
        n: usize,
        first: usize,
    ) -> Self::State<S>;

    /// A source: element `number` of the window, of which the mean is of `count`.
    ///
    /// # Safety
    ///
    /// As for `start`.
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        state: Self::State<S>,
        source: usize,
        n: usize,
        number: usize,
        count: usize,
    ) -> Self::State<S>;

    /// After the last source.
    ///
    /// # Safety
    ///
    /// As for `start`.
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        state: Self::State<S>,
        target: usize,
        n: usize,
        count: usize,
    );
}

/// Up to a vector; a whole one without a mask.
#[inline(always)]
unsafe fn load<T: Real, S: Simd<T>>(s: S, p: *const T, n: usize) -> S::V {
    // SAFETY: the caller vouches for `n` elements.
    unsafe { if n == S::LANES { s.load(p) } else { s.load_partial(p, n) } }
}

/// Up to a vector; a whole one without a mask.
#[inline(always)]
unsafe fn store<T: Real, S: Simd<T>>(s: S, p: *mut T, n: usize, v: S::V) {
    // SAFETY: the caller vouches for `n` elements.
    unsafe { if n == S::LANES { s.store(p, v) } else { s.store_partial(p, n, v) } }
}

/// `best` or, if it is larger or the first nan, `x`; and which of them.
#[inline(always)]
pub fn larger<T: Real, S: Simd<T>>(s: S, best: S::V, x: S::V) -> (S::M, S::V) {
    let wins = s.or(s.lt(best, x), s.and(s.is_nan(x), s.eq(best, best)));
    (wins, s.select(wins, x, best))
}

/// The largest source, and its number.
#[derive(Clone, Copy, Debug)]
pub struct Largest;

impl<T: Real> Operation<T> for Largest {
    const WINNERS: Winners = Winners::Made;
    type State<S: Simd<T>> = (S::V, S::V);

    #[inline(always)]
    unsafe fn start<S: Simd<T>>(
        s: S,
        _: &Arrays<T>,
        _: usize,
        _: usize,
        first: usize,
    ) -> (S::V, S::V) {
        (s.splat(-T::INFINITY), s.splat(T::count(first)))
    }

    #[inline(always)]
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        (best, winner): (S::V, S::V),
        source: usize,
        n: usize,
        number: usize,
        _: usize,
    ) -> (S::V, S::V) {
        // SAFETY: the caller's.
        let x = unsafe { load(s, arrays.source.add(source), n) };
        let (wins, best) = larger(s, best, x);
        (best, s.select(wins, s.splat(T::count(number)), winner))
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        (best, winner): (S::V, S::V),
        target: usize,
        n: usize,
        _: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            store(s, arrays.target.add(target), n, best);
            s.store_bytes(arrays.winner.add(target), n, winner);
        }
    }
}

/// The source that won.
#[derive(Clone, Copy, Debug)]
pub struct Picked;

impl<T: Real> Operation<T> for Picked {
    const WINNERS: Winners = Winners::OfTarget;
    type State<S: Simd<T>> = (S::V, S::V);

    #[inline(always)]
    unsafe fn start<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        target: usize,
        n: usize,
        _: usize,
    ) -> (S::V, S::V) {
        // SAFETY: the caller's.
        (s.splat(T::ZERO), unsafe { s.load_bytes(arrays.winner.add(target), n) })
    }

    #[inline(always)]
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        (found, winner): (S::V, S::V),
        source: usize,
        n: usize,
        number: usize,
        _: usize,
    ) -> (S::V, S::V) {
        // SAFETY: the caller's.
        let x = unsafe { load(s, arrays.source.add(source), n) };
        (s.select(s.eq(winner, s.splat(T::count(number))), x, found), winner)
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        (found, _): (S::V, S::V),
        target: usize,
        n: usize,
        _: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { store(s, arrays.target.add(target), n, found) };
    }
}

/// The sum of the sources where the target won.
#[derive(Clone, Copy, Debug)]
pub struct Won;

impl<T: Real> Operation<T> for Won {
    const WINNERS: Winners = Winners::OfSource;
    type State<S: Simd<T>> = S::V;

    #[inline(always)]
    unsafe fn start<S: Simd<T>>(s: S, _: &Arrays<T>, _: usize, _: usize, _: usize) -> S::V {
        s.splat(T::ZERO)
    }

    #[inline(always)]
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        source: usize,
        n: usize,
        number: usize,
        _: usize,
    ) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            let y = load(s, arrays.source.add(source), n);
            let winner = s.load_bytes(arrays.winner.add(source), n);
            let won = s.eq(winner, s.splat(T::count(number)));
            s.add(sum, s.select(won, y, s.splat(T::ZERO)))
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        target: usize,
        n: usize,
        _: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { store(s, arrays.target.add(target), n, sum) };
    }
}

/// The mean of the sources.
#[derive(Clone, Copy, Debug)]
pub struct Mean;

impl<T: Real> Operation<T> for Mean {
    const WINNERS: Winners = Winners::None;
    type State<S: Simd<T>> = S::V;

    #[inline(always)]
    unsafe fn start<S: Simd<T>>(s: S, _: &Arrays<T>, _: usize, _: usize, _: usize) -> S::V {
        s.splat(T::ZERO)
    }

    #[inline(always)]
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        source: usize,
        n: usize,
        _: usize,
        _: usize,
    ) -> S::V {
        // SAFETY: the caller's.
        s.add(sum, unsafe { load(s, arrays.source.add(source), n) })
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        target: usize,
        n: usize,
        count: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { store(s, arrays.target.add(target), n, s.div(sum, s.splat(T::count(count)))) };
    }
}

/// The sum of the sources, each spread evenly over the targets that it is the mean of.
#[derive(Clone, Copy, Debug)]
pub struct Spread;

impl<T: Real> Operation<T> for Spread {
    const WINNERS: Winners = Winners::None;
    type State<S: Simd<T>> = S::V;

    #[inline(always)]
    unsafe fn start<S: Simd<T>>(s: S, _: &Arrays<T>, _: usize, _: usize, _: usize) -> S::V {
        s.splat(T::ZERO)
    }

    #[inline(always)]
    unsafe fn see<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        source: usize,
        n: usize,
        _: usize,
        count: usize,
    ) -> S::V {
        // SAFETY: the caller's.
        let y = unsafe { load(s, arrays.source.add(source), n) };
        s.add(sum, s.div(y, s.splat(T::count(count))))
    }

    #[inline(always)]
    unsafe fn finish<S: Simd<T>>(
        s: S,
        arrays: &Arrays<T>,
        sum: S::V,
        target: usize,
        n: usize,
        _: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { store(s, arrays.target.add(target), n, sum) };
    }
}
