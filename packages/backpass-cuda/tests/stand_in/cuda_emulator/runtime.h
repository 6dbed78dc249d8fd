// What the parts of the runtime share: the thread whose turn it is, and how it fails.
#pragma once
#include <stddef.h>
#include <stdint.h>

extern "C" {
struct emulator_place {
  unsigned thread[3], block[3], threads[3], blocks[3];
};
extern emulator_place emulator_here;
extern char emulator_dynamic_shared[];

// Memory that a kernel may touch; what lies in an array has its argument's number.
struct emulator_range {
  uintptr_t start;
  size_t size;
  int argument;
};

// A launch, as Python asks for it.
struct emulator_launch {
  void (*kernel)(void **);
  void **arguments;
  const unsigned *blocks, *threads;
  int with_fibers;
  char *shared;
  size_t shared_size, dynamic_size;
  // The kernel's own library: its constants.
  char *image;
  size_t image_size;
  const emulator_range *ranges;
  size_t range_count;
  uint64_t seed;
  char *message;
  size_t message_size;
};
}

// The thread of the block, and the intervals that barriers divide its life into.
struct Turn {
  unsigned thread, block, interval, warp_interval;
  // Whether the block has met others at an atomic operation.
  bool acquired;
  // Memory accesses since this turn began: a thread that waits for one that has no turn never ends.
  uint64_t steps;
};
extern Turn turn;
extern const emulator_launch *launch;

[[noreturn]] void fail(const char *format, ...);
// Fibers' stacks lie together.
bool on_a_stack(uintptr_t address);
void begin_checks();
