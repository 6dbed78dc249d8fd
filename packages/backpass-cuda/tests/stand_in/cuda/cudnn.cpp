// A stand-in for cuDNN on the CPU: the backend API, for single convolutions.
//
// A descriptor is as strict as cuDNN's: it takes attributes until it is finalized, then gives them,
// and what it is made of must be finalized.  The first engine that the heuristics name uses tensor
// cores, the second a Winograd transform, the third is refused when its plan is finalized, and the
// fourth, which alone the fallback names, does it plainly.  They all add up in float32, from factors
// of 11 bits where tensor cores multiply float32.
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

using Work = std::function<void()>;

extern "C" {
// As in cublas.cpp.
int (*cudnn_stand_in_device)();
int (*cudnn_stand_in_record)(uintptr_t stream, Work *work);
void cudnn_stand_in_do(Work *work) { (*work)(); }
// The engine of the last plan that was executed.
int cudnn_stand_in_engine = -1;
}

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_FINALIZED = 2004, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Kind { CONVOLUTION = 1, ENGINE, ENGINECFG, ENGINEHEUR, PLAN, FORWARD = 10, FILTER, DATA, GRAPH = 15, PACK, TENSOR };
enum Type { HANDLE, DATA_TYPE, INT64 = 3, FLOAT, VOID_PTR = 6, CONVOLUTION_MODE, HEUR_MODE, NOTE = 11, DESCRIPTOR = 15 };
constexpr int TENSOR_CORE = 0, WINOGRAD = 5, ENGINES = 4, PLAIN = 3;
constexpr int64_t WORKSPACE = 1000;

struct Handle {
  int device;
  uintptr_t stream;
};

struct Attribute {
  int type;
  std::vector<char> bytes;
};

struct Descriptor {
  int kind;
  bool finalized = false;
  int engine = -1;
  std::map<int, Attribute> attributes{};

  template <class T>
  const T *at(int name) const {
    return (const T *)attributes.at(name).bytes.data();
  }
  bool has(int name, int type, size_t bytes) const {
    const auto found = attributes.find(name);
    return found != attributes.end() && found->second.type == type && found->second.bytes.size() == bytes;
  }
  const Descriptor *part(int name) const { return *at<const Descriptor *>(name); }
};

size_t width(int type) {
  return type == INT64 || type == VOID_PTR || type == HANDLE || type == DESCRIPTOR ? 8 : 4;
}

bool finalize(Descriptor &d) {
  const auto number = [&](int name, int type, size_t count = 1) {
    return d.has(name, type, count * width(type));
  };
  const auto made = [&](int name, std::initializer_list<int> kinds) {
    if (!number(name, DESCRIPTOR)) return false;
    const Descriptor *part = d.part(name);
    for (int kind : kinds)
      if (part->kind == kind) return part->finalized;
    return false;
  };
  switch (d.kind) {
    case TENSOR:
      return number(900, INT64) && number(901, DATA_TYPE) && number(902, INT64, 4) &&
             number(903, INT64, 4) && number(906, INT64) && *d.at<int64_t>(900) == 16;
    case CONVOLUTION:
      return number(100, DATA_TYPE) && number(101, CONVOLUTION_MODE) && number(102, INT64, 2) &&
             number(103, INT64, 2) && number(104, INT64, 2) && number(105, INT64, 2) &&
             number(106, INT64) && *d.at<int>(100) == 0 && *d.at<int>(101) == 1;
    case FORWARD:
    case DATA:
    case FILTER: {
      const int first = d.kind == FORWARD ? 700 : d.kind == DATA ? 706 : 712;
      return number(first, FLOAT) && number(first + 1, FLOAT) && made(first + 2, {CONVOLUTION}) &&
             made(first + 3, {TENSOR}) && made(first + 4, {TENSOR}) && made(first + 5, {TENSOR}) &&
             *d.at<float>(first) == 1 && *d.at<float>(first + 1) == 0;
    }
    case GRAPH:
      return number(800, HANDLE) && made(801, {FORWARD, DATA, FILTER});
    case ENGINEHEUR:
      return made(201, {GRAPH}) && number(200, HEUR_MODE);
    case PLAN:
      return number(400, HANDLE) && made(401, {ENGINECFG}) && d.part(401)->engine != 2;
    case PACK:
      return number(1000, INT64, 3) && number(1001, VOID_PTR, 3) && number(1003, VOID_PTR);
  }
  return false;
}

