//! A few threads that share one kernel's chunks.
//!
//! A helper spins for a while after its last job and then parks, so that a job that follows soon
//! finds it awake. Chunks are handed out by counters, one a participant: each begins with the same
//! part of the chunks every time (what it wrote last time is in its cache) and then helps the
//! others. The calling thread works too, and finishes alone if no helper comes in time. Kernels cut
//! their work so that the results do not depend on who does which chunk.
//!
//! Where other threads want the processors too, a helper that is preempted in the middle of a chunk
//! keeps its caller waiting for as long as the system pleases. Jobs then get fewer participants for
//! a while ([`Crowd`]).
//!
//! A job is one at a time: `busy` is its lock. `job` and the seats' `inside` are a Dekker pair: a
//! helper raises `inside` and then reads `job`, the caller clears `job` and then reads `inside`, all
//! in one order (`SeqCst`), so that either the helper finds no job or the caller waits for it.
//! `epoch` and the seats' `parked` are another: nobody parks over a new job that wakes nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::settings;

/// The most threads that share a job.
pub const MOST: usize = 64;
/// Below this, waking nobody is faster even if a helper spins.
const WORTH: usize = 8_000;
/// From this on, it is worth to wake a parked helper for one job.
const WORTH_WAKING: usize = 60_000;
/// How long a helper spins before it parks.
const SPIN: Duration = Duration::from_micros(60);
/// Jobs that follow each other within this many nanoseconds keep the helpers awake.
const BUSY_PHASE: usize = 500_000;
/// A helper that is later than this was preempted: the system's turns are milliseconds.
const LATE: Duration = Duration::from_micros(300);
/// A helper that spun and did not look for so long was preempted.
const LONG: Duration = Duration::from_millis(1);
/// So was one that spun and yet missed so many jobs.
const MISSED: usize = 32;

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads a kernel may use: `BACKPASS_NUM_THREADS`, or one for each processor.
#[must_use]
pub fn num_threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => {
            let n = settings::num_threads().unwrap_or_else(processors).clamp(1, MOST);
            // Whoever sets it meanwhile goes first.
            THREADS.compare_exchange(0, n, Relaxed, Relaxed).err().unwrap_or(n)
        }
        n => n,
    }
}

/// The processors that this process may use.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS
        .get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Lets kernels use up to `n` threads (at most 64).
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MOST), Relaxed);
}

/// A value on cache lines of its own.
#[repr(align(128))]
struct Apart<T>(T);

struct Job<'a> {
    chunk: &'a (dyn Fn(usize) + Sync),
    chunks: usize,
    participants: usize,
    next: &'a [Apart<AtomicUsize>],
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
            let next = &self.next[whose].0;
            // Looking first leaves the line with its owner when nothing is left.
            while next.load(Relaxed) < end {
                let chunk = next.fetch_add(1, Relaxed);
                if chunk >= end {
                    break;
                }
                (self.chunk)(chunk);
            }
        }
    }
}

/// A helper's place.
struct Seat {
    /// The helper may be looking at the job.
    inside: AtomicBool,
    /// The helper is parked or about to be.
    parked: AtomicBool,
    /// Wakes it; null before there is a helper.
    thread: AtomicPtr<Thread>,
}

/// What the caller writes and every helper watches: one cache line brings all of it.
struct Call {
    /// Counts jobs.
    epoch: AtomicUsize,
    /// The job; null when there is none.
    job: AtomicPtr<Job<'static>>,
}

struct Pool {
    call: Apart<Call>,
    seats: [Apart<Seat>; MOST - 1],
    /// A job runs, or is being set up: the lock of what follows and of starting helpers.
    busy: Apart<AtomicBool>,
    /// Helpers that were started.
    helpers: AtomicUsize,
    /// Helpers that could be started: fewer than asked for where the system refused a thread.
    possible: AtomicUsize,
    /// When the last job came, on [`clock`].
    last: AtomicUsize,
    crowd: Crowd,
}

static POOL: Pool = Pool {
    call: Apart(Call { epoch: AtomicUsize::new(0), job: AtomicPtr::new(null_mut()) }),
    seats: [const {
        Apart(Seat {
            inside: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            thread: AtomicPtr::new(null_mut()),
        })
    }; MOST - 1],
    busy: Apart(AtomicBool::new(false)),
    helpers: AtomicUsize::new(0),
    possible: AtomicUsize::new(MOST),
    last: AtomicUsize::new(0),
    crowd: Crowd {
        level: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        until: AtomicUsize::new(0),
    },
};

