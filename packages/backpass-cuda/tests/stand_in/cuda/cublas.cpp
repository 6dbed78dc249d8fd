// A stand-in for cuBLAS and cuBLASLt on the CPU: the same functions, on the host's memory.
//
// It is as strict as cuBLAS about handles, leading dimensions and types, and stricter about the
// rest: without a workspace that was set after the stream, and on another device or in another
// stream than the current one, it fails.  It adds up in the precision that it is asked for, one term
// after the other.  The work is done at once, or recorded while the stream is capturing.
#include <complex>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, C_32F = 4, C_64F = 5, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
constexpr size_t WORKSPACE = 32u << 20;

using Work = std::function<void()>;

struct Handle {
  uint32_t magic;
  int device;
  uintptr_t stream;
  void *workspace;
  size_t size;
};
constexpr uint32_t MAGIC = 0x1ab1a5;

}  // namespace

extern "C" {
// Set from Python: the current device; and what takes a piece of work if it is to be recorded (1),
// leaves it to be done at once (0), or finds that the stream is not the current one (-1).
int (*cublas_stand_in_device)();
int (*cublas_stand_in_record)(uintptr_t stream, Work *work);
void cublas_stand_in_do(Work *work) { (*work)(); }
}

namespace {

struct bfloat16 {
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float made;
    memcpy(&made, &wide, 4);
    return made;
  }
  bfloat16(float x) {
    uint32_t wide;
    memcpy(&wide, &x, 4);
    bits = x != x ? 0x7fc0 : (wide + 0x7fff + (wide >> 16 & 1)) >> 16;
  }
};

// What the tensor cores keep of a float: 10 bits after the point.
float rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if (x - x == 0) bits = (bits + 0x1000) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}
std::complex<float> rounded(std::complex<float> x) { return {rounded(x.real()), rounded(x.imag())}; }
template <class T>
T rounded(T x) { return x; }

// A product of real or complex numbers, without the care for infinities that C++ takes.
template <class T>
void add(T *sums, const T *xs, T y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] += xs[i] * y;
}
template <class T>
void add(std::complex<T> *sums, const std::complex<T> *xs, std::complex<T> y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const T re = xs[i].real() * y.real() - xs[i].imag() * y.imag();
    const T im = xs[i].real() * y.imag() + xs[i].imag() * y.real();
    sums[i] += std::complex<T>(re, im);
  }
}

struct Matrix {
  const void *at;
  int transposed;
  int64_t step;
};

// A matrix by columns, without gaps.
template <class Stored, class Sum>
std::vector<Sum> columns(Matrix x, int64_t rows, int64_t count, bool tf32) {
  std::vector<Sum> made(rows * count);
  const Stored *from = (const Stored *)x.at;
  for (int64_t j = 0; j < count; ++j)
    for (int64_t i = 0; i < rows; ++i) {
      const Sum value(from[x.transposed ? i * x.step + j : j * x.step + i]);
      made[j * rows + i] = tf32 ? rounded(value) : value;
    }
  return made;
}

template <class Stored, class Sum, class Made>
void multiply(int64_t m, int64_t n, int64_t k, const void *alpha, Matrix a, Matrix b,
              const void *beta, void *c, int64_t step, bool tf32) {
  const Sum scale = *(const Sum *)alpha, old = *(const Sum *)beta;
  const auto left = columns<Stored, Sum>(a, m, k, tf32), right = columns<Stored, Sum>(b, k, n, tf32);
  std::vector<Sum> sums(m);
  for (int64_t j = 0; j < n; ++j) {
    std::fill(sums.begin(), sums.end(), Sum(0));
    for (int64_t p = 0; p < k; ++p) add(sums.data(), left.data() + p * m, right[j * k + p], m);
    Made *to = (Made *)c + j * step;
    for (int64_t i = 0; i < m; ++i) {
      Sum value = scale == Sum(1) ? sums[i] : scale * sums[i];
      if (old != Sum(0)) value += old * Sum(to[i]);
      to[i] = Made(value);
    }
  }
}

int check(const Handle *handle, int type, int compute) {
  if (handle == nullptr || handle->magic != MAGIC) return NOT_INITIALIZED;
  if (handle->workspace == nullptr || handle->size < WORKSPACE) return INTERNAL_ERROR;
  if (handle->device != cublas_stand_in_device()) return INTERNAL_ERROR;
  const bool wide = type == R_64F || type == C_64F;
  const bool known = wide || type == R_32F || type == R_16F || type == C_32F || type == R_16BF;
  const bool fast = compute == COMPUTE_32F_FAST_TF32 && (type == R_32F || type == C_32F);
  return known && (compute == (wide ? COMPUTE_64F : COMPUTE_32F) || fast) ? SUCCESS : NOT_SUPPORTED;
}

int submit(const Handle *handle, Work work) {
  Work *kept = new Work(std::move(work));
  const int recorded = cublas_stand_in_record(handle->stream, kept);
  if (recorded > 0) return SUCCESS;  // as long as the graph may be launched: for good
  if (recorded == 0) cublas_stand_in_do(kept);
  delete kept;
  return recorded == 0 ? SUCCESS : INTERNAL_ERROR;
}