// Half precision, as cublas.cpp has it.
float number(const void *at, int64_t i, int type) {
  if (type == 0) return ((const float *)at)[i];
  if (type == 2) return ((const _Float16 *)at)[i];
  const uint32_t wide = uint32_t(((const uint16_t *)at)[i]) << 16;
  float made;
  memcpy(&made, &wide, 4);
  return made;
}
void store(void *at, int64_t i, int type, float x) {
  if (type == 0) {
    ((float *)at)[i] = x;
  } else if (type == 2) {
    ((_Float16 *)at)[i] = x;
  } else {
    uint32_t wide;
    memcpy(&wide, &x, 4);
    ((uint16_t *)at)[i] = x != x ? 0x7fc0 : (wide + 0x7fff + (wide >> 16 & 1)) >> 16;
  }
}
float rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if (x - x == 0) bits = (bits + 0x1000) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}

struct Array {
  int type;
  int64_t lengths[4], strides[4];
  void *at;

  int64_t place(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3];
  }
};

struct Convolution {
  int kind;
  bool tf32;
  Array w, x, y;
  int64_t dilation[2], stride[2], before[2];

  // Call `each` with the places of w, x and y that are multiplied; -1 is in the border.
  template <class F>
  void all(F each) const {
    const int64_t inner = w.lengths[1], outer = w.lengths[0] / (x.lengths[1] / inner);
    for (int64_t n = 0; n < y.lengths[0]; ++n)
      for (int64_t o = 0; o < y.lengths[1]; ++o)
        for (int64_t c = 0; c < inner; ++c)
          for (int64_t h = 0; h < y.lengths[2]; ++h)
            for (int64_t v = 0; v < y.lengths[3]; ++v)
              for (int64_t i = 0; i < w.lengths[2]; ++i)
                for (int64_t j = 0; j < w.lengths[3]; ++j) {
                  const int64_t a = h * stride[0] + i * dilation[0] - before[0];
                  const int64_t b = v * stride[1] + j * dilation[1] - before[1];
                  const bool inside = a >= 0 && b >= 0 && a < x.lengths[2] && b < x.lengths[3];
                  const int64_t at = x.place(n, o / outer * inner + c, a, b);
                  each(w.place(o, c, i, j), inside ? at : -1, y.place(n, o, h, v));
                }
  }

  void run() const {
    const Array &made = kind == FORWARD ? y : kind == DATA ? x : w;
    const int64_t size = made.lengths[0] * made.lengths[1] * made.lengths[2] * made.lengths[3];
    std::vector<float> sums(size);
    const auto read = [&](const Array &from, int64_t i) {
      const float found = i < 0 ? 0 : number(from.at, i, from.type);  // times nan it is nan
      return tf32 ? rounded(found) : found;
    };
    all([&](int64_t at_w, int64_t at_x, int64_t at_y) {
      if (kind == FORWARD) sums[at_y] += read(w, at_w) * read(x, at_x);
      if (kind == DATA && at_x >= 0) sums[at_x] += read(w, at_w) * read(y, at_y);
      if (kind == FILTER) sums[at_w] += read(x, at_x) * read(y, at_y);
    });
    for (int64_t i = 0; i < size; ++i) store(made.at, i, made.type, sums[i]);
  }
};

Array array(const Descriptor *tensor, const Descriptor *pack) {
  Array made{*tensor->at<int>(901), {}, {}, nullptr};
  memcpy(made.lengths, tensor->at<int64_t>(902), 32);
  memcpy(made.strides, tensor->at<int64_t>(903), 32);
  for (int i = 0; i < 3; ++i)
    if (pack->at<int64_t>(1000)[i] == *tensor->at<int64_t>(906)) made.at = pack->at<void *>(1001)[i];
  return made;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return 91000; }

int cudnnCreate(Handle **made) {
  *made = new Handle{cudnn_stand_in_device(), 0};
  return SUCCESS;
}

