//! Size classes: eight to a power of two, so that rounding wastes an eighth at most.

const SMALLEST: usize = 128;
pub(super) const CLASSES: usize = 1 + 8 * 41;

/// The class that holds `total` bytes, header included.
#[inline(always)]
pub(super) fn class_of(total: usize) -> usize {
    if total <= SMALLEST {
        return 0;
    }
    let last = total - 1;
    let power = last.ilog2() as usize;
    (power - 7) * 8 + ((last >> (power - 3)) & 7) + 1
}

/// The bytes of a class's blocks, header included.
#[inline(always)]
pub(super) fn size_of_class(class: usize) -> usize {
    if class == 0 {
        return SMALLEST;
    }
    let power = 7 + (class - 1) / 8;
    let eighth = (class - 1) % 8 + 1;
    (1 << power) + (eighth << (power - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_asked_for_and_waste_an_eighth_at_most() {
        for total in (1..70_000).chain((20..46).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1]))
        {
            let size = size_of_class(class_of(total));
            assert!(size >= total, "{total}");
            assert!(total <= SMALLEST || size - total <= total / 8 + 1, "{total} {size}");
            assert!(class_of(size) == class_of(total), "{total}");
        }
    }
}
