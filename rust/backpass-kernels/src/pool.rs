//! Memory that is used again.
//!
//! A page fault costs more than a small kernel, and the values that wait for the backward pass make
//! the system's allocator fault on every step. Blocks therefore come from free lists, one a size
//! class: each thread's own up to 32 MiB, and behind them, and for blocks of 2 MiB and more, the
//! [`depot`], which all threads share: what one thread releases another one finds. Data are aligned
//! to 64 bytes; from 2 MiB on, blocks have mappings of their own, on huge pages where the system has
//! them.
//!
//! What lies idle in the depot is bounded by a quarter of the memory or by `BACKPASS_POOL_LIMIT`
//! bytes; with a limit of 0, nothing lies idle anywhere.

mod classes;
mod depot;
mod system;

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use classes::{CLASSES, class_of, size_of_class};
use depot::DEPOT;
use system::{HUGE_PAGE, discard, fresh};

/// Bytes before a block's data: the [`Header`].
pub const HEADER: usize = 64;

/// What a thread keeps for itself.
const OWN_LIMIT: usize = 32 << 20;

/// What precedes a block's data.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Header {
    /// For the block's owner; never touched while the block is out.
    pub owner: [usize; 4],
    next: *mut Header,
    class: usize,
    /// What was asked for; kept where debug assertions look for writes beyond it.
    bytes: usize,
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
/// where a block was released on another thread than the one that allocated it. They outlive the
/// thread, and the next one goes on with them.
struct Counters {
    in_use: AtomicUsize,
    cached: AtomicUsize,
    allocations: AtomicUsize,
    reused: AtomicUsize,
    taken: AtomicBool,
    next: *const Counters,
}

// SAFETY: `next` is never written after the counters were published.
unsafe impl Sync for Counters {}

/// A list that only grows: it needs no lock, which a fork could leave behind locked.
static ALL: AtomicPtr<Counters> = AtomicPtr::new(null_mut());
/// Counts the calls of [`empty_cache`].
static EMPTIED: AtomicUsize = AtomicUsize::new(0);

fn all_counters() -> impl Iterator<Item = &'static Counters> {
    // SAFETY: counters are published whole and never freed.
    let whole = |counters: *const Counters| unsafe { counters.as_ref() };
    std::iter::successors(whole(ALL.load(Acquire)), move |counters| whole(counters.next))
}

impl Counters {
    /// Counters for this thread.
    fn claim() -> &'static Self {
        let free = |it: &&Self| it.taken.compare_exchange(false, true, AcqRel, Relaxed).is_ok();
        if let Some(idle) = all_counters().find(free) {
            return idle;
        }
        let made = Box::leak(Box::new(Self {
            in_use: AtomicUsize::new(0),
            cached: AtomicUsize::new(0),
            allocations: AtomicUsize::new(0),
            reused: AtomicUsize::new(0),
            taken: AtomicBool::new(true),
            next: null_mut(),
        }));
        let mut head = ALL.load(Acquire);
        loop {
            made.next = head;
            match ALL.compare_exchange(head, made, AcqRel, Acquire) {
                Ok(_) => return made,
                Err(other) => head = other,
            }
        }
    }
}

#[inline(always)]
fn bump(counter: &AtomicUsize, by: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

struct Cache {
    lists: [Cell<*mut Header>; CLASSES],
    counters: Cell<Option<&'static Counters>>,
    bytes: Cell<usize>,
    limit: Cell<usize>,
    emptied: Cell<usize>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache {
            lists: [const { Cell::new(null_mut()) }; CLASSES],
            counters: Cell::new(None),
            bytes: Cell::new(0),
            limit: Cell::new(0),
            emptied: Cell::new(0),
        }
    };
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
        depot::prepare_for_forks();
        let counters = Counters::claim();
        self.counters.set(Some(counters));
        self.limit.set(OWN_LIMIT.min(depot::limit()));
        self.emptied.set(EMPTIED.load(Relaxed));
        counters
    }

    #[inline(always)]
    fn take(&self, class: usize) -> Option<NonNull<Header>> {
        let counters = self.counters();
        let size = size_of_class(class);
        let block = if let Some(block) = NonNull::new(self.lists[class].get()) {
            // SAFETY: blocks in a list are whole and belong to this thread.
            self.lists[class].set(unsafe { block.as_ref().next });
            self.bytes.set(self.bytes.get() - size);
            bump(&counters.cached, size.wrapping_neg());
            bump(&counters.reused, 1);
            block
        } else if let Some(block) = DEPOT.take(class) {
            bump(&counters.reused, 1);
            block
        } else {
            self.fresh(class)?
        };
        bump(&counters.allocations, 1);
        bump(&counters.in_use, size);
        Some(block)
    }

    /// A block from the system, which gets back what lies idle if it has none.
    #[cold]
    fn fresh(&self, class: usize) -> Option<NonNull<Header>> {
        fresh(class).or_else(|| {
            self.empty();
            DEPOT.clear();
            fresh(class)
        })
    }

    #[inline(always)]
    unsafe fn give(&self, mut block: NonNull<Header>) {
        // SAFETY: the caller hands over a whole block.
        let header = unsafe { block.as_mut() };
        let size = size_of_class(header.class);
        let counters = self.counters();
        bump(&counters.in_use, size.wrapping_neg());
        if self.emptied.get() != EMPTIED.load(Relaxed) {
            self.empty();
        }
        if size >= HUGE_PAGE || self.bytes.get() + size > self.limit.get() {
            return DEPOT.give(block);
        }
        self.bytes.set(self.bytes.get() + size);
        bump(&counters.cached, size);
        header.next = self.lists[header.class].get();
        self.lists[header.class].set(block.as_ptr());
    }

    /// Hands this thread's idle blocks on.
    fn hand_over(&self, to: impl Fn(NonNull<Header>)) {
        let counters = self.counters();
        for list in &self.lists {
            while let Some(block) = NonNull::new(list.get()) {
                // SAFETY: blocks in a list are whole and belong to this thread.
                let header = unsafe { block.as_ref() };
                list.set(header.next);
                bump(&counters.cached, size_of_class(header.class).wrapping_neg());
                to(block);
            }
        }
        self.bytes.set(0);
    }

    #[cold]
    fn empty(&self) {
        self.emptied.set(EMPTIED.load(Relaxed));
        // SAFETY: an idle block is nobody's.
        self.hand_over(|block| unsafe { discard(block) });
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(counters) = self.counters.get() {
            self.hand_over(|block| DEPOT.give(block));
            counters.taken.store(false, Release);
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
    let block = CACHE.try_with(|cache| cache.take(class)).unwrap_or_else(|_| fresh(class))?;
    if cfg!(debug_assertions) {
        // SAFETY: the block is large enough.
        unsafe { guards::set(block, bytes) };
    }
    Some(block)
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
        if cfg!(debug_assertions) {
            guards::check(block);
        }
        if CACHE.try_with(|cache| cache.give(block)).is_err() {
            discard(block);
        }
    }
}

