//! A few threads that share one kernel's chunks.
//!
//! A helper spins for a while after its last job and then parks, so that a job that follows soon
//! finds it awake. Chunks are handed out by counters, one a participant: each begins with the same
//! part of the chunks every time (what it wrote last time is in its cache) and then helps the
//! others. The calling thread works too, and finishes alone if no helper comes in time. Kernels cut
//! their work so that the results do not depend on who does which chunk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The most threads that share a job.
const MOST: usize = 64;
/// Below this, waking nobody is faster even if a helper spins.
const WORTH: usize = 8_000;
/// From this on, it is worth to wake a parked helper for one job.
const WORTH_WAKING: usize = 60_000;
/// How long a helper spins before it parks.
const SPIN: Duration = Duration::from_micros(60);
/// Jobs that follow each other within this time keep the helpers awake.
const BUSY_PHASE: Duration = Duration::from_micros(500);

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads a kernel may use: `BACKPASS_NUM_THREADS`, or one for each processor.
#[must_use]
pub fn num_threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => {
            let asked =
                std::env::var("BACKPASS_NUM_THREADS").ok().and_then(|text| text.parse().ok());
            let n = asked.unwrap_or_else(|| {
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
            });
            set_num_threads(n);
            THREADS.load(Relaxed)
        }
        n => n,
    }
}

/// Lets kernels use up to `n` threads (at most 64).
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MOST), Relaxed);
}

/// A counter on a cache line of its own.
#[repr(align(128))]
struct Counter(AtomicUsize);

struct Job<'a> {
    chunk: &'a (dyn Fn(usize) + Sync),
    chunks: usize,
    participants: usize,
    next: &'a [Counter],
    panicked: AtomicBool,
}

impl Job<'_> {
    /// Where a participant's own part of the chunks ends.
    fn end(&self, participant: usize) -> usize {
        (participant + 1) * self.chunks / self.participants
    }

    fn work(&self, me: usize) {
        for other in 0..self.participants {
            let whose = (me + other) % self.participants;
            let end = self.end(whose);
            loop {
                let chunk = self.next[whose].0.fetch_add(1, Relaxed);
                if chunk >= end {
                    break;
                }
                (self.chunk)(chunk);
            }
        }
    }
}

struct Pool {
    /// A job runs, or is being set up.
    busy: AtomicBool,
    /// The job; null when there is none.
    job: AtomicPtr<Job<'static>>,
    /// Counts jobs: helpers watch it.
    epoch: AtomicUsize,
    /// Helpers that may be looking at the job.
    inside: AtomicUsize,
    /// Helpers that are parked or about to be.
    parked: AtomicUsize,
    /// Helpers that were started.
    helpers: AtomicUsize,
    handles: Mutex<Vec<Thread>>,
    last: Mutex<Option<Instant>>,
}

static POOL: Pool = Pool {
    busy: AtomicBool::new(false),
    job: AtomicPtr::new(std::ptr::null_mut()),
    epoch: AtomicUsize::new(0),
    inside: AtomicUsize::new(0),
    parked: AtomicUsize::new(0),
    helpers: AtomicUsize::new(0),
    handles: Mutex::new(Vec::new()),
    last: Mutex::new(None),
};

/// A child process has none of its parent's threads.
#[cfg(unix)]
extern "C" fn forget_after_fork() {
    POOL.job.store(std::ptr::null_mut(), SeqCst);
    POOL.inside.store(0, SeqCst);
    POOL.parked.store(0, SeqCst);
    POOL.helpers.store(0, SeqCst);
    POOL.busy.store(false, SeqCst);
}

impl Pool {
    /// Starts helpers until there are `wanted`; how many there are.
    fn start(&'static self, wanted: usize) -> usize {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            #[cfg(unix)]
            // SAFETY: the handler only writes atomics.
            unsafe {
                libc::pthread_atfork(None, None, Some(forget_after_fork));
            }
        });
        let mut running = self.helpers.load(Relaxed);
        if running >= wanted {
            return running;
        }
        // Nobody else is here: `busy` is ours. Another thread of the parent may have held the lock
        // when this process was forked; then the caller works alone.
        let Ok(mut handles) = self.handles.try_lock() else { return 0 };
        handles.truncate(running);
        while running < wanted {
            let me = running + 1;
            let epoch = self.epoch.load(Relaxed);
            let spawned = std::thread::Builder::new()
                .name(format!("backpass-{me}"))
                .spawn(move || self.help(me, epoch));
            let Ok(handle) = spawned else { break };
            handles.push(handle.thread().clone());
            running += 1;
        }
        self.helpers.store(running, Relaxed);
        running
    }

    /// A helper's life.
    fn help(&self, me: usize, mut seen: usize) {
        loop {
            let mut since = None;
            let mut spins = 0u32;
            while self.epoch.load(Acquire) == seen {
                std::hint::spin_loop();
                spins += 1;
                if spins.is_multiple_of(64) {
                    let since = *since.get_or_insert_with(Instant::now);
                    if since.elapsed() > SPIN {
                        self.parked.fetch_add(1, SeqCst);
                        while self.epoch.load(SeqCst) == seen {
                            std::thread::park();
                        }
                        self.parked.fetch_sub(1, SeqCst);
                    }
                }
            }
            seen = self.epoch.load(Acquire);
            self.inside.fetch_add(1, SeqCst);
            let job = self.job.load(SeqCst);
            if !job.is_null() {
                // SAFETY: the caller waits until nobody is inside before the job ends, and `inside`
                // was raised before the job was read.
                let job = unsafe { &*job };
                if me < job.participants && catch_unwind(AssertUnwindSafe(|| job.work(me))).is_err()
                {
                    job.panicked.store(true, Relaxed);
                }
            }
            self.inside.fetch_sub(1, Release);
        }
    }

    /// Whether parked helpers should be woken for a job of this length.
    fn worth_waking(&self, nanoseconds: usize) -> bool {
        let now = Instant::now();
        let Ok(mut last) = self.last.try_lock() else { return false };
        let busy = last.replace(now).is_some_and(|then| now - then < BUSY_PHASE);
        busy || nanoseconds >= WORTH_WAKING
    }
}

