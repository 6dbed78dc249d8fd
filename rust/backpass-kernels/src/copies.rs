//! Copies of several arrays in one job.

use crate::threads::{self, Shared};

/// Bytes to be copied.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Where they are.
    pub from: *const u8,
    /// Where they go.
    pub to: *mut u8,
    /// How many.
    pub bytes: usize,
}

/// A part begins at whole cache lines, if the arrays do.
const LINES: usize = 128;
/// A part has about so many bytes, at least.
const LENGTH: usize = 16_384;
/// As many as an update of the same arrays has ([`crate::descent`]): what a thread has copied, it
/// reads next.
const PARTS: usize = 16;

/// Copies each span, on several threads if that is worth it.
///
/// # Safety
///
/// `from` and `to` hold `bytes`, and what is written overlaps nothing.
pub unsafe fn copy_all(spans: &[Span]) {
    let total: usize = spans.iter().map(|span| span.bytes).sum();
    let parts = (total / LENGTH).clamp(1, PARTS);
    let count = spans.len();
    // SAFETY: each chunk writes its own part of the spans.
    let shared = unsafe { Shared::new(spans.as_ptr()) };
    threads::run(parts, total / 50, &|part| {
        for i in 0..count {
            // SAFETY: below the number of spans, which outlive the job.
            let Span { from, to, bytes } = unsafe { *shared.get().add(i) };
            let border = |part: usize| {
                if part == parts { bytes } else { bytes * part / parts / LINES * LINES }
            };
            let (start, end) = (border(part), border(part + 1));
            // SAFETY: the part lies within the span; the caller vouches for the rest.
            unsafe { std::ptr::copy_nonoverlapping(from.add(start), to.add(start), end - start) };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_once() {
        let sizes = [0usize, 1, 127, 128, 129, 16_384, 1_000_003];
        let sources: Vec<Vec<u8>> =
            sizes.iter().map(|&n| (0..n).map(|i| (i % 251) as u8).collect()).collect();
        let mut targets: Vec<Vec<u8>> = sizes.iter().map(|&n| vec![255; n + 1]).collect();
        let spans: Vec<Span> = sources
            .iter()
            .zip(&mut targets)
            .map(|(source, target)| Span {
                from: source.as_ptr(),
                to: target.as_mut_ptr(),
                bytes: source.len(),
            })
            .collect();
        // SAFETY: each target has room for its source.
        unsafe { copy_all(&spans) };
        for (source, target) in sources.iter().zip(&targets) {
            assert_eq!(target[..source.len()], source[..]);
            assert_eq!(target[source.len()], 255);
        }
    }
}
