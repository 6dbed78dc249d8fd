//! Memory of the operating system.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::{NonNull, null_mut};

use super::classes::size_of_class;
use super::{HEADER, Header};

/// From this on, blocks lie on huge pages of this size where the system has them.
pub(super) const HUGE_PAGE: usize = 2 << 20;

fn layout_of(class: usize) -> Layout {
    Layout::from_size_align(size_of_class(class), HEADER).expect("classes end below isize::MAX")
}

/// A block from the system.
#[cold]
pub(super) fn fresh(class: usize) -> Option<NonNull<Header>> {
    let size = size_of_class(class);
    let memory = if mapped::POSSIBLE && size >= HUGE_PAGE {
        mapped::map(size)
    } else {
        // SAFETY: the layout's size is not zero.
        unsafe { alloc(layout_of(class)) }
    };
    #[allow(clippy::cast_ptr_alignment)] // both sources align it
    let block = NonNull::new(memory.cast::<Header>())?;
    // SAFETY: the block is large enough and aligned.
    unsafe { block.write(Header { owner: [0; 4], next: null_mut(), class, bytes: 0 }) };
    Some(block)
}

/// Gives a block back to the system.
///
/// # Safety
///
/// The block came from [`fresh`] and nobody uses it.
#[cold]
pub(super) unsafe fn discard(block: NonNull<Header>) {
    // SAFETY: the block is whole, and is given back the way it was made.
    unsafe {
        let class = block.as_ref().class;
        let size = size_of_class(class);
        if mapped::POSSIBLE && size >= HUGE_PAGE {
            mapped::unmap(block.as_ptr().cast(), size);
        } else {
            dealloc(block.as_ptr().cast(), layout_of(class));
        }
    }
}

/// Large blocks get a mapping of their own: they go back to the system at once and whole, and lie
/// at the beginning of a huge page.
#[cfg(unix)]
mod mapped {
    use super::HUGE_PAGE;
    use std::ptr::null_mut;

    pub const POSSIBLE: bool = true;

    fn anonymous(size: usize) -> *mut u8 {
        // SAFETY: a new private mapping touches nothing that exists.
        let memory = unsafe {
            libc::mmap(
                null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED { null_mut() } else { memory.cast() }
    }

    /// `size` rounded up to whole pages.
    fn pages(size: usize) -> usize {
        // Pages of 64 KiB are the largest there are; a smaller one divides them.
        size.next_multiple_of(1 << 16)
    }

    pub fn map(size: usize) -> *mut u8 {
        let size = pages(size);
        // A mapping often follows the one before it; if not, one with room to choose from.
        let whole = anonymous(size);
        if whole.is_null() || whole.addr().is_multiple_of(HUGE_PAGE) {
            return advised(whole, size);
        }
        release(whole, size);
        let Some(more) = size.checked_add(HUGE_PAGE) else { return null_mut() };
        let start = anonymous(more);
        if start.is_null() {
            return start;
        }
        let before = start.align_offset(HUGE_PAGE);
        let block = start.wrapping_add(before);
        release(start, before);
        release(block.wrapping_add(size), more - size - before);
        advised(block, size)
    }

    fn advised(block: *mut u8, size: usize) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if !block.is_null() {
            // SAFETY: the range has just been mapped; the advice changes no contents.
            unsafe { libc::madvise(block.cast(), size, libc::MADV_HUGEPAGE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = size;
        block
    }

    pub fn unmap(block: *mut u8, size: usize) {
        release(block, pages(size));
    }

    /// Whole pages, exactly.
    fn release(start: *mut u8, size: usize) {
        if size > 0 {
            // SAFETY: the callers unmap only what they have mapped and nobody uses.
            unsafe { libc::munmap(start.cast(), size) };
        }
    }
}

#[cfg(not(unix))]
mod mapped {
    pub const POSSIBLE: bool = false;

    pub fn map(_: usize) -> *mut u8 {
        std::ptr::null_mut()
    }

    pub fn unmap(_: *mut u8, _: usize) {}
}

/// The memory that this process may fill: the machine's, or its container's.
pub(super) fn memory() -> usize {
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter(|_| cfg!(target_os = "linux"))
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    container.unwrap_or(usize::MAX).min(physical_memory())
}

#[cfg(unix)]
fn physical_memory() -> usize {
    // SAFETY: sysconf has no preconditions.
    let (pages, size) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    if pages > 0 && size > 0 { pages as usize * size as usize } else { 4 << 30 }
}

#[cfg(not(unix))]
fn physical_memory() -> usize {
    4 << 30
}
