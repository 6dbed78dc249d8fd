// CUDA C++ for a C++17 compiler of the host: what a kernel's source finds without any #include.
//
// The threads of a block run in turns (runtime.cpp).  There are no headers of the system here, so
// that a kernel compiles in a tenth of a second, and so that what NVRTC lacks is lacking here, too.
#pragma once

#define __CUDA_EMULATOR__ 1
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __CUDA_ARCH__ 900

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __inline__ inline
#define __restrict __restrict__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
// All of a kernel's shared memory lies in one section, which is made nan before each block.
#define __shared__ static __attribute__((section("emulator_shared")))

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef long long clock_t;

#ifndef INFINITY
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#endif
#define warpSize 32

// ----- vectors ---------------------------------------------------------------------------------

#define EMULATOR_VECTORS(T, name, a2, a4)                                                        \
  struct name##1 { T x; };                                                                       \
  struct __attribute__((aligned(a2))) name##2 { T x, y; };                                       \
  struct name##3 { T x, y, z; };                                                                 \
  struct __attribute__((aligned(a4))) name##4 { T x, y, z, w; };                                 \
  inline name##1 make_##name##1(T x) { return {x}; }                                             \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                     \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                             \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMULATOR_VECTORS(signed char, char, 2, 4)
EMULATOR_VECTORS(unsigned char, uchar, 2, 4)
EMULATOR_VECTORS(short, short, 4, 8)
EMULATOR_VECTORS(unsigned short, ushort, 4, 8)
EMULATOR_VECTORS(int, int, 8, 16)
EMULATOR_VECTORS(unsigned, uint, 8, 16)
EMULATOR_VECTORS(long, long, 16, 16)
EMULATOR_VECTORS(unsigned long, ulong, 16, 16)
EMULATOR_VECTORS(long long, longlong, 16, 16)
EMULATOR_VECTORS(unsigned long long, ulonglong, 16, 16)
EMULATOR_VECTORS(float, float, 8, 16)
EMULATOR_VECTORS(double, double, 16, 16)
#undef EMULATOR_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// ----- the runtime -----------------------------------------------------------------------------

extern "C" {
struct emulator_place { unsigned thread[3], block[3], threads[3], blocks[3]; };
extern emulator_place emulator_here;
extern char emulator_dynamic_shared[];
int emulator_barrier(int kind, int value, int line);
unsigned long long emulator_warp(
    int kind, unsigned mask, unsigned long long value, int lane, int width, int line);
unsigned emulator_active(void);
void emulator_atomic(void *p, size_t size);
void emulator_trap(const char *what);
int printf(const char *, ...);
}
#define threadIdx (reinterpret_cast<const uint3 &>(emulator_here.thread))
#define blockIdx (reinterpret_cast<const uint3 &>(emulator_here.block))
#define blockDim (reinterpret_cast<const dim3 &>(emulator_here.threads))
#define gridDim (reinterpret_cast<const dim3 &>(emulator_here.blocks))

#define __syncthreads() ((void)emulator_barrier(0, 0, __LINE__))
#define __syncthreads_count(p) emulator_barrier(1, !!(p), __LINE__)
#define __syncthreads_and(p) emulator_barrier(2, !!(p), __LINE__)
#define __syncthreads_or(p) emulator_barrier(3, !!(p), __LINE__)
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline void __trap() { emulator_trap("__trap() was called"); }
inline unsigned __activemask() { return emulator_active(); }
#undef assert
#define assert(e) ((e) ? (void)0 : emulator_trap("the assertion " #e " failed"))

namespace emulator {
template <class To, class From> inline To bits(From x) {
  static_assert(sizeof(From) <= 8, "warps exchange values of up to 8 bytes");
  To made{};
  __builtin_memcpy(&made, &x, sizeof(To) < sizeof(From) ? sizeof(To) : sizeof(From));
  return made;
}
enum { SYNC, IDX, UP, DOWN, XOR, BALLOT, ANY, ALL, MATCH_ANY, MATCH_ALL };
template <class T> inline T shuffle(int kind, unsigned mask, T value, int lane, int width, int line) {
  return bits<T>(emulator_warp(kind, mask, bits<unsigned long long>(value), lane, width, line));
}
}  // namespace emulator

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulator_warp(emulator::SYNC, mask, 0, 0, 32, 0);
}
#define EMULATOR_SHUFFLE(name, kind)                                                             \
  template <class T> inline T name(unsigned mask, T value, int lane, int width = 32) {           \
    return emulator::shuffle(emulator::kind, mask, value, lane, width, 0);                       \
  }