/// Calls `chunk` with every number below `chunks`, on several threads if that is worth it: if the
/// whole takes more than a few microseconds on one. `nanoseconds` is about what it takes.
///
/// # Panics
///
/// If `chunk` does.
pub fn run(chunks: usize, nanoseconds: usize, chunk: &(dyn Fn(usize) + Sync)) {
    let participants = num_threads().min(chunks);
    if participants < 2 || nanoseconds < WORTH || !shared(chunks, participants, nanoseconds, chunk)
    {
        for i in 0..chunks {
            chunk(i);
        }
    }
}

/// Whether helpers could be asked to take part; if so, all is done.
fn shared(
    chunks: usize,
    participants: usize,
    nanoseconds: usize,
    chunk: &(dyn Fn(usize) + Sync),
) -> bool {
    static NEXT: [Counter; MOST] = [const { Counter(AtomicUsize::new(0)) }; MOST];
    let pool = &POOL;
    // A second caller, or a helper that calls a kernel, works alone.
    if pool.busy.compare_exchange(false, true, Acquire, Relaxed).is_err() {
        return false;
    }
    let participants = participants.min(1 + pool.start(participants - 1));
    let parked = pool.parked.load(SeqCst) > 0;
    if participants < 2 || (parked && !pool.worth_waking(nanoseconds)) {
        pool.busy.store(false, Release);
        return false;
    }
    let job = Job { chunk, chunks, participants, next: &NEXT, panicked: AtomicBool::new(false) };
    for (i, next) in NEXT[..participants].iter().enumerate() {
        next.0.store(i * chunks / participants, Relaxed);
    }
    pool.job.store((&raw const job).cast_mut().cast(), SeqCst);
    pool.epoch.fetch_add(1, SeqCst);
    if parked || pool.parked.load(SeqCst) > 0 {
        let handles = pool.handles.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in &handles[..participants - 1] {
            handle.unpark();
        }
    }
    let mine = catch_unwind(AssertUnwindSafe(|| job.work(0)));
    pool.job.store(std::ptr::null_mut(), SeqCst);
    let mut spins = 0u32;
    while pool.inside.load(SeqCst) > 0 {
        std::hint::spin_loop();
        spins += 1;
        if spins > 20_000 {
            // A helper has lost its processor in the middle of a chunk.
            std::thread::yield_now();
        }
    }
    pool.busy.store(false, Release);
    if let Err(panic) = mine {
        std::panic::resume_unwind(panic);
    }
    assert!(!job.panicked.load(Relaxed), "a helper panicked");
    true
}

/// A pointer that helpers may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<P>(P);

// SAFETY: whoever makes one sees to it that the threads' accesses do not meet.
unsafe impl<P> Sync for Shared<P> {}

impl<P: Copy> Shared<P> {
    /// Lets helpers use `pointer`.
    ///
    /// # Safety
    ///
    /// No element is written by one thread while another one uses it.
    pub(crate) unsafe fn new(pointer: P) -> Self {
        Self(pointer)
    }

    /// The pointer.
    #[inline(always)]
    pub(crate) fn get(&self) -> P
    where
        P: Copy,
    {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_once() {
        set_num_threads(3);
        for round in 0..2000 {
            let counts: Vec<AtomicUsize> = (0..37).map(|_| AtomicUsize::new(0)).collect();
            run(counts.len(), 1_000_000, &|i| {
                counts[i].fetch_add(1, Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Relaxed) == 1), "round {round}");
        }
    }

    #[test]
    fn a_job_within_a_job_runs_alone() {
        let total = AtomicUsize::new(0);
        run(8, 1_000_000, &|_| {
            run(8, 1_000_000, &|_| {
                total.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(total.load(Relaxed), 64);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = catch_unwind(|| run(16, 1_000_000, &|i| assert!(i != 7, "chunk seven")));
        assert!(caught.is_err());
        run(16, 1_000_000, &|_| ());
    }
}
