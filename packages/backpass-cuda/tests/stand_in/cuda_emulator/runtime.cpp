// The processor of the emulator: runs a grid's blocks one after the other, and the threads of a
// block in turns.
//
// A thread that waits at a barrier, or for the other lanes of its warp, gives the turn to the next.
// Who is first is drawn anew each time, from a fixed seed: a kernel that leans on an order fails.
// Kernels without barriers are plain calls.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

extern "C" {
struct emulator_place {
  unsigned thread[3], block[3], threads[3], blocks[3];
};
emulator_place emulator_here;
alignas(1024) char emulator_dynamic_shared[227 * 1024];
}

namespace {

enum Kind { SYNC, IDX, UP, DOWN, XOR, BALLOT, ANY, ALL, MATCH_ANY, MATCH_ALL };
enum State { READY, AT_BARRIER, IN_WARP, ENDED };
constexpr size_t STACK = 128 * 1024;

struct Fiber {
  State state;
  bool started;
  jmp_buf place;
  ucontext_t first;
  char *stack;
  unsigned thread[3];
  // What it waits with.
  int line, kind, barrier_kind, value;
  unsigned mask;
  uint64_t given, made;
  int lane, width;
};

std::vector<Fiber *> fibers;
unsigned count, ended, waiting;  // of the block's threads
jmp_buf scheduler, failure;
unsigned current;
char *message;
size_t message_size;
void (*invoke)(void **);
void **arguments;
bool with_fibers;
uint64_t random_state;

uint64_t random_bits() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return random_state >> 33;
}

[[noreturn]] void fail(const char *format, ...) {
  int n = snprintf(
      message, message_size, "block (%u, %u, %u), thread (%u, %u, %u): ", emulator_here.block[0],
      emulator_here.block[1], emulator_here.block[2], emulator_here.thread[0],
      emulator_here.thread[1], emulator_here.thread[2]);
  va_list list;
  va_start(list, format);
  vsnprintf(message + n, message_size - n, format, list);
  va_end(list);
  _longjmp(failure, 1);
}

// ----- turns -----------------------------------------------------------------------------------

void wake_warps_of(unsigned thread);