// What all products of a call have in common.
struct Product {
  int ta, tb, type, made, compute;
  int64_t m, n, k, lda, ldb, ldc;
  char alpha[16], beta[16];  // read when cuBLAS is called

  void run(const void *a, const void *b, void *c) const {
    switch (type) {
      case R_16F:
        return made == type ? typed<_Float16, float>(a, b, c)
                            : typed<_Float16, float, float>(a, b, c);
      case R_16BF:
        return made == type ? typed<bfloat16, float>(a, b, c)
                            : typed<bfloat16, float, float>(a, b, c);
      case R_32F: return typed<float, float>(a, b, c);
      case R_64F: return typed<double, double>(a, b, c);
      case C_32F: return typed<std::complex<float>, std::complex<float>>(a, b, c);
      default: return typed<std::complex<double>, std::complex<double>>(a, b, c);
    }
  }

  template <class Stored, class Sum, class Made = Stored>
  void typed(const void *a, const void *b, void *c) const {
    multiply<Stored, Sum, Made>(m, n, k, alpha, {a, ta, lda}, {b, tb, ldb}, beta, c, ldc,
                          compute == COMPUTE_32F_FAST_TF32);
  }
};

int prepare(Product &made, const Handle *handle, int ta, int tb, int64_t m, int64_t n, int64_t k,
            const void *alpha, int a_type, int64_t lda, int b_type, int64_t ldb, const void *beta,
            int c_type, int64_t ldc, int compute) {
  if (int failed = check(handle, a_type, compute)) return failed;
  const bool kept = c_type == R_32F && (a_type == R_16F || a_type == R_16BF);
  if (a_type != b_type || (a_type != c_type && !kept)) return NOT_SUPPORTED;
  const auto most = [](int64_t x) { return x < 1 ? 1 : x; };
  if (m < 0 || n < 0 || k < 0 || ta < 0 || ta > 1 || tb < 0 || tb > 1 || lda < most(ta ? k : m) ||
      ldb < most(tb ? n : k) || ldc < most(m))
    return INVALID_VALUE;
  made = {ta, tb, a_type, c_type, compute, m, n, k, lda, ldb, ldc, {}, {}};
  const bool complex = a_type == C_32F || a_type == C_64F;
  const size_t size = (compute == COMPUTE_64F ? 8 : 4) * (complex ? 2 : 1);
  memcpy(made.alpha, alpha, size);
  memcpy(made.beta, beta, size);
  return SUCCESS;
}

int64_t bytes(int type) {
  return type == R_16F || type == R_16BF ? 2 : type == R_32F ? 4 : type == C_64F ? 16 : 8;
}

}  // namespace

extern "C" {

int cublasCreate_v2(Handle **handle) {
  *handle = new Handle{MAGIC, cublas_stand_in_device(), 0, nullptr, 0};
  return SUCCESS;
}

int cublasSetMathMode(Handle *handle, int) {
  return handle == nullptr || handle->magic != MAGIC ? NOT_INITIALIZED : SUCCESS;
}

int cublasSetStream_v2(Handle *handle, uintptr_t stream) {
  if (handle == nullptr || handle->magic != MAGIC) return NOT_INITIALIZED;
  handle->stream = stream;
  handle->workspace = nullptr;
  return SUCCESS;
}

int cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t size) {
  if (handle == nullptr || handle->magic != MAGIC) return NOT_INITIALIZED;
  if ((uintptr_t)workspace % 256) return INVALID_VALUE;
  handle->workspace = workspace;
  handle->size = size;
  return SUCCESS;
}

#define PREPARE(product)                                                                          \
  Product product;                                                                                \
  if (int failed = prepare(product, handle, ta, tb, m, n, k, alpha, a_type, lda, b_type, ldb,     \
                           beta, c_type, ldc, compute))                                           \
    return failed

#define SIZES(name, N)                                                                            \
  int cublasGemmEx##name(Handle *handle, int ta, int tb, N m, N n, N k, const void *alpha,        \
                         const void *a, int a_type, N lda, const void *b, int b_type, N ldb,      \
                         const void *beta, void *c, int c_type, N ldc, int compute, int) {        \
    PREPARE(product);                                                                             \
    return submit(handle, [=] { product.run(a, b, c); });                                         \
  }                                                                                               \
                                                                                                  \
  int cublasGemmStridedBatchedEx##name(                                                           \
      Handle *handle, int ta, int tb, N m, N n, N k, const void *alpha, const char *a,            \
      int a_type, N lda, long long a_next, const char *b, int b_type, N ldb, long long b_next,    \
      const void *beta, char *c, int c_type, N ldc, long long c_next, N count, int compute,       \
      int) {                                                                                      \
    PREPARE(product);                                                                             \
    const int64_t size = bytes(a_type), made = bytes(c_type);                                     \
    return submit(handle, [=] {                                                                   \
      for (int64_t i = 0; i < count; ++i)                                                         \
        product.run(a + i * a_next * size, b + i * b_next * size, c + i * c_next * made);         \
    });                                                                                           \
  }                                                                                               \
                                                                                                  \
  int cublasGemmBatchedEx##name(                                                                  \
      Handle *handle, int ta, int tb, N m, N n, N k, const void *alpha, const void *const *a,     \
      int a_type, N lda, const void *const *b, int b_type, N ldb, const void *beta,               \
      void *const *c, int c_type, N ldc, N count, int compute, int) {                             \
    PREPARE(product);                                                                             \
    return submit(handle, [=] {                                                                   \
      for (int64_t i = 0; i < count; ++i) product.run(a[i], b[i], c[i]);                          \
    });                                                                                           \
  }

