// The processor of the emulator: runs a grid's blocks one after the other, and the threads of a
// block in turns.
//
// A thread that waits at a barrier, or for the other lanes of its warp, gives the turn to the next.
// Who is first is drawn anew each time, from a fixed seed: a kernel that leans on an order fails.
// Kernels without barriers are plain calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

#include "runtime.h"

extern "C" {
emulator_place emulator_here;
alignas(1024) char emulator_dynamic_shared[227 * 1024];
}
Turn turn;
const emulator_launch *launch;

namespace {

enum Kind { SYNC, IDX, UP, DOWN, XOR, BALLOT, ANY, ALL, MATCH_ANY, MATCH_ALL };
enum State { READY, AT_BARRIER, IN_WARP, ENDED };
constexpr size_t STACK = 128 * 1024, MOST = 1024;

struct Fiber {
  State state;
  bool started;
  jmp_buf place;
  ucontext_t first;
  char *stack;
  unsigned thread[3];
  // What it waits with.
  int line, kind, barrier_kind, value;
  unsigned mask, warp_interval;
  uint64_t given, made;
  int lane, width;
};

std::vector<Fiber *> fibers;
unsigned count, ended, waiting;  // of the block's threads
jmp_buf scheduler, failure;
unsigned current;
uint64_t random_state;
char *stacks;
uintptr_t base_of_calls;

uint64_t random_bits() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return random_state >> 33;
}

}  // namespace

[[noreturn]] void fail(const char *format, ...) {
  char *message = launch->message;
  int n = snprintf(
      message, launch->message_size, "block (%u, %u, %u), thread (%u, %u, %u): ", emulator_here.block[0],
      emulator_here.block[1], emulator_here.block[2], emulator_here.thread[0],
      emulator_here.thread[1], emulator_here.thread[2]);
  va_list list;
  va_start(list, format);
  vsnprintf(message + n, launch->message_size - n, format, list);
  va_end(list);
  _longjmp(failure, 1);
}

bool on_a_stack(uintptr_t address) {
  if (stacks && address - (uintptr_t)stacks < STACK * MOST) return true;
  // Below the frame of emulator_run, as far as a kernel's calls reach.
  return base_of_calls - address < (1u << 20);
}