int cudnnSetStream(Handle *handle, uintptr_t stream) {
  handle->stream = stream;
  return SUCCESS;
}

int cudnnBackendCreateDescriptor(int kind, Descriptor **made) {
  *made = new Descriptor{kind};
  return SUCCESS;
}

int cudnnBackendDestroyDescriptor(Descriptor *d) {
  delete d;
  return SUCCESS;
}

int cudnnBackendSetAttribute(Descriptor *d, int name, int type, int64_t count, const char *values) {
  if (d->finalized) return BAD_PARAM;
  d->attributes[name] = {type, {values, values + count * width(type)}};
  return SUCCESS;
}

int cudnnBackendFinalize(Descriptor *d) {
  if (!finalize(*d)) return NOT_SUPPORTED;
  if (d->kind == PLAN) d->engine = d->part(401)->engine;
  d->finalized = true;
  return SUCCESS;
}

int cudnnBackendGetAttribute(Descriptor *d, int name, int type, int64_t asked, int64_t *count, char *values) {
  if (d->kind == ENGINEHEUR && d->finalized && name == 202 && type == DESCRIPTOR) {
    const bool fallback = *d->at<int>(200) == 2;
    *count = fallback ? 1 : ENGINES;
    for (int64_t i = 0; i < *count && i < asked; ++i) {
      Descriptor *config = ((Descriptor **)values)[i];
      if (config->kind != ENGINECFG) return BAD_PARAM;
      config->engine = fallback ? PLAIN : i;
      config->attributes[201] = d->attributes.at(201);
      config->finalized = true;
    }
    return SUCCESS;
  }
  if (d->kind == ENGINECFG && d->finalized && name == 300 && type == DESCRIPTOR && asked == 1) {
    Descriptor *engine = *(Descriptor **)values;
    if (engine->kind != ENGINE) return BAD_PARAM;
    engine->engine = d->engine;
    engine->finalized = true;
    *count = 1;
    return SUCCESS;
  }
  if (d->kind == ENGINE && d->finalized && name == 1303 && type == NOTE) {
    *count = d->engine < 2;
    *(int *)values = d->engine ? WINOGRAD : TENSOR_CORE;
    return SUCCESS;
  }
  if (d->kind == PLAN && d->finalized && name == 402 && type == INT64) {
    *count = 1;
    *(int64_t *)values = d->engine ? 0 : WORKSPACE;
    return SUCCESS;
  }
  return BAD_PARAM;
}

int cudnnBackendExecute(Handle *handle, Descriptor *plan, Descriptor *pack) {
  if (!plan->finalized || !pack->finalized) return NOT_FINALIZED;
  if (handle->device != cudnn_stand_in_device()) return EXECUTION_FAILED;
  const Descriptor *graph = plan->part(401)->part(201);
  const Descriptor *operation = graph->part(801);
  const int first = operation->kind == FORWARD ? 700 : operation->kind == DATA ? 706 : 712;
  const Descriptor *windows = operation->part(first + 2);
  Convolution made{operation->kind, false};
  made.w = array(operation->part(first + 3), pack);
  made.x = array(operation->part(first + 4), pack);
  made.y = array(operation->part(first + 5), pack);
  made.tf32 = plan->engine == 0 && made.w.type == 0;
  memcpy(made.dilation, windows->at<int64_t>(102), 16);
  memcpy(made.stride, windows->at<int64_t>(103), 16);
  memcpy(made.before, windows->at<int64_t>(105), 16);
  for (const Array *one : {&made.w, &made.x, &made.y})
    if (one->at == nullptr || (uintptr_t)one->at % 16) return BAD_PARAM;
  char *workspace = *pack->at<char *>(1003);
  if (plan->engine == 0) {
    if (workspace == nullptr) return BAD_PARAM;
    memset(workspace, 0, WORKSPACE);
  }
  cudnn_stand_in_engine = plan->engine;
  Work *work = new Work([=] { made.run(); });
  const int recorded = cudnn_stand_in_record(handle->stream, work);
  if (recorded > 0) return SUCCESS;
  if (recorded == 0) (*work)();
  delete work;
  return recorded == 0 ? SUCCESS : EXECUTION_FAILED;
}
}