EMULATOR_SHUFFLE(__shfl_sync, IDX)
EMULATOR_SHUFFLE(__shfl_up_sync, UP)
EMULATOR_SHUFFLE(__shfl_down_sync, DOWN)
EMULATOR_SHUFFLE(__shfl_xor_sync, XOR)
#undef EMULATOR_SHUFFLE
inline unsigned __ballot_sync(unsigned mask, int p) {
  return (unsigned)emulator_warp(emulator::BALLOT, mask, !!p, 0, 32, 0);
}
inline int __any_sync(unsigned mask, int p) {
  return (int)emulator_warp(emulator::ANY, mask, !!p, 0, 32, 0);
}
inline int __all_sync(unsigned mask, int p) {
  return (int)emulator_warp(emulator::ALL, mask, !!p, 0, 32, 0);
}
template <class T> inline unsigned __match_any_sync(unsigned mask, T value) {
  auto word = emulator::bits<unsigned long long>(value);
  return (unsigned)emulator_warp(emulator::MATCH_ANY, mask, word, 0, 32, 0);
}

// ----- memory ----------------------------------------------------------------------------------

#define EMULATOR_LOAD(name)                                                                      \
  template <class T> inline T name(const T *p) { return *p; }
EMULATOR_LOAD(__ldg)
EMULATOR_LOAD(__ldcg)
EMULATOR_LOAD(__ldca)
EMULATOR_LOAD(__ldcs)
EMULATOR_LOAD(__ldlu)
EMULATOR_LOAD(__ldcv)
#undef EMULATOR_LOAD
#define EMULATOR_STORE(name)                                                                     \
  template <class T> inline void name(T *p, T value) { *p = value; }
EMULATOR_STORE(__stwb)
EMULATOR_STORE(__stcg)
EMULATOR_STORE(__stcs)
EMULATOR_STORE(__stwt)
#undef EMULATOR_STORE

// One thread runs at a time, so these need no care.  There are none on floating-point numbers:
// their sums would depend on the order of the threads.
#define EMULATOR_UNCHECKED __attribute__((no_sanitize("thread", "alignment")))
#define EMULATOR_ATOMIC(name, T, expression)                                                     \
  EMULATOR_UNCHECKED inline T name(T *p, T value) {                                              \
    emulator_atomic(p, sizeof(T));                                                               \
    T old = *p;                                                                                  \
    *p = (expression);                                                                           \
    return old;                                                                                  \
  }
#define EMULATOR_ATOMICS(T)                                                                      \
  EMULATOR_ATOMIC(atomicAdd, T, (T)(old + value))                                                \
  EMULATOR_ATOMIC(atomicExch, T, value)                                                          \
  EMULATOR_ATOMIC(atomicMin, T, value < old ? value : old)                                       \
  EMULATOR_ATOMIC(atomicMax, T, value > old ? value : old)                                       \
  EMULATOR_ATOMIC(atomicAnd, T, (T)(old & value))                                                \
  EMULATOR_ATOMIC(atomicOr, T, (T)(old | value))                                                 \
  EMULATOR_ATOMIC(atomicXor, T, (T)(old ^ value))                                                \
  EMULATOR_UNCHECKED inline T atomicCAS(T *p, T expected, T value) {                             \
    emulator_atomic(p, sizeof(T));                                                               \
    T old = *p;                                                                                  \
    if (old == expected) *p = value;                                                             \
    return old;                                                                                  \
  }
EMULATOR_ATOMICS(int)
EMULATOR_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)
EMULATOR_ATOMIC(atomicSub, int, old - value)
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#undef EMULATOR_ATOMICS
#undef EMULATOR_ATOMIC

// ----- bits and conversions --------------------------------------------------------------------

