//! Where along an axis windows see the same of the input.

/// Positions of the output along one axis at which the same elements of the window meet something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first position, how far apart they are, and how many.
    pub first: usize,
    pub step: usize,
    pub count: usize,
    /// What the window's corner meets at the first position, be it there or not; and how much further
    /// on at the next.
    pub meets: isize,
    pub meets_step: usize,
    /// The window's elements that meet something.
    pub taps: Vec<usize>,
}

impl Span {
    /// What the window's corner meets at its `i`-th position, and the position.
    #[inline(always)]
    pub fn at(&self, i: usize) -> (isize, isize) {
        (self.meets + (i * self.meets_step) as isize, (self.first + i * self.step) as isize)
    }
}

/// An axis: lengths of input, output and window, and how the window is placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub size: usize,
    pub places: usize,
    pub window: usize,
    pub stride: usize,
    pub before: isize,
    pub dilation: usize,
}

impl Axis {
    /// Places of the window, by what it sees of the input.
    pub fn places(&self) -> Vec<Span> {
        let Self { size, window, stride, before, dilation, .. } = *self;
        let mut spans = Vec::new();
        for place in 0..self.places {
            let meets = (place * stride) as isize - before;
            let there = |tap: &usize| inside(meets + (tap * dilation) as isize, size);
            grow(&mut spans, 0, place, (meets, stride), (0..window).filter(there));
        }
        spans
    }

    /// Pixels of the input, by the windows that see them. An element of the window lies
    /// [`Axis::back`] places before where a pixel's first one does.
    pub fn pixels(&self) -> Vec<Span> {
        let Self { size, window, stride, before, dilation, .. } = *self;
        let mut spans = Vec::new();
        // With a stride, an element of the window meets only pixels that far apart.
        for phase in 0..stride.min(size) {
            let earlier = spans.len();
            let first = phase as isize + before;
            let rest = first.rem_euclid(stride as isize) as usize;
            for (i, pixel) in (phase..size).step_by(stride).enumerate() {
                let meets = first.div_euclid(stride as isize) + i as isize;
                let there = |tap: &usize| {
                    tap * dilation % stride == rest && inside(meets - self.back(*tap), self.places)
                };
                grow(&mut spans, earlier, pixel, (meets, 1), (0..window).filter(there));
            }
            for span in &mut spans[earlier..] {
                span.step = stride;
            }
        }
        spans
    }

    /// How many places before a pixel's first one it is seen by an element of the window.
    pub fn back(&self, tap: usize) -> isize {
        (tap * self.dilation / self.stride) as isize
    }
}

fn inside(i: isize, count: usize) -> bool {
    (0..count as isize).contains(&i)
}

/// Adds a position to the last of the spans that follow `earlier` ones if it belongs there, else a
/// span.
fn grow(
    spans: &mut Vec<Span>,
    earlier: usize,
    position: usize,
    (meets, meets_step): (isize, usize),
    taps: impl Iterator<Item = usize> + Clone,
) {
    if let Some(last) = spans[earlier..].last_mut()
        && last.taps.iter().copied().eq(taps.clone())
    {
        last.count += 1;
        return;
    }
    let taps = taps.collect();
    spans.push(Span { first: position, step: 1, count: 1, meets, meets_step, taps });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of a place and a pixel that meet, with the window's element, by definition.
    fn pairs(axis: &Axis) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for place in 0..axis.places {
            for tap in 0..axis.window {
                let pixel = (place * axis.stride + tap * axis.dilation) as isize - axis.before;
                if (0..axis.size as isize).contains(&pixel) {
                    found.push((place, pixel as usize, tap));
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn spans_tell_of_every_pair_once() {
        for (size, window) in [(1, 1), (7, 3), (12, 5), (6, 4), (3, 5)] {
            for stride in 1..4 {
                for dilation in 1..4 {
                    for before in -2..5 {
                        for after in -2..5 {
                            let wide = size as isize + before + after;
                            let free = wide - (dilation * (window - 1)) as isize - 1;
                            if free < 0 {
                                continue;
                            }
                            let places = free as usize / stride + 1;
                            let axis = Axis { size, places, window, stride, before, dilation };
                            let (mut by_place, mut by_pixel) = (Vec::new(), Vec::new());
                            let (mut seen_places, mut seen_pixels) = (0, 0);
                            for span in axis.places() {
                                for i in 0..span.count {
                                    seen_places += 1;
                                    for &tap in &span.taps {
                                        let meets = span.meets
                                            + (i * span.meets_step + tap * dilation) as isize;
                                        by_place.push((
                                            span.first + i * span.step,
                                            meets as usize,
                                            tap,
                                        ));
                                    }
                                }
                            }
                            for span in axis.pixels() {
                                for i in 0..span.count {
                                    seen_pixels += 1;
                                    for &tap in &span.taps {
                                        let meets = span.meets + (i * span.meets_step) as isize
                                            - axis.back(tap);
                                        by_pixel.push((
                                            meets as usize,
                                            span.first + i * span.step,
                                            tap,
                                        ));
                                    }
                                }
                            }
                            by_place.sort_unstable();
                            by_pixel.sort_unstable();
                            assert_eq!(seen_places, places);
                            assert_eq!(seen_pixels, size);
                            assert_eq!(by_place, pairs(&axis), "{axis:?}");
                            assert_eq!(by_pixel, pairs(&axis), "{axis:?}");
                        }
                    }
                }
            }
        }
    }
}