/// Nanoseconds since the first call.
fn clock() -> usize {
    static START: OnceLock<Instant> = OnceLock::new();
    // One hour ahead, so that no time seems recent at the start.
    3_600_000_000_000 + START.get_or_init(Instant::now).elapsed().as_nanos() as usize
}

/// How crowded the processors are.
///
/// Each late helper raises the level and halves the participants, for a while that gets longer the
/// more often this happens.
struct Crowd {
    level: AtomicUsize,
    /// Milliseconds that a level lasts, as a power of two.
    length: AtomicUsize,
    /// When the level falls, on [`clock`].
    until: AtomicUsize,
}

impl Crowd {
    const HIGHEST: usize = 6;
    const LONGEST: usize = 7;

    /// How many of `participants` should take part now.
    fn spares(&self, participants: usize) -> usize {
        let level = self.level.load(Relaxed);
        if level == 0 {
            return participants;
        }
        let now = clock();
        if now < self.until.load(Relaxed) {
            return (participants >> level).max(1);
        }
        self.set(level - 1, now);
        (participants >> (level - 1)).max(1)
    }

    /// A helper was late.
    fn rise(&self) {
        let now = clock();
        let length = self.length.load(Relaxed);
        let quiet = now.saturating_sub(self.until.load(Relaxed)) > 8_000_000 << length;
        self.length.store(if quiet { 1 } else { (length + 1).min(Self::LONGEST) }, Relaxed);
        self.set((self.level.load(Relaxed) + 1).min(Self::HIGHEST), now);
    }

    /// Several threads call kernels.
    fn meet(&self) {
        if self.level.load(Relaxed) == 0 {
            self.rise();
        }
    }

    fn set(&self, level: usize, now: usize) {
        self.until.store(now + (1_000_000 << self.length.load(Relaxed)), Relaxed);
        self.level.store(level, Relaxed);
    }
}

/// A child process has none of its parent's threads.
#[cfg(unix)]
extern "C" fn forget_after_fork() {
    POOL.call.0.job.store(null_mut(), SeqCst);
    for Apart(seat) in &POOL.seats {
        seat.inside.store(false, SeqCst);
        seat.parked.store(false, SeqCst);
    }
    POOL.helpers.store(0, SeqCst);
    POOL.crowd.level.store(0, SeqCst);
    POOL.busy.0.store(false, SeqCst);
}

impl Pool {
    /// Starts helpers until there are `wanted`, if possible; how many of these there are.
    fn start(&'static self, wanted: usize) -> usize {
        let wanted = wanted.min(self.possible.load(Relaxed));
        let running = self.helpers.load(Relaxed);
        if running < wanted {
            self.start_more(running, wanted);
        }
        self.helpers.load(Relaxed).min(wanted)
    }

    #[cold]
    fn start_more(&'static self, running: usize, wanted: usize) {
        #[cfg(unix)]
        {
            static DONE: AtomicBool = AtomicBool::new(false);
            if !DONE.swap(true, Relaxed) {
                // SAFETY: the handler only writes atomics.
                unsafe {
                    libc::pthread_atfork(None, None, Some(forget_after_fork));
                }
            }
        }
        let epoch = self.call.0.epoch.load(Relaxed);
        without_signals(|| {
            for helper in running..wanted {
                let spawned = std::thread::Builder::new()
                    .name(format!("backpass-{}", helper + 1))
                    .spawn(move || self.help(helper, epoch));
                let Ok(handle) = spawned else {
                    self.possible.store(helper, Relaxed);
                    break;
                };
                let thread = Box::into_raw(Box::new(handle.thread().clone()));
                // A child process leaves its parent's handle behind, a few bytes.
                self.seats[helper].0.thread.store(thread, Release);
                self.helpers.store(helper + 1, Relaxed);
            }
        });
    }