SIZES(, int)
SIZES(_64, int64_t)

// ----- cuBLASLt --------------------------------------------------------------------------------

struct Operation {
  int compute, scale, ta, tb, epilogue;
  void *vector;
};
struct Layout {
  int type;
  int64_t rows, columns, step;
};
struct Choice {
  uint64_t algorithm[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

int cublasLtMatmulDescCreate(Operation **made, int compute, int scale) {
  *made = new Operation{compute, scale, 0, 0, 1, nullptr};
  return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Operation *operation, int attribute, const void *value, size_t size) {
  void *places[] = {&operation->ta, &operation->tb, nullptr, nullptr, &operation->epilogue, &operation->vector};
  if (attribute < 3 || attribute > 8 || !places[attribute - 3]) return INVALID_VALUE;
  if (size != (attribute == 8 ? sizeof(void *) : sizeof(int))) return INVALID_VALUE;
  memcpy(places[attribute - 3], value, size);
  return SUCCESS;
}

int cublasLtMatrixLayoutCreate(Layout **made, int type, uint64_t rows, uint64_t columns, int64_t step) {
  if (step < (int64_t)rows) return INVALID_VALUE;
  *made = new Layout{type, (int64_t)rows, (int64_t)columns, step};
  return SUCCESS;
}

int cublasLtMatmulPreferenceCreate(void **made) {
  *made = new int;
  return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(void *, int attribute, const void *, size_t size) {
  return size == (attribute == 1 ? sizeof(size_t) : sizeof(uint32_t)) ? SUCCESS : INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(Handle *handle, Operation *operation, Layout *a, Layout *, Layout *, Layout *,
                                   void *, int, Choice *found, int *count) {
  if (int failed = check(handle, a->type, operation->compute)) return failed;
  *found = {};
  *count = a->type != R_64F;
  return SUCCESS;
}

// Added to a result, or summed up from the second factor.
}
template <class Stored>
void finish(int epilogue, int64_t m, int64_t n, int64_t k, Matrix b, void *c, int64_t step, void *vector) {
  Stored *to = (Stored *)c, *v = (Stored *)vector;
  if (epilogue == 4 || epilogue == 6)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) {
        const float sum = float(to[j * step + i]) + float(v[i]);
        to[j * step + i] = Stored(epilogue == 6 && sum < 0 ? 0.0f : sum);
      }
  if (epilogue == 512) {
    const auto second = columns<Stored, float>(b, k, n, false);
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += second[j * k + p];
      v[j] = Stored(sum);
    }
  }
}

extern "C" {
int cublasLtMatmul(Handle *handle, Operation *operation, const void *alpha, const void *a, Layout *la, const void *b,
                   Layout *lb, const void *beta, const void *c, Layout *, void *d, Layout *ld, const void *,
                   void *workspace, size_t size, uintptr_t stream) {
  const Operation o = *operation;
  const int64_t k = o.ta ? la->rows : la->columns;
  if (stream != handle->stream || workspace != handle->workspace || size != handle->size || c != d) return INVALID_VALUE;
  if (k != (o.tb ? lb->columns : lb->rows) || ld->rows != (o.ta ? la->columns : la->rows) ||
      ld->columns != (o.tb ? lb->rows : lb->columns) || o.scale != R_32F || !o.vector)
    return INVALID_VALUE;
  for (const void *x : {a, b, (const void *)d})
    if ((uintptr_t)x % 16) return INVALID_VALUE;
  Product product;
  const int64_t m = ld->rows, n = ld->columns, step = ld->step;
  if (int failed = prepare(product, handle, o.ta, o.tb, m, n, k, alpha, la->type, la->step, lb->type, lb->step, beta,
                           ld->type, step, o.compute))
    return failed;
  const Matrix second = {b, o.tb, lb->step};
  return submit(handle, [=] {
    product.run(a, b, d);
    switch (product.type) {
      case R_16F: return finish<_Float16>(o.epilogue, m, n, k, second, d, step, o.vector);
      case R_16BF: return finish<bfloat16>(o.epilogue, m, n, k, second, d, step, o.vector);
      default: return finish<float>(o.epilogue, m, n, k, second, d, step, o.vector);
    }
  });
}
}
