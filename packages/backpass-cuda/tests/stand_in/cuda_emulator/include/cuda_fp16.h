// IEEE half precision: storage, conversions, and arithmetic by way of float.
#pragma once

namespace emulator {
// Round a float to nearest, ties to even, into 5 bits of exponent and 10 of fraction.
inline unsigned short half_of(float x) {
  unsigned u = __float_as_uint(x), sign = u >> 16 & 0x8000u;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return 0x7fff;                                  // nan, as CUDA's
  if (u >= 0x47800000u) return (unsigned short)(sign | 0x7c00u);       // 65536 and more
  if (u < 0x38800000u) {                                               // denormal
    // Adding 0.5 puts the unit in the last place where the half's is, and rounds.
    float y = __uint_as_float(u) + 0.5f;
    return (unsigned short)(sign | (__float_as_uint(y) - 0x3f000000u));
  }
  u += 0xc8000fffu + (u >> 13 & 1u);
  return (unsigned short)(sign | u >> 13);
}
inline float float_of(unsigned short h) {
  unsigned sign = (h & 0x8000u) << 16, u = (h & 0x7fffu) << 13;
  if ((h & 0x7c00u) == 0x7c00u) return __uint_as_float(sign | u | 0x7f800000u);
  // Scaling by 2^112 makes denormals right, too.
  return __uint_as_float(sign | __float_as_uint(__uint_as_float(u) * 0x1p112f));
}
// Round to odd, so that rounding once more gives what rounding at once would.
inline float odd_of(double x) {
  float y = (float)x;
  if (x != x || (double)y == x || __builtin_isinf(x)) return y;
  unsigned u = __float_as_uint(y);
  if (__builtin_isinf(y) || __builtin_fabs((double)y) > __builtin_fabs(x)) u -= 1;
  return __uint_as_float(u | 1u);
}
}  // namespace emulator

#define EMULATOR_HALF_TYPES 1
struct __half_raw { unsigned short x; };
struct __attribute__((aligned(2))) __half {
  unsigned short bits;
  __half() = default;
  __half(__half_raw raw) : bits(raw.x) {}
  __half(float x) : bits(emulator::half_of(x)) {}
  __half(double x) : bits(emulator::half_of(emulator::odd_of(x))) {}
  __half(int x) : bits(emulator::half_of((float)x)) {}
  operator float() const { return emulator::float_of(bits); }
  operator __half_raw() const { return {bits}; }
};
typedef __half half;
struct __attribute__((aligned(4))) __half2 {
  __half x, y;
};
typedef __half2 half2;

inline float __half2float(__half h) { return (float)h; }
inline __half __float2half(float x) { return __half(x); }
inline __half __float2half_rn(float x) { return __half(x); }
inline float as_float(__half x) { return x; }
inline __half __double2half(double x) { return __half(x); }
inline unsigned short __half_as_ushort(__half h) { return h.bits; }
inline __half __ushort_as_half(unsigned short u) { return __half(__half_raw{u}); }
inline __half2 make_half2(__half x, __half y) { return {x, y}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half __low2half(__half2 h) { return h.x; }
inline __half __high2half(__half2 h) { return h.y; }
inline float __low2float(__half2 h) { return (float)h.x; }
inline float __high2float(__half2 h) { return (float)h.y; }
inline float2 __half22float2(__half2 h) { return {(float)h.x, (float)h.y}; }
inline __half2 __float22half2_rn(float2 f) { return {__half(f.x), __half(f.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline bool __hisnan(__half h) { return (h.bits & 0x7fffu) > 0x7c00u; }
#define EMULATOR_HALF(name, op)                                                                  \
  inline __half name(__half a, __half b) { return __half((float)a op (float)b); }
EMULATOR_HALF(__hadd, +) EMULATOR_HALF(__hsub, -) EMULATOR_HALF(__hmul, *) EMULATOR_HALF(__hdiv, /)
EMULATOR_HALF(operator+, +) EMULATOR_HALF(operator-, -)
EMULATOR_HALF(operator*, *) EMULATOR_HALF(operator/, /)
#undef EMULATOR_HALF