    /// A helper's life.
    fn help(&self, helper: usize, mut seen: usize) {
        let Apart(Call { epoch, job }) = &self.call;
        let seat = &self.seats[helper].0;
        let me = helper + 1;
        let mut since = Instant::now();
        loop {
            let mut spins = 0u32;
            let mut looked = None;
            let mut awake = true;
            while epoch.load(Acquire) == seen {
                std::hint::spin_loop();
                spins += 1;
                if !spins.is_multiple_of(64) {
                    continue;
                }
                let now = Instant::now();
                if looked.replace(now).is_some_and(|then| now - then > LONG) {
                    self.crowd.rise();
                }
                if now - since > SPIN {
                    awake = false;
                    seat.parked.store(true, SeqCst);
                    while epoch.load(SeqCst) == seen {
                        std::thread::park();
                    }
                    seat.parked.store(false, SeqCst);
                }
            }
            let before = seen;
            seen = epoch.load(Acquire);
            if awake && seen.wrapping_sub(before) > MISSED {
                self.crowd.rise();
            }
            seat.inside.store(true, SeqCst);
            let job = job.load(SeqCst);
            if !job.is_null() {
                // SAFETY: the caller waits until nobody is inside before the job ends, and `inside`
                // was raised before the job was read.
                let job = unsafe { &*job };
                if me < job.participants {
                    if catch_unwind(AssertUnwindSafe(|| job.work(me))).is_err() {
                        job.panicked.store(true, Relaxed);
                    }
                    // Who has no part in these jobs need not stay awake for them.
                    since = Instant::now();
                }
            }
            seat.inside.store(false, Release);
        }
    }

    /// Whether parked helpers should be woken for a job of this length.
    fn worth_waking(&self, nanoseconds: usize) -> bool {
        let now = clock();
        let last = self.last.swap(now, Relaxed);
        nanoseconds >= WORTH_WAKING || now - last < BUSY_PHASE
    }

    /// Waits until the helpers have left the job.
    fn wait(&self, participants: usize, nanoseconds: usize) {
        let mut since: Option<Instant> = None;
        let mut spins = 0u32;
        for Apart(seat) in &self.seats[..self.helpers.load(Relaxed)] {
            while seat.inside.load(SeqCst) {
                std::hint::spin_loop();
                spins += 1;
                if spins.is_multiple_of(512) {
                    let waited = since.get_or_insert_with(Instant::now).elapsed();
                    if waited > Duration::from_micros(50) {
                        // It may have lost its processor in the middle of a chunk, even to us.
                        std::thread::yield_now();
                    }
                }
            }
        }
        let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited > LATE + Duration::from_nanos((nanoseconds / participants) as u64) {
            self.crowd.rise();
        }
    }
}

/// Runs `start` with all signals blocked: the threads it starts inherit that, and the process's
/// signals go to the threads that await them.
#[cfg(unix)]
fn without_signals(start: impl FnOnce()) {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` fills the set, and the first call `before`, which the second puts back.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        start();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut());
    }
}

#[cfg(not(unix))]
fn without_signals(start: impl FnOnce()) {
    start();
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
    static NEXT: [Apart<AtomicUsize>; MOST] = [const { Apart(AtomicUsize::new(0)) }; MOST];
    let pool = &POOL;
    // A second caller, or a helper that calls a kernel, works alone.
    if pool.busy.0.compare_exchange(false, true, Acquire, Relaxed).is_err() {
        if participants >= processors() {
            pool.crowd.meet();
        }
        return false;
    }
    let participants = pool.crowd.spares(participants);
    let helpers = if participants < 2 { 0 } else { pool.start(participants - 1) };
    let participants = 1 + helpers;
    let asleep = || pool.seats[..helpers].iter().any(|seat| seat.0.parked.load(SeqCst));
    let wakes = asleep();
    if helpers == 0 || (wakes && !pool.worth_waking(nanoseconds)) {
        pool.busy.0.store(false, Release);
        return false;
    }
    let job = Job { chunk, chunks, participants, next: &NEXT, panicked: AtomicBool::new(false) };
    for (i, next) in NEXT[..participants].iter().enumerate() {
        next.0.store(i * chunks / participants, Relaxed);
    }
    pool.call.0.job.store((&raw const job).cast_mut().cast(), SeqCst);
    pool.call.0.epoch.fetch_add(1, SeqCst);
    for Apart(seat) in &pool.seats[..helpers] {
        if seat.parked.load(SeqCst) {
            // SAFETY: a handle is stored before its helper counts, and never freed.
            unsafe { &*seat.thread.load(Acquire) }.unpark();
        }
    }
    let mine = catch_unwind(AssertUnwindSafe(|| job.work(0)));
    pool.call.0.job.store(null_mut(), SeqCst);
    pool.wait(participants, nanoseconds);
    pool.busy.0.store(false, Release);
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
