// What follows a kernel's source: how the runtime calls it, and what it takes.

namespace emulator {

// What a parameter is, for the check of the arguments: p pointer, f floating, i integer, b bool,
// s struct.  A pointer says what floating type it points to, or '?'.
struct parameter { unsigned size; char kind, pointee; };

template <class T> struct pointee { static constexpr char kind = '?'; };
template <> struct pointee<float> { static constexpr char kind = 'f'; };
template <> struct pointee<double> { static constexpr char kind = 'd'; };
template <> struct pointee<float2> : pointee<float> {};
template <> struct pointee<float4> : pointee<float> {};
template <> struct pointee<double2> : pointee<double> {};
template <> struct pointee<double4> : pointee<double> {};
template <> struct pointee<bool> { static constexpr char kind = 'b'; };
#ifdef EMULATOR_HALF_TYPES
template <> struct pointee<__half> { static constexpr char kind = 'e'; };
template <> struct pointee<__half2> : pointee<__half> {};
#endif
template <class T> struct pointee<const T> : pointee<T> {};
template <class T> struct pointee<volatile T> : pointee<T> {};

template <class T> struct described {
  static constexpr bool floats = __is_same(T, float) || __is_same(T, double);
  static constexpr char kind =
      __is_same(T, bool) ? 'b' : floats ? 'f' : __is_class(T) || __is_union(T) ? 's' : 'i';
  static constexpr parameter value{sizeof(T), kind, '?'};
};
template <class T> struct described<T *> {
  static constexpr parameter value{sizeof(T *), 'p', pointee<T>::kind};
};
template <class T> struct described<T *const> : described<T *> {};
template <class T> struct described<const T> : described<T> {};

template <unsigned... I> struct places {};
template <unsigned N, unsigned... I> struct counted : counted<N - 1, N - 1, I...> {};
template <unsigned... I> struct counted<0, I...> { using type = places<I...>; };

// The driver, not the kernel, reads the arguments.
template <class... P, unsigned... I>
EMULATOR_UNCHECKED inline void call(void (*kernel)(P...), void **arguments, places<I...>) {
  kernel(*(P *)arguments[I]...);
}
template <class... P> inline void call(void (*kernel)(P...), void **arguments) {
  call(kernel, arguments, typename counted<sizeof...(P)>::type{});
}
template <class... P> inline unsigned describe(void (*)(P...), parameter *made) {
  const parameter all[] = {described<P>::value..., {}};
  for (unsigned i = 0; made && i < sizeof...(P); i++) made[i] = all[i];
  return sizeof...(P);
}

}  // namespace emulator

extern "C" {
// The linker's names of the ends of the library, and of the section.
extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));
extern char __start_emulator_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulator_shared[] __attribute__((weak, visibility("hidden")));

EMULATOR_UNCHECKED void emulator_invoke(void **arguments) { emulator::call(EMULATOR_KERNEL, arguments); }
unsigned emulator_parameters(emulator::parameter *made) {
  return emulator::describe(EMULATOR_KERNEL, made);
}
char *emulator_shared_start() { return __start_emulator_shared; }
char *emulator_image_start() { return __ehdr_start; }
char *emulator_image_stop() { return _end; }
char *emulator_shared_stop() { return __stop_emulator_shared; }
}