// What a fiber does, again and again: one thread of each block.
void live() {
  for (;;) {
    invoke(arguments);
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
  while (fibers.size() < n) {
    void *stack = mmap(
        nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) fail("no memory for the stacks of %u threads", n);
    Fiber *made = static_cast<Fiber *>(calloc(1, sizeof(Fiber)));
    made->stack = static_cast<char *>(stack);
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
        f.state = READY;
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
  for (unsigned l = 0; l < 32; l++)
    if (here >> l & 1) fibers[base + l]->state = READY;
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
  if (!with_fibers) fail("a barrier that the emulator has not seen in the source");
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
  return made;
}

unsigned long long emulator_warp(
    int kind, unsigned mask, unsigned long long value, int lane, int width, int line) {
  if (!with_fibers) fail("a function of warps that the emulator has not seen in the source");
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
  unsigned made = 0, base = current & ~31u;
  for (unsigned l = 0; l < 32 && base + l < count; l++)
    if (fibers[base + l]->state != ENDED) made |= 1u << l;
  return made;
}

// Run a kernel.  Returns whether it failed; the message says where and how.
int emulator_run(
    void (*kernel)(void **), void **kernel_arguments, const unsigned *blocks, const unsigned *threads,
    int fibered, char *shared, size_t shared_size, size_t dynamic_size, unsigned long long seed,
    char *told, size_t told_size) {
  message = told, message_size = told_size;
  invoke = kernel, arguments = kernel_arguments, with_fibers = fibered;
  memcpy(emulator_here.blocks, blocks, sizeof emulator_here.blocks);
  memcpy(emulator_here.threads, threads, sizeof emulator_here.threads);
  count = threads[0] * threads[1] * threads[2];
  random_state = seed;
  if (_setjmp(failure)) {
    for (Fiber *f : fibers) f->started = false;  // they are left in the middle
    return 1;
  }
  unsigned long long total = (unsigned long long)blocks[0] * blocks[1] * blocks[2];
  // Blocks come in an order of their own: by steps that have no divisor in common with their number.
  unsigned long long step = total / 2 + total / 8 + 1, at = total > 1 ? random_bits() % total : 0;
  auto divisor = [](unsigned long long a, unsigned long long b) {
    while (b) { auto rest = a % b; a = b, b = rest; }
    return a;
  };
  while (divisor(step, total) != 1) step++;
  for (unsigned long long i = 0; i < total; i++, at = (at + step) % total) {
    emulator_here.block[0] = at % blocks[0];
    emulator_here.block[1] = at / blocks[0] % blocks[1];
    emulator_here.block[2] = at / blocks[0] / blocks[1];
    memset(shared, 0xff, shared_size);
    memset(emulator_dynamic_shared, 0xff, dynamic_size);
    if (with_fibers) {
      run_block();
      continue;
    }
    unsigned *t = emulator_here.thread;
    for (t[2] = 0; t[2] < threads[2]; t[2]++)
      for (t[1] = 0; t[1] < threads[1]; t[1]++)
        for (t[0] = 0; t[0] < threads[0]; t[0]++) kernel(kernel_arguments);
  }
  return 0;
}

// ----- mathematics that the C library lacks ------------------------------------------------------

double emulator_exp10(double x) noexcept { return (double)powl(10.0L, x); }
double rsqrt(double x) noexcept { return (double)(1.0L / sqrtl(x)); }
double rcbrt(double x) noexcept { return (double)(1.0L / cbrtl(x)); }
double sinpi(double x) noexcept {
  double r = fmod(x, 2.0);
  if (r == 0.0 || fabs(r) == 1.0) return copysign(0.0, x);
  return (double)sinl(3.14159265358979323846264338327950288L * r);
}
double cospi(double x) noexcept {
  double r = fabs(fmod(x, 2.0));
  if (r == 0.5 || r == 1.5) return 0.0;
  return (double)cosl(3.14159265358979323846264338327950288L * r);
}

// exp(x^2) erfc(x): by its continued fraction where erfc would vanish.
double erfcx(double x) noexcept {
  if (x < 8) return (double)(expl((long double)x * x) * erfcl(x));
  long double f = 0;
  for (int k = 60; k > 0; k--) f = k / 2.0L / (x + f);
  return (double)(0.564189583547756286948079451560772586L / (x + f));
}

// Solve erfc(y) = p by Newton's method on the logarithm, from a crude start.
double erfcinv(double p) noexcept {
  if (!(p >= 0 && p <= 2)) return NAN;
  if (p == 0) return INFINITY;
  if (p == 2) return -INFINITY;
  if (p > 1) {
    double half = 2 - p;  // exact
    return -erfcinv(half);
  }
  long double y = p > 0.5 ? 0.886226925452758L * (1 - p) : sqrtl(-logl(p * 1.2L));
  for (int i = 0; i < 12; i++) {
    long double e = erfcl(y), slope = -1.12837916709551257389615890312154517L * expl(-y * y);
    long double step = p > 0.5 ? (e - p) / slope : (logl(e) - logl(p)) * e / slope;
    y -= step;
    if (fabsl(step) <= 1e-19L * fabsl(y)) break;
  }
  return (double)y;
}
double erfinv(double x) noexcept {
  if (!(fabs(x) <= 1)) return NAN;
  if (fabs(x) == 1) return copysign(INFINITY, x);
  if (fabs(x) > 0.5) return copysign(erfcinv(1 - fabs(x)), x);
  long double y = 0.886226925452758L * x;
  for (int i = 0; i < 12; i++) {
    y -= (erfl(y) - x) / (1.12837916709551257389615890312154517L * expl(-y * y));
  }
  return x == 0 ? x : (double)y;
}
double normcdf(double x) noexcept {
  return (double)(0.5L * erfcl(-x * 0.707106781186547524400844362104849039L));
}
double normcdfinv(double p) noexcept {
  return p < 0 || p > 1 ? NAN : -1.41421356237309504880 * erfcinv(2 * p);
}

// The sums of positive terms lose nothing; beyond, the asymptotic series.
static long double bessel(int order, long double x) {
  if (x < 40) {
    long double q = x * x / 4, term = order ? x / 2 : 1, sum = term;
    for (int k = 1; term > sum * 1e-21L && k < 500; k++) sum += term *= q / (k * (long double)(k + order));
    return sum;
  }
  long double mu = 4.0L * order * order, term = 1, sum = 1;
  for (int k = 1; k < 60; k++) {
    long double odd = 2 * k - 1, next = term * -(mu - odd * odd) / (k * 8 * x);
    if (fabsl(next) > fabsl(term)) break;
    sum += term = next;
  }
  return expl(x) / sqrtl(6.28318530717958647692528676655900577L * x) * sum;
}
double cyl_bessel_i0(double x) noexcept { return (double)bessel(0, fabsl(x)); }
double cyl_bessel_i1(double x) noexcept {
  return isinf(x) ? x : copysign((double)bessel(1, fabsl(x)), x);
}

}  // extern "C"
