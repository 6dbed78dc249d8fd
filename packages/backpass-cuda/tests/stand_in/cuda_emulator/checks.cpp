// Looks at every access to memory.  Kernels are compiled as if for ThreadSanitizer and for the
// alignment check of UndefinedBehaviorSanitizer, which call what is here.
//
// An access must lie in an array that the kernel was given, in its shared memory or in its own
// constants, and be aligned.  Two threads that touch the same bytes, one of them writing, must have
// a barrier in between: __syncthreads(), __syncwarp() for lanes of a warp, or, for threads of two
// blocks, an atomic operation.  What the bytes saw last is kept in a table that may forget.
#include "runtime.h"

#include <stdio.h>
#include <string.h>

namespace {

constexpr unsigned CELLS = 1u << 16;
constexpr uint64_t PATIENCE = 1u << 26;

struct Seen {
  unsigned block, thread, interval, warp_interval;
  uint8_t bytes;
  bool atomic, many;  // many: other threads, too, in this interval
};
// Four bytes of memory, in a launch.
struct Cell {
  uintptr_t word;
  unsigned launch;
  Seen written, read;
};

Cell cells[CELLS];
unsigned number;  // of the launch
const emulator_range *last;

enum Space { GLOBAL, SHARED, CONSTANT };

bool inside(uintptr_t address, size_t size, uintptr_t start, size_t length) {
  return address - start < length && size <= length - (address - start);
}

[[noreturn]] void outside(uintptr_t address, size_t size, bool writes) {
  const emulator_range *near = nullptr;
  uintptr_t least = ~uintptr_t(0);
  bool after = false;
  for (size_t i = 0; i < launch->range_count; i++) {
    const emulator_range &r = launch->ranges[i];
    uintptr_t end = r.start + r.size;
    bool behind = address + size > end;
    uintptr_t distance = behind ? address + size - end : r.start - address;
    if (r.argument >= 0 && distance < least) least = distance, near = &r, after = behind;
  }
  const char *verb = writes ? "writes" : "reads";
  if (!near || least > (1u << 30)) fail("%s %zu bytes outside of every array", verb, size);
  fail("%s %zu bytes outside of argument %d: up to %zu bytes %s", verb, size, near->argument,
       (size_t)least, after ? "after its end" : "before its start");
}

Space locate(uintptr_t address, size_t size, bool writes) {
  if (last && inside(address, size, last->start, last->size)) return GLOBAL;
  if (inside(address, size, (uintptr_t)launch->shared, launch->shared_size)) return SHARED;
  if (inside(address, size, (uintptr_t)emulator_dynamic_shared, launch->dynamic_size)) return SHARED;
  for (size_t i = 0; i < launch->range_count; i++) {
    const emulator_range &r = launch->ranges[i];
    if (inside(address, size, r.start, r.size)) {
      last = &r;
      return GLOBAL;
    }
  }
  if (!writes && inside(address, size, (uintptr_t)launch->image, launch->image_size)) return CONSTANT;
  outside(address, size, writes);
}

bool conflicts(const Seen &before, uint8_t bytes, bool atomic, Space space) {
  if (!(before.bytes & bytes)) return false;
  if (before.block != turn.block) {
    return space == GLOBAL && !turn.acquired && !before.atomic && !atomic;
  }
  if (before.thread == turn.thread && !before.many) return false;
  if (before.interval != turn.interval) return false;
  if (before.thread / 32 == turn.thread / 32 && before.warp_interval < turn.warp_interval) {
    return false;
  }
  return !(before.atomic && atomic);
}

[[noreturn]] void race(uintptr_t address, Space space, const Seen &before, bool wrote, bool writes) {
  const char *was = wrote ? "written" : "read", *is = writes ? "writes" : "reads";
  char where[80];
  if (space == SHARED) {
    snprintf(where, sizeof where, "shared memory");
  } else if (last && last->argument >= 0) {
    snprintf(where, sizeof where, "argument %d, byte %zu", last->argument,
             (size_t)(address - last->start));
  } else {
    snprintf(where, sizeof where, "global memory");
  }
  if (before.block != turn.block) {
    fail("race: %s what block %u has %s (%s)", is, before.block, was, where);
  }
  if (before.thread == turn.thread) {
    fail("race: %s what other threads have %s, without a barrier (%s)", is, was, where);
  }
  fail("race: %s what thread %u has %s, without a barrier (%s)", is, before.thread, was, where);
}

void access(const void *pointer, size_t size, bool writes, bool atomic = false) {
  uintptr_t address = (uintptr_t)pointer;
  if (!launch || address - (uintptr_t)&emulator_here < sizeof emulator_here) return;
  if (on_a_stack(address)) return;
  if (++turn.steps > PATIENCE) fail("a thread waits for another that has no turn, or never ends");
  Space space = locate(address, size, writes);
  if (space == CONSTANT) return;
  for (uintptr_t at = address; at < address + size;) {
    uintptr_t word = at / 4;
    unsigned first = at % 4, bytes = 0;
    for (unsigned i = first; i < 4 && at < address + size; i++, at++) bytes |= 1u << i;
    Cell &cell = cells[(word ^ word >> 16) % CELLS];
    if (cell.word != word || cell.launch != number) {
      cell = {};
      cell.word = word, cell.launch = number;
    }
    if (conflicts(cell.written, bytes, atomic, space)) {
      race(word * 4 + first, space, cell.written, true, writes);
    }
    if (writes && conflicts(cell.read, bytes, atomic, space)) {
      race(word * 4 + first, space, cell.read, false, true);
    }
    Seen &seen = writes ? cell.written : cell.read;
    bool again = seen.block == turn.block && seen.interval == turn.interval;
    bool own = seen.thread == turn.thread && !seen.many;
    uint8_t common = seen.bytes & bytes;
    bool many = again && !own && !writes && common;
    uint8_t covered = many ? common : again && own ? seen.bytes | bytes : bytes;
    seen = {turn.block, turn.thread, turn.interval, turn.warp_interval, covered, atomic, many};
  }
}

}  // namespace