inline int __float_as_int(float x) { return emulator::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bits<double>(x); }
inline int __double2hiint(double x) { return (int)(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return (int)__double_as_longlong(x); }
inline double __hiloint2double(int high, int low) {
  return __longlong_as_double((long long)((unsigned long long)(unsigned)high << 32 | (unsigned)low));
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }

// ----- mathematics -----------------------------------------------------------------------------

extern "C" {
#define EMULATOR_1(name) double name(double) noexcept; float name##f(float) noexcept;
EMULATOR_1(acos) EMULATOR_1(acosh) EMULATOR_1(asin) EMULATOR_1(asinh) EMULATOR_1(atan)
EMULATOR_1(atanh) EMULATOR_1(cbrt) EMULATOR_1(ceil) EMULATOR_1(cos) EMULATOR_1(cosh)
EMULATOR_1(erf) EMULATOR_1(erfc) EMULATOR_1(exp) EMULATOR_1(exp2) EMULATOR_1(expm1)
EMULATOR_1(fabs) EMULATOR_1(floor) EMULATOR_1(j0) EMULATOR_1(j1) EMULATOR_1(lgamma)
EMULATOR_1(log) EMULATOR_1(log10) EMULATOR_1(log1p) EMULATOR_1(log2) EMULATOR_1(logb)
EMULATOR_1(nearbyint) EMULATOR_1(rint) EMULATOR_1(round) EMULATOR_1(sin) EMULATOR_1(sinh)
EMULATOR_1(sqrt) EMULATOR_1(tan) EMULATOR_1(tanh) EMULATOR_1(tgamma) EMULATOR_1(trunc)
EMULATOR_1(y0) EMULATOR_1(y1)
#undef EMULATOR_1
#define EMULATOR_2(name) double name(double, double) noexcept; float name##f(float, float) noexcept;
EMULATOR_2(atan2) EMULATOR_2(copysign) EMULATOR_2(fdim) EMULATOR_2(fmax) EMULATOR_2(fmin)
EMULATOR_2(fmod) EMULATOR_2(hypot) EMULATOR_2(nextafter) EMULATOR_2(pow) EMULATOR_2(remainder)
#undef EMULATOR_2
double fma(double, double, double) noexcept;
float fmaf(float, float, float) noexcept;
double frexp(double, int *) noexcept;
float frexpf(float, int *) noexcept;
double ldexp(double, int) noexcept;
float ldexpf(float, int) noexcept;
double scalbn(double, int) noexcept;
float scalbnf(float, int) noexcept;
double modf(double, double *) noexcept;
float modff(float, float *) noexcept;
int ilogb(double) noexcept;
int ilogbf(float) noexcept;
double jn(int, double) noexcept;
float jnf(int, float) noexcept;
double yn(int, double) noexcept;
float ynf(int, float) noexcept;
void sincos(double, double *, double *) noexcept;
void sincosf(float, float *, float *) noexcept;
int abs(int) noexcept;
long labs(long) noexcept;
long long llabs(long long) noexcept;
long long llrint(double) noexcept;
long long llrintf(float) noexcept;
long lrint(double) noexcept;
long lrintf(float) noexcept;
void *memcpy(void *, const void *, size_t) noexcept;
void *memset(void *, int, size_t) noexcept;
// In runtime.cpp: what the C library lacks.
#define EMULATOR_OWN(name) double name(double) noexcept;
EMULATOR_OWN(cospi) EMULATOR_OWN(cyl_bessel_i0) EMULATOR_OWN(cyl_bessel_i1) EMULATOR_OWN(erfcinv)
EMULATOR_OWN(erfcx) EMULATOR_OWN(erfinv) EMULATOR_OWN(emulator_exp10) EMULATOR_OWN(normcdf)
EMULATOR_OWN(normcdfinv) EMULATOR_OWN(rcbrt) EMULATOR_OWN(rsqrt) EMULATOR_OWN(sinpi)
#undef EMULATOR_OWN
}

// The overloads that CUDA has, and float's forms of what is computed in double.
#define EMULATOR_FLOAT(name) inline float name(float x) { return name##f(x); }
#define EMULATOR_SINGLE(name)                                                                    \
  inline float name##f(float x) { return (float)name((double)x); }                               \
  inline float name(float x) { return name##f(x); }
EMULATOR_FLOAT(acos) EMULATOR_FLOAT(acosh) EMULATOR_FLOAT(asin) EMULATOR_FLOAT(asinh)
EMULATOR_FLOAT(atan) EMULATOR_FLOAT(atanh) EMULATOR_FLOAT(cbrt) EMULATOR_FLOAT(ceil)
EMULATOR_FLOAT(cos) EMULATOR_FLOAT(cosh) EMULATOR_FLOAT(erf) EMULATOR_FLOAT(erfc)
EMULATOR_FLOAT(exp) EMULATOR_FLOAT(exp2) EMULATOR_FLOAT(expm1) EMULATOR_FLOAT(fabs)
EMULATOR_FLOAT(floor) EMULATOR_FLOAT(lgamma) EMULATOR_FLOAT(log) EMULATOR_FLOAT(log10)
EMULATOR_FLOAT(log1p) EMULATOR_FLOAT(log2) EMULATOR_FLOAT(logb) EMULATOR_FLOAT(nearbyint)
EMULATOR_FLOAT(rint) EMULATOR_FLOAT(round) EMULATOR_FLOAT(sin) EMULATOR_FLOAT(sinh)
EMULATOR_FLOAT(sqrt) EMULATOR_FLOAT(tan) EMULATOR_FLOAT(tanh) EMULATOR_FLOAT(tgamma)
EMULATOR_FLOAT(trunc)
inline double exp10(double x) { return emulator_exp10(x); }
EMULATOR_SINGLE(cospi) EMULATOR_SINGLE(cyl_bessel_i0) EMULATOR_SINGLE(cyl_bessel_i1)
EMULATOR_SINGLE(erfcinv) EMULATOR_SINGLE(erfcx) EMULATOR_SINGLE(erfinv) EMULATOR_SINGLE(exp10)
EMULATOR_SINGLE(normcdf) EMULATOR_SINGLE(normcdfinv) EMULATOR_SINGLE(rcbrt)
EMULATOR_SINGLE(rsqrt) EMULATOR_SINGLE(sinpi)
#undef EMULATOR_FLOAT
#undef EMULATOR_SINGLE
#define EMULATOR_FLOAT_2(name) inline float name(float x, float y) { return name##f(x, y); }
EMULATOR_FLOAT_2(atan2) EMULATOR_FLOAT_2(copysign) EMULATOR_FLOAT_2(fdim) EMULATOR_FLOAT_2(fmax)
EMULATOR_FLOAT_2(fmin) EMULATOR_FLOAT_2(fmod) EMULATOR_FLOAT_2(hypot)
EMULATOR_FLOAT_2(nextafter) EMULATOR_FLOAT_2(pow) EMULATOR_FLOAT_2(remainder)
#undef EMULATOR_FLOAT_2
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
inline float frexp(float x, int *e) { return frexpf(x, e); }
inline float ldexp(float x, int e) { return ldexpf(x, e); }
inline float scalbn(float x, int e) { return scalbnf(x, e); }
inline float modf(float x, float *whole) { return modff(x, whole); }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline long abs(long x) { return labs(x); }
inline long long abs(long long x) { return llabs(x); }
inline void sincospi(double x, double *s, double *c) { *s = sinpi(x), *c = cospi(x); }
inline void sincospif(float x, float *s, float *c) { *s = sinpif(x), *c = cospif(x); }

#define EMULATOR_CLASSIFY(T)                                                                     \
  inline bool isnan(T x) { return __builtin_isnan(x); }                                          \
  inline bool isinf(T x) { return __builtin_isinf(x); }                                          \
  inline bool isfinite(T x) { return __builtin_isfinite(x); }                                    \
  inline bool signbit(T x) { return __builtin_signbit(x) != 0; }
EMULATOR_CLASSIFY(float)
EMULATOR_CLASSIFY(double)
#undef EMULATOR_CLASSIFY
inline float __saturatef(float x) { return x != x ? 0.0f : x < 0 ? 0.0f : x > 1 ? 1.0f : x; }

#define EMULATOR_ORDER(R, A, B)                                                                  \
  constexpr R min(A a, B b) { return (R)a < (R)b ? (R)a : (R)b; }                                \
  constexpr R max(A a, B b) { return (R)a > (R)b ? (R)a : (R)b; }
EMULATOR_ORDER(int, int, int)
EMULATOR_ORDER(unsigned, unsigned, unsigned)
EMULATOR_ORDER(unsigned, int, unsigned)
EMULATOR_ORDER(unsigned, unsigned, int)
EMULATOR_ORDER(long, long, long)
EMULATOR_ORDER(unsigned long, unsigned long, unsigned long)
EMULATOR_ORDER(unsigned long, long, unsigned long)
EMULATOR_ORDER(unsigned long, unsigned long, long)
EMULATOR_ORDER(long long, long long, long long)
EMULATOR_ORDER(unsigned long long, unsigned long long, unsigned long long)
EMULATOR_ORDER(unsigned long long, long long, unsigned long long)
EMULATOR_ORDER(unsigned long long, unsigned long long, long long)
#undef EMULATOR_ORDER
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin((double)a, (double)b); }
inline double max(double a, double b) { return fmax((double)a, (double)b); }
inline double min(float a, double b) { return fmin((double)a, (double)b); }
inline double max(float a, double b) { return fmax((double)a, (double)b); }
inline double min(double a, float b) { return fmin((double)a, (double)b); }
inline double max(double a, float b) { return fmax((double)a, (double)b); }

// What is fast and rough on a GPU is exact here.
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __tanhf(float x) { return tanhf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
// Never contracted into a fused multiply-add: the compiler cannot see through the barrier.
namespace emulator {
template <class T> inline T rounded(T x) {
#if defined(__x86_64__)
  __asm__("" : "+x"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#endif
  return x;
}
}  // namespace emulator
#define EMULATOR_ROUNDED(letter, T)                                                              \
  inline T __##letter##add_rn(T x, T y) { return emulator::rounded<T>(emulator::rounded<T>(x) + emulator::rounded<T>(y)); } \
  inline T __##letter##sub_rn(T x, T y) { return emulator::rounded<T>(emulator::rounded<T>(x) - emulator::rounded<T>(y)); } \
  inline T __##letter##mul_rn(T x, T y) { return emulator::rounded<T>(x * y); }
EMULATOR_ROUNDED(f, float)
EMULATOR_ROUNDED(d, double)
#undef EMULATOR_ROUNDED
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline double __drcp_rn(double x) { return 1.0 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }

#include "emulator_tensor_cores.h"