namespace {

// ----- turns -----------------------------------------------------------------------------------

void wake_warps_of(unsigned thread);

// What a fiber does, again and again: one thread of each block.
void live() {
  for (;;) {
    launch->kernel(launch->arguments);
    Fiber &self = *fibers[current];
    self.state = ENDED;
    ended++;
    wake_warps_of(current);
    if (!_setjmp(self.place)) _longjmp(scheduler, 1);
  }
}

void resume(unsigned i) {
  Fiber &next = *fibers[i];
  current = i;
  turn.thread = i, turn.warp_interval = next.warp_interval, turn.steps = 0;
  memcpy(emulator_here.thread, next.thread, sizeof next.thread);
  if (_setjmp(scheduler)) return;
  if (next.started) _longjmp(next.place, 1);
  next.started = true;
  setcontext(&next.first);
}

void rest() {
  if (!_setjmp(fibers[current]->place)) _longjmp(scheduler, 1);
}

void make_fibers(unsigned n) {
  if (!stacks) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *made = mmap(nullptr, STACK * MOST, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (made == MAP_FAILED) fail("no memory for the stacks of the threads");
    stacks = static_cast<char *>(made);
  }
  while (fibers.size() < n) {
    Fiber *made = static_cast<Fiber *>(calloc(1, sizeof(Fiber)));
    made->stack = stacks + fibers.size() * STACK;
    fibers.push_back(made);
  }
  for (unsigned i = 0; i < n; i++) {
    Fiber &f = *fibers[i];
    if (f.started && f.state == ENDED) continue;  // waits for its next thread
    f.started = false;
    getcontext(&f.first);
    f.first.uc_stack.ss_sp = f.stack;
    f.first.uc_stack.ss_size = STACK;
    f.first.uc_link = nullptr;
    makecontext(&f.first, live, 0);
  }
}

[[noreturn]] void deadlock() {
  unsigned barrier = 0, warp = 0, line = 0, other = 0;
  for (unsigned i = 0; i < count; i++) {
    Fiber &f = *fibers[i];
    if (f.state == AT_BARRIER) {
      barrier++;
      if (!line) line = f.line;
      if ((int)line != f.line) other = f.line;
    }
    warp += f.state == IN_WARP;
  }
  if (other) {
    fail("__syncthreads() is divergent: threads wait in line %u and in line %u", line, other);
  }
  fail("deadlock: of %u threads %u wait at __syncthreads() (line %u), %u for other lanes of their "
       "warp, and %u have ended", count, barrier, line, warp, ended);
}

void run_block() {
  make_fibers(count);
  ended = waiting = 0;
  unsigned i = 0;
  for (unsigned z = 0; z < emulator_here.threads[2]; z++)
    for (unsigned y = 0; y < emulator_here.threads[1]; y++)
      for (unsigned x = 0; x < emulator_here.threads[0]; x++) {
        Fiber &f = *fibers[i++];
        f.state = READY, f.warp_interval = 0;
        f.thread[0] = x, f.thread[1] = y, f.thread[2] = z;
      }
  while (ended < count) {
    bool moved = false;
    bool backwards = random_bits() & 1;
    unsigned first = random_bits() % count;
    for (unsigned k = 0; k < count; k++) {
      unsigned at = first + k < count ? first + k : first + k - count;
      at = backwards ? count - 1 - at : at;
      if (fibers[at]->state != READY) continue;
      moved = true;
      resume(at);
    }
    if (!moved) deadlock();
  }
}

// ----- warps -----------------------------------------------------------------------------------

uint64_t exchanged(unsigned base, unsigned lane) {
  Fiber &self = *fibers[base + lane];
  auto lives = [&](unsigned l) { return base + l < count && self.mask >> l & 1 && fibers[base + l]->state == IN_WARP; };
  unsigned start = lane & ~(self.width - 1u), end = start + self.width;
  unsigned from = lane;
  uint64_t made = 0;
  switch (self.kind) {
    case SYNC: return 0;
    case IDX: from = start + ((unsigned)self.lane & (self.width - 1u)); break;
    case UP: from = lane < start + (unsigned)self.lane ? lane : lane - self.lane; break;
    case DOWN: from = lane + (unsigned)self.lane >= end ? lane : lane + self.lane; break;
    case XOR:
      from = lane ^ (unsigned)self.lane;
      if (from >= end) from = lane;
      break;
    case ALL:
      made = 1;
      for (unsigned l = 0; l < 32; l++) if (lives(l)) made &= fibers[base + l]->given;
      return made;
    case ANY:
      for (unsigned l = 0; l < 32; l++) if (lives(l)) made |= fibers[base + l]->given;
      return made;
    case BALLOT:
      for (unsigned l = 0; l < 32; l++) if (lives(l)) made |= fibers[base + l]->given << l;
      return made;
    case MATCH_ANY:
      for (unsigned l = 0; l < 32; l++)
        if (lives(l) && fibers[base + l]->given == self.given) made |= 1u << l;
      return made;
  }
  // What a lane holds that takes no part is undefined: nan, as a floating-point number.
  return lives(from) ? fibers[base + from]->given : ~uint64_t(0);
}

// Let the lanes of a warp go on that have all arrived.
bool try_exchange(unsigned base, unsigned mask) {
  unsigned here = 0;
  for (unsigned l = 0; l < 32; l++) {
    if (!(mask >> l & 1) || base + l >= count) continue;
    Fiber &f = *fibers[base + l];
    if (f.state == ENDED) continue;
    if (f.state != IN_WARP || f.mask != mask) return false;
    here |= 1u << l;
  }
  int kind = -1;
  for (unsigned l = 0; l < 32; l++) {
    if (!(here >> l & 1)) continue;
    Fiber &f = *fibers[base + l];
    if (kind >= 0 && f.kind != kind) fail("the lanes of a warp call different functions of warps");
    kind = f.kind;
  }
  for (unsigned l = 0; l < 32; l++)
    if (here >> l & 1) fibers[base + l]->made = exchanged(base, l);
  // Only __syncwarp() promises that the lanes see each other's memory.
  unsigned interval = 0;
  for (unsigned l = 0; l < 32; l++)
    if (base + l < count && fibers[base + l]->warp_interval > interval)
      interval = fibers[base + l]->warp_interval;
  for (unsigned l = 0; l < 32; l++) {
    if (!(here >> l & 1)) continue;
    fibers[base + l]->state = READY;
    if (kind == SYNC) fibers[base + l]->warp_interval = interval + 1;
  }
  turn.warp_interval = fibers[current]->warp_interval;
  return true;
}

void wake_warps_of(unsigned thread) {
  unsigned base = thread & ~31u;
  for (unsigned l = 0; l < 32 && base + l < count; l++)
    if (fibers[base + l]->state == IN_WARP) try_exchange(base, fibers[base + l]->mask);
}

}  // namespace

