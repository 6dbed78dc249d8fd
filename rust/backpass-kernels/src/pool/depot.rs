//! Idle blocks that any thread may take: large ones, and what is too much for one thread.

use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};

use super::Header;
use super::classes::{CLASSES, size_of_class};
use super::system::{discard, memory};
use crate::settings;

struct Shelves {
    lists: [*mut Header; CLASSES],
    /// When the class was last used.
    used: [usize; CLASSES],
    now: usize,
    bytes: usize,
}

pub(super) struct Depot {
    locked: AtomicBool,
    shelves: UnsafeCell<Shelves>,
}

// SAFETY: the shelves are reached through `with` only, which holds the lock; idle blocks belong to
// whoever has their list.
unsafe impl Sync for Depot {}

pub(super) static DEPOT: Depot = Depot {
    locked: AtomicBool::new(false),
    shelves: UnsafeCell::new(Shelves {
        lists: [null_mut(); CLASSES],
        used: [0; CLASSES],
        now: 0,
        bytes: 0,
    }),
};

/// How many bytes may lie idle: `BACKPASS_POOL_LIMIT`, or a quarter of the memory.
pub(super) fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| settings::pool_limit().unwrap_or_else(|| memory() / 4))
}

/// A child process must find the lock free: whoever held it may not exist there.
#[cfg(unix)]
pub(super) fn prepare_for_forks() {
    static DONE: AtomicBool = AtomicBool::new(false);
    extern "C" fn before() {
        DEPOT.lock();
    }
    extern "C" fn after() {
        DEPOT.unlock();
    }
    if !DONE.swap(true, Relaxed) {
        // SAFETY: the handlers only write an atomic.
        unsafe {
            libc::pthread_atfork(Some(before), Some(after), Some(after));
        }
    }
}

#[cfg(not(unix))]
pub(super) fn prepare_for_forks() {}

impl Depot {
    fn lock(&self) {
        let mut spins = 0u32;
        while self.locked.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
            spins += 1;
            if spins.is_multiple_of(128) {
                std::thread::yield_now();
            }
        }
    }

    fn unlock(&self) {
        self.locked.store(false, Release);
    }

    /// Calls `body` alone; it does not panic.
    fn with<R>(&self, body: impl FnOnce(&mut Shelves) -> R) -> R {
        self.lock();
        // SAFETY: the lock is held.
        let result = body(unsafe { &mut *self.shelves.get() });
        self.unlock();
        result
    }

    /// An idle block of the class.
    pub(super) fn take(&self, class: usize) -> Option<NonNull<Header>> {
        self.with(|shelves| shelves.take(class))
    }

    /// Takes a block in. What then lies idle beyond the limit goes back to the system, from the
    /// classes that were not used for the longest time.
    pub(super) fn give(&self, mut block: NonNull<Header>) {
        let limit = limit();
        let mut leaving = self.with(|shelves| {
            // SAFETY: the caller hands over a whole block.
            let header = unsafe { block.as_mut() };
            header.next = shelves.lists[header.class];
            shelves.lists[header.class] = block.as_ptr();
            shelves.bytes += size_of_class(header.class);
            shelves.touch(header.class);
            let mut leaving = null_mut();
            while shelves.bytes > limit {
                let Some(mut oldest) = shelves.oldest() else { break };
                // SAFETY: blocks in a list are whole.
                unsafe { oldest.as_mut().next = leaving };
                leaving = oldest.as_ptr();
            }
            leaving
        });
        while let Some(block) = NonNull::new(leaving) {
            // SAFETY: these blocks are nobody's any more.
            unsafe {
                leaving = block.as_ref().next;
                discard(block);
            }
        }
    }

    /// Gives everything back to the system.
    pub(super) fn clear(&self) {
        while let Some(block) = self.with(Shelves::oldest) {
            // SAFETY: the block is nobody's any more.
            unsafe { discard(block) };
        }
    }

    /// How many bytes lie here.
    pub(super) fn bytes(&self) -> usize {
        self.with(|shelves| shelves.bytes)
    }
}

impl Shelves {
    fn touch(&mut self, class: usize) {
        self.now += 1;
        self.used[class] = self.now;
    }

    fn take(&mut self, class: usize) -> Option<NonNull<Header>> {
        let block = NonNull::new(self.lists[class])?;
        // SAFETY: blocks in a list are whole.
        self.lists[class] = unsafe { block.as_ref().next };
        self.bytes -= size_of_class(class);
        self.touch(class);
        Some(block)
    }

    /// A block of the class that was not used for the longest time.
    fn oldest(&mut self) -> Option<NonNull<Header>> {
        let class =
            (0..CLASSES).filter(|&c| !self.lists[c].is_null()).min_by_key(|&c| self.used[c])?;
        let used = self.used[class];
        let block = self.take(class);
        self.used[class] = used;
        block
    }
}