void begin_checks() {
  last = nullptr;
  number++;
}

extern "C" {

void emulator_atomic(void *p, size_t size) {
  if ((uintptr_t)p % size) fail("an atomic operation on a misaligned address");
  turn.acquired = true;
  access(p, size, true, true);
}

#define HOOKS(n)                                                          \
  void __tsan_read##n(void *p) { access(p, n, false); }                   \
  void __tsan_write##n(void *p) { access(p, n, true); }                   \
  void __tsan_unaligned_read##n(void *p) { access(p, n, false); }         \
  void __tsan_unaligned_write##n(void *p) { access(p, n, true); }         \
  void __tsan_volatile_read##n(void *p) { access(p, n, false); }          \
  void __tsan_volatile_write##n(void *p) { access(p, n, true); }          \
  void __tsan_unaligned_volatile_read##n(void *p) { access(p, n, false); } \
  void __tsan_unaligned_volatile_write##n(void *p) { access(p, n, true); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void *p, size_t size) { access(p, size, false); }
void __tsan_write_range(void *p, size_t size) { access(p, size, true); }
void *__tsan_memcpy(void *to, const void *from, size_t size) {
  access(from, size, false);
  access(to, size, true);
  return memcpy(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size) {
  access(to, size, true);
  return memset(to, value, size);
}
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}

// As UndefinedBehaviorSanitizer hands it over.
struct Mismatch {
  const char *file;
  uint32_t line, column;
  const void *type;
  unsigned char alignment, kind;
};
void __ubsan_handle_type_mismatch_v1_abort(Mismatch *found, uintptr_t address) {
  fail("line %u: the address %#zx of %u bytes is misaligned, or null", found->line, (size_t)address,
       1u << found->alignment);
}
}