// ----- what kernels call -----------------------------------------------------------------------

extern "C" {

void emulator_trap(const char *what) { fail("%s", what); }

int emulator_barrier(int kind, int value, int line) {
  if (!launch->with_fibers) fail("a barrier that the emulator has not seen in the source");
  Fiber &self = *fibers[current];
  self.line = line, self.barrier_kind = kind, self.value = value;
  self.state = AT_BARRIER;
  if (++waiting < count) {
    rest();
    return (int)self.made;
  }
  int total = 0;
  for (unsigned i = 0; i < count; i++) {
    Fiber &f = *fibers[i];
    if (f.line != line || f.barrier_kind != kind) deadlock();
    total += f.value;
  }
  int made = kind == 2 ? total == (int)count : kind == 3 ? total > 0 : total;
  for (unsigned i = 0; i < count; i++) fibers[i]->state = READY, fibers[i]->made = made;
  waiting = 0;
  turn.interval++;
  return made;
}

unsigned long long emulator_warp(
    int kind, unsigned mask, unsigned long long value, int lane, int width, int line) {
  if (!launch->with_fibers) fail("a function of warps that the emulator has not seen in the source");
  Fiber &self = *fibers[current];
  if (!(mask >> (current & 31) & 1)) {
    fail("lane %u calls a function of warps with the mask %08x, which leaves it out", current & 31,
         mask);
  }
  if (width < 1 || width > 32 || width & (width - 1)) fail("the width %d of a shuffle", width);
  self.kind = kind, self.mask = mask, self.given = value;
  self.lane = lane, self.width = width, self.line = line;
  self.state = IN_WARP;
  if (!try_exchange(current & ~31u, mask)) rest();
  return self.made;
}

unsigned emulator_active(void) {
  if (!launch->with_fibers) return 1u << (turn.thread & 31);
  unsigned made = 0, base = current & ~31u;
  for (unsigned l = 0; l < 32 && base + l < count; l++)
    if (fibers[base + l]->state != ENDED) made |= 1u << l;
  return made;
}

// Run a kernel.  Returns whether it failed; the message says where and how.
int emulator_run(const emulator_launch *asked) {
  const unsigned *blocks = asked->blocks, *threads = asked->threads;
  launch = asked;
  base_of_calls = (uintptr_t)__builtin_frame_address(0);
  memcpy(emulator_here.blocks, blocks, sizeof emulator_here.blocks);
  memcpy(emulator_here.threads, threads, sizeof emulator_here.threads);
  count = threads[0] * threads[1] * threads[2];
  random_state = asked->seed;
  turn = {};
  begin_checks();
  if (_setjmp(failure)) {
    for (Fiber *f : fibers) f->started = false;  // they are left in the middle
    launch = nullptr;
    return 1;
  }
  uint64_t total = (uint64_t)blocks[0] * blocks[1] * blocks[2];
  // Blocks come in an order of their own: by steps that have no divisor in common with their number.
  uint64_t step = total / 2 + total / 8 + 1, at = total > 1 ? random_bits() % total : 0;
  auto divisor = [](uint64_t a, uint64_t b) {
    while (b) {
      uint64_t rest = a % b;
      a = b, b = rest;
    }
    return a;
  };
  while (divisor(step, total) != 1) step++;
  for (uint64_t i = 0; i < total; i++, at = (at + step) % total) {
    emulator_here.block[0] = at % blocks[0];
    emulator_here.block[1] = at / blocks[0] % blocks[1];
    emulator_here.block[2] = at / blocks[0] / blocks[1];
    turn.block = at, turn.interval = 0, turn.acquired = false;
    memset(asked->shared, 0xff, asked->shared_size);
    memset(emulator_dynamic_shared, 0xff, asked->dynamic_size);
    if (asked->with_fibers) {
      run_block();
      continue;
    }
    unsigned *t = emulator_here.thread;
    turn.thread = 0;
    for (t[2] = 0; t[2] < threads[2]; t[2]++)
      for (t[1] = 0; t[1] < threads[1]; t[1]++)
        for (t[0] = 0; t[0] < threads[0]; t[0]++, turn.thread++) {
          turn.steps = 0;
          asked->kernel(asked->arguments);
        }
  }
  launch = nullptr;
  return 0;
}

}  // extern "C"