/// Debug assertions: what is not written reads as nan, and what is written beyond a block's end is
/// noticed when it comes back.
mod guards {
    use super::{HEADER, Header, NonNull, size_of_class};

    const FILL: u8 = 0xff;
    /// What lies beyond is not looked at: the whole of a large block's rest would take long.
    const FAR: usize = 4096;

    fn rest(bytes: usize, class: usize) -> usize {
        (size_of_class(class) - HEADER - bytes).min(FAR)
    }

    /// # Safety
    ///
    /// The block has just been taken.
    pub unsafe fn set(mut block: NonNull<Header>, bytes: usize) {
        // SAFETY: both lie within the block.
        unsafe {
            block.as_mut().bytes = bytes;
            Header::data(block).write_bytes(FILL, bytes + rest(bytes, block.as_ref().class));
        }
    }

    /// # Safety
    ///
    /// The block was [`set`].
    pub unsafe fn check(block: NonNull<Header>) {
        // SAFETY: the rest lies within the block and was written by `set`.
        let whole = unsafe {
            let Header { bytes, class, .. } = *block.as_ref();
            let start = Header::data(block).add(bytes);
            std::slice::from_raw_parts(start, rest(bytes, class)).iter().all(|&b| b == FILL)
        };
        if !whole {
            eprintln!("backpass: something was written beyond the end of a block");
            std::process::abort();
        }
    }
}

/// Gives idle blocks back to the system: the shared ones and this thread's now, another thread's own
/// when it next releases one.
pub fn empty_cache() {
    EMPTIED.fetch_add(1, Relaxed);
    let _ = CACHE.try_with(Cache::empty);
    DEPOT.clear();
}

/// The pool's state.
#[must_use]
pub fn memory_stats() -> Stats {
    let start = Stats { cached: DEPOT.bytes(), ..Stats::default() };
    all_counters().fold(start, |sum, counters| Stats {
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
    fn a_block_is_used_again_and_aligned() {
        std::thread::spawn(|| {
            for bytes in [0, 1, 40, 4096, 100_000, 1 << 20] {
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
    fn a_large_block_is_found_by_another_thread() {
        // No other test has blocks of this size.
        let bytes = 37 << 20;
        let first = allocate(bytes).unwrap();
        assert_eq!((first.as_ptr() as usize).is_multiple_of(HUGE_PAGE), cfg!(unix));
        let address = first.as_ptr() as usize;
        // SAFETY: the block holds `bytes`, and is released once.
        unsafe {
            Header::data(first).write_bytes(7, bytes);
            release(first);
        }
        let found = std::thread::spawn(move || {
            let block = allocate(bytes).unwrap();
            // SAFETY: the block is released once.
            unsafe { release(block) };
            block.as_ptr() as usize
        });
        // Another test may have emptied the cache meanwhile, and the system may give any address.
        assert!(found.join().unwrap() == address || EMPTIED.load(Relaxed) > 0);
    }

    #[test]
    fn large_blocks_are_whole_wherever_they_are_mapped() {
        // Kept all at once, so that the system has to find them different places.
        let blocks: Vec<_> = (0..24).map(|i| (3 << 20) + i * 50_000).collect();
        let blocks: Vec<_> = blocks.iter().map(|&n| (allocate(n).unwrap(), n)).collect();
        for (i, &(block, n)) in blocks.iter().enumerate() {
            // SAFETY: the block holds `n` bytes.
            unsafe { Header::data(block).write_bytes(i as u8, n) };
        }
        for (i, (block, n)) in blocks.into_iter().enumerate() {
            // SAFETY: the block holds `n` bytes, all written, and is released once.
            unsafe {
                let bytes = std::slice::from_raw_parts(Header::data(block), n);
                assert!(bytes.iter().all(|&b| b == i as u8));
                release(block);
            }
        }
        empty_cache();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(allocate(usize::MAX).is_none());
        assert!(allocate(1 << 48).is_none());
    }
}
