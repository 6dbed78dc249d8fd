//! Memory that is used again.
//!
//! A page fault costs more than a small kernel, and the values that wait for the backward pass make
//! the system's allocator fault on every step. Blocks therefore come from free lists, one a thread
//! and size class (eight classes to a power of two, so at most an eighth is wasted). Data are aligned
//! to 64 bytes; from 2 MiB on, blocks lie on huge pages where the system has them.
//!
//! What lies idle is bounded: small blocks by 32 MiB a thread, large ones by a quarter of the
//! machine's memory over all threads, or by `BACKPASS_POOL_LIMIT` bytes.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Bytes before a block's data: the [`Header`].
pub const HEADER: usize = 64;

const SMALLEST: usize = 128;
const CLASSES: usize = 1 + 8 * 41;
const LARGE: usize = 1 << 16;
const SMALL_LIMIT: usize = 32 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// What precedes a block's data.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Header {
    /// For the block's owner; never touched while the block is out.
    pub owner: [usize; 4],
    next: *mut Header,
    class: usize,
}

impl Header {
    /// The block's data.
    #[inline(always)]
    #[must_use]
    pub fn data(block: NonNull<Self>) -> *mut u8 {
        // The header is as large as its alignment.
        block.as_ptr().wrapping_add(1).cast()
    }
}

/// The pool's state, summed over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of blocks that are out.
    pub in_use: usize,
    /// Bytes of blocks that lie idle.
    pub cached: usize,
    /// Blocks given out so far.
    pub allocations: usize,
    /// Of these, the ones that were used before.
    pub reused: usize,
}

/// One thread's counts. Only the thread writes them; sums over threads wrap to the right value even
/// where a block was released on another thread than the one that allocated it.
#[derive(Default)]
struct Counters {
    in_use: AtomicUsize,
    cached: AtomicUsize,
    allocations: AtomicUsize,
    reused: AtomicUsize,
}

#[inline(always)]
fn bump(counter: &AtomicUsize, by: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

#[derive(Default)]
struct Registry {
    all: Vec<&'static Counters>,
    idle: Vec<&'static Counters>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { all: Vec::new(), idle: Vec::new() });
static LARGE_CACHED: AtomicUsize = AtomicUsize::new(0);
static EPOCH: AtomicUsize = AtomicUsize::new(0);

struct Cache {
    lists: [Cell<*mut Header>; CLASSES],
    counters: Cell<Option<&'static Counters>>,
    small_cached: Cell<usize>,
    epoch: Cell<usize>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache {
            lists: [const { Cell::new(null_mut()) }; CLASSES],
            counters: Cell::new(None),
            small_cached: Cell::new(0),
            epoch: Cell::new(0),
        }
    };
}

/// The class that holds `total` bytes, header included.
#[inline(always)]
fn class_of(total: usize) -> usize {
    if total <= SMALLEST {
        return 0;
    }
    let last = total - 1;
    let power = last.ilog2() as usize;
    (power - 7) * 8 + ((last >> (power - 3)) & 7) + 1
}

/// The bytes of a class's blocks, header included.
#[inline(always)]
fn size_of_class(class: usize) -> usize {
    if class == 0 {
        return SMALLEST;
    }
    let power = 7 + (class - 1) / 8;
    let eighth = (class - 1) % 8 + 1;
    (1 << power) + (eighth << (power - 3))
}

fn layout_of(class: usize) -> Layout {
    let size = size_of_class(class);
    let align = if size >= HUGE_PAGE { HUGE_PAGE } else { HEADER };
    Layout::from_size_align(size, align).expect("classes end far below isize::MAX")
}

fn large_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let asked = std::env::var("BACKPASS_POOL_LIMIT").ok().and_then(|text| text.parse().ok());
        asked.unwrap_or_else(|| physical_memory() / 4)
    })
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

