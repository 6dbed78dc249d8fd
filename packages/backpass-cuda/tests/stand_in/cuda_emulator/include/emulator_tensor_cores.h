// What `backpass.cupy.tensor_cores` writes in PTX: copies to shared memory, and a warp's products.
//
// Lanes lay down what they hold, wait for each other, and read what the fragments of "mma" and
// "ldmatrix" in the PTX ISA give them.  A copy is made at once: that it is waited for is not checked.
#pragma once

inline void copy_16_bytes(void *to, const void *from, bool there) {
  const uint4 none = {0, 0, 0, 0};
  *(uint4 *)to = there ? *(const uint4 *)from : none;
}
inline void close_copies() {}
template <int N> inline void wait_for_copies() {}

namespace emulator {
constexpr int WARPS = 32;
// What the lanes of a warp hold, 8 words each.
static unsigned long long held[WARPS][32][8];

EMULATOR_UNCHECKED inline int lane() { return threadIdx.x & 31; }
EMULATOR_UNCHECKED inline unsigned long long (*lay(const void *words, size_t size))[8] {
  auto mine = held[threadIdx.x / 32];
  __syncwarp();
  __builtin_memcpy(mine[lane()], words, size);
  __syncwarp();
  return mine;
}
template <class T> EMULATOR_UNCHECKED inline T word(const unsigned long long (*words)[8], int lane, int i) {
  return ((const T *)words[lane])[i];
}

// Row r of matrix i begins where lane 8 i + r says.
inline void load_matrices(unsigned (&r)[4], const void *row, bool transposed) {
  const unsigned long long given = (unsigned long long)row;
  auto rows = lay(&given, sizeof given);
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; i++) {
    unsigned short pair[2];
    for (int k = 0; k < 2; k++) {
      const int down = transposed ? 2 * t + k : g, right = transposed ? g : 2 * t + k;
      pair[k] = ((const unsigned short *)word<unsigned long long>(rows, 8 * i + down, 0))[right];
    }
    r[i] = pair[0] | (unsigned)pair[1] << 16;
  }
}

// A number as one to compute with; kernels have their own of bfloat16.
inline double as_float(double x) { return x; }

// c += a b, of 16 x K and K x 8, where a word of a fragment holds PACK numbers.
template <int PACK, class Sum, class T, class Word>
EMULATOR_UNCHECKED inline void multiply(Sum (&c)[4], const Word (&a)[4], Word b0, Word b1) {
  const Word given[6] = {a[0], a[1], a[2], a[3], b0, b1};
  auto words = lay(given, sizeof given);
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; i++) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    Sum sum = 0;
    for (int k = 0; k < 8 * PACK; k++) {
      // Column k of the left matrix: a fragment's first words hold the first half of them.
      const int half = k / (4 * PACK), inner = k % (4 * PACK), place = inner % PACK;
      const T x = word<T>(words, row % 8 * 4 + inner / PACK, (half * 2 + row / 8) * PACK + place);
      const T y = word<T>(words, column * 4 + inner / PACK, (4 + half) * PACK + place);
      sum += (Sum)as_float(x) * (Sum)as_float(y);
    }
    c[i] += sum;
  }
}
struct tf32 { unsigned bits; };
inline float as_float(tf32 x) { return __uint_as_float(x.bits & 0xffffe000u); }
}  // namespace emulator

inline void load_matrices(unsigned (&r)[4], const void *row) { emulator::load_matrices(r, row, false); }
inline void load_transposed(unsigned (&r)[4], const void *row) { emulator::load_matrices(r, row, true); }
template <class T>
inline void multiply_16_bits(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, T) {
  emulator::multiply<2, float, T>(c, a, b0, b1);
}
inline void multiply_tf32(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  emulator::multiply<1, float, emulator::tf32>(c, a, b0, b1);
}
// c0, c1 are those of m8n8k4: the rows 8 to 15 of `multiply` and its columns 4 to 7 are empty.
inline void multiply_double(double &c0, double &c1, double a, double b) {
  double sums[4] = {c0, c1, 0, 0};
  const double left[4] = {a, 0, 0, 0};
  emulator::multiply<1, double, double>(sums, left, b, 0.0);
  c0 = sums[0], c1 = sums[1];
}
