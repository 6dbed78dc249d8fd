//! What sees what along an axis: each target's taps, the sources it reads.

/// A source that a target reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Which source.
    pub at: usize,
    /// Which element of the window that is, counted along the axis.
    pub number: usize,
    /// How many elements the window's mean is of, along the axis.
    pub count: usize,
}

/// A window's places along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Elements of the window.
    pub window: usize,
    /// From one place to the next.
    pub stride: usize,
    /// Elements that are not there before the first.
    pub before: usize,
    /// From one element of the window to the next.
    pub dilation: usize,
}

/// The taps of every target along an axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// How many sources there are.
    pub sources: usize,
    /// Where each target's taps begin, and where the last one's end.
    starts: Vec<usize>,
    taps: Vec<Tap>,
    /// Whether the windows are pairs, one beside the other.
    pub paired: bool,
}

impl Axis {
    /// How many targets there are.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.starts.len() - 1
    }

    /// A target's taps.
    #[inline(always)]
    #[must_use]
    pub fn taps(&self, target: usize) -> &[Tap] {
        &self.taps[self.starts[target]..self.starts[target + 1]]
    }

    /// How many elements a target's mean is of.
    #[inline(always)]
    #[must_use]
    pub fn count(&self, target: usize) -> usize {
        self.taps(target).first().map_or(1, |tap| tap.count)
    }

    /// The places of a window over `n` elements. Its mean is of all its elements if `whole`, else of
    /// those that are there.
    #[must_use]
    pub fn windows(n: usize, places: usize, shape: Window, whole: bool) -> Self {
        let Window { window, stride, before, dilation } = shape;
        let paired = window == 2 && stride == 2 && before == 0 && dilation == 1;
        let mut made = Self::new(n, paired && 2 * places <= n);
        for place in 0..places {
            made.push((0..window).filter_map(|number| {
                let at = (place * stride + number * dilation).checked_sub(before)?;
                (at < n).then_some((at, number))
            }));
            if whole {
                let start = made.starts[place];
                made.taps[start..].iter_mut().for_each(|tap| tap.count = window);
            }
        }
        made
    }

    /// `n` elements in `parts`, which overlap where they do not come out even.
    #[must_use]
    pub fn parts(n: usize, parts: usize) -> Self {
        let mut made = Self::new(n, false);
        for i in 0..parts {
            let (start, stop) = (i * n / parts, ((i + 1) * n).div_ceil(parts));
            made.push((start..stop).map(|at| (at, at - start)));
        }
        made
    }

    fn new(sources: usize, paired: bool) -> Self {
        Self { sources, starts: vec![0], taps: Vec::new(), paired }
    }

    /// One more target.
    fn push(&mut self, taps: impl Iterator<Item = (usize, usize)>) {
        let start = self.taps.len();
        self.taps.extend(taps.map(|(at, number)| Tap { at, number, count: 0 }));
        let count = self.taps.len() - start;
        self.taps[start..].iter_mut().for_each(|tap| tap.count = count);
        self.starts.push(self.taps.len());
    }

    /// The same the other way round: for each source the targets that read it.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut starts = vec![0; self.sources + 2];
        self.taps.iter().for_each(|tap| starts[tap.at + 2] += 1);
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut taps = vec![Tap { at: 0, number: 0, count: 0 }; self.taps.len()];
        for at in 0..self.targets() {
            for tap in self.taps(at) {
                let place = &mut starts[tap.at + 1];
                taps[*place] = Tap { at, ..*tap };
                *place += 1;
            }
        }
        starts.pop();
        Self { sources: self.targets(), starts, taps, paired: self.paired }
    }
}