/// A block from the system.
#[cold]
fn fresh(class: usize) -> Option<NonNull<Header>> {
    let layout = layout_of(class);
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc(layout) };
    #[allow(clippy::cast_ptr_alignment)] // the layout asks for the alignment
    let block = NonNull::new(memory.cast::<Header>())?;
    #[cfg(target_os = "linux")]
    if layout.size() >= HUGE_PAGE {
        // SAFETY: the range has just been allocated; the advice changes no contents.
        unsafe { libc::madvise(block.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
    // SAFETY: the block is large enough and aligned.
    unsafe { block.write(Header { owner: [0; 4], next: null_mut(), class }) };
    Some(block)
}

/// Gives a block back to the system.
///
/// # Safety
///
/// The block came from [`fresh`] and nobody uses it.
#[cold]
unsafe fn discard(block: NonNull<Header>) {
    // SAFETY: the layout is the one it was allocated with.
    unsafe { dealloc(block.as_ptr().cast(), layout_of(block.as_ref().class)) };
}

impl Cache {
    #[inline(always)]
    fn counters(&self) -> &'static Counters {
        match self.counters.get() {
            Some(counters) => counters,
            None => self.register(),
        }
    }

    #[cold]
    fn register(&self) -> &'static Counters {
        let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = registry.idle.pop().unwrap_or_else(|| {
            let counters: &'static Counters = Box::leak(Box::default());
            registry.all.push(counters);
            counters
        });
        self.counters.set(Some(counters));
        self.epoch.set(EPOCH.load(Relaxed));
        counters
    }

    #[inline(always)]
    fn take(&self, class: usize) -> Option<NonNull<Header>> {
        let counters = self.counters();
        let size = size_of_class(class);
        let block = if let Some(block) = NonNull::new(self.lists[class].get()) {
            // SAFETY: blocks in a list are whole and belong to this thread.
            self.lists[class].set(unsafe { block.as_ref().next });
            bump(&counters.cached, size.wrapping_neg());
            bump(&counters.reused, 1);
            if size >= LARGE {
                LARGE_CACHED.fetch_sub(size, Relaxed);
            } else {
                self.small_cached.set(self.small_cached.get() - size);
            }
            block
        } else {
            fresh(class)?
        };
        bump(&counters.allocations, 1);
        bump(&counters.in_use, size);
        Some(block)
    }

    #[inline(always)]
    unsafe fn give(&self, mut block: NonNull<Header>) {
        // SAFETY: the caller hands over a whole block.
        let header = unsafe { block.as_mut() };
        let size = size_of_class(header.class);
        let counters = self.counters();
        bump(&counters.in_use, size.wrapping_neg());
        if self.epoch.get() != EPOCH.load(Relaxed) {
            self.flush();
        }
        if size >= LARGE {
            if LARGE_CACHED.fetch_add(size, Relaxed) + size > large_limit() {
                LARGE_CACHED.fetch_sub(size, Relaxed);
                // SAFETY: nobody uses it.
                return unsafe { discard(block) };
            }
        } else {
            if self.small_cached.get() + size > SMALL_LIMIT {
                // SAFETY: nobody uses it.
                return unsafe { discard(block) };
            }
            self.small_cached.set(self.small_cached.get() + size);
        }
        bump(&counters.cached, size);
        header.next = self.lists[header.class].get();
        self.lists[header.class].set(block.as_ptr());
    }

    #[cold]
    fn flush(&self) {
        let counters = self.counters();
        self.epoch.set(EPOCH.load(Relaxed));
        for (class, list) in self.lists.iter().enumerate() {
            let size = size_of_class(class);
            while let Some(block) = NonNull::new(list.get()) {
                // SAFETY: blocks in a list are whole and belong to this thread.
                unsafe {
                    list.set(block.as_ref().next);
                    discard(block);
                }
                bump(&counters.cached, size.wrapping_neg());
                if size >= LARGE {
                    LARGE_CACHED.fetch_sub(size, Relaxed);
                }
            }
        }
        self.small_cached.set(0);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(counters) = self.counters.get() {
            self.flush();
            REGISTRY.lock().unwrap_or_else(PoisonError::into_inner).idle.push(counters);
        }
    }
}

/// A block with room for `bytes` of data, uninitialised; `None` if there is no memory.
#[inline]
#[must_use]
pub fn allocate(bytes: usize) -> Option<NonNull<Header>> {
    let total = bytes.checked_add(HEADER)?;
    if total > 1 << 47 {
        return None;
    }
    let class = class_of(total);
    CACHE.try_with(|cache| cache.take(class)).unwrap_or_else(|_| fresh(class))
}

/// Takes a block back.
///
/// # Safety
///
/// The block came from [`allocate`], and nobody uses it any more.
#[inline]
pub unsafe fn release(block: NonNull<Header>) {
    // SAFETY: the caller hands the block over; past the thread's end it goes to the system.
    unsafe {
        if CACHE.try_with(|cache| cache.give(block)).is_err() {
            discard(block);
        }
    }
}

/// Gives idle blocks back to the system: this thread's now, another thread's when it next releases
/// one.
pub fn empty_cache() {
    EPOCH.fetch_add(1, Relaxed);
    let _ = CACHE.try_with(Cache::flush);
}

/// The pool's state.
#[must_use]
pub fn memory_stats() -> Stats {
    let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    registry.all.iter().fold(Stats::default(), |sum, counters| Stats {
        in_use: sum.in_use.wrapping_add(counters.in_use.load(Relaxed)),
        cached: sum.cached.wrapping_add(counters.cached.load(Relaxed)),
        allocations: sum.allocations.wrapping_add(counters.allocations.load(Relaxed)),
        reused: sum.reused.wrapping_add(counters.reused.load(Relaxed)),
    })
}

/// Scratch memory of `n` elements, given back when dropped.
#[derive(Debug)]
pub struct Scratch<T> {
    block: NonNull<Header>,
    element: std::marker::PhantomData<T>,
}

impl<T: Copy> Scratch<T> {
    /// Room for `n` elements, uninitialised.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let block = n.checked_mul(size_of::<T>()).and_then(allocate).expect("out of memory");
        Self { block, element: std::marker::PhantomData }
    }

    /// Where it begins.
    #[must_use]
    pub fn as_ptr(&self) -> *mut T {
        Header::data(self.block).cast()
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: the block is this value's own.
        unsafe { release(self.block) };
    }
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

    #[test]
    fn a_block_is_used_again_and_aligned() {
        std::thread::spawn(|| {
            for bytes in [0, 1, 40, 4096, 100_000, 3 << 20] {
                let first = allocate(bytes).unwrap();
                assert_eq!(Header::data(first) as usize % 64, 0);
                // SAFETY: the block holds `bytes`, and is released once.
                unsafe {
                    Header::data(first).write_bytes(1, bytes);
                    release(first);
                }
                let second = allocate(bytes).unwrap();
                assert_eq!(first, second);
                // SAFETY: as above.
                unsafe { release(second) };
            }
            empty_cache();
            CACHE.with(|cache| assert!(cache.lists.iter().all(|list| list.get().is_null())));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(allocate(usize::MAX).is_none());
        assert!(allocate(1 << 48).is_none());
    }
}
