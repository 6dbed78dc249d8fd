// CUDA's constants of mathematics, those that kernels use.
#pragma once

#define CUDART_INF_F __int_as_float(0x7f800000)
#define CUDART_NAN_F __int_as_float(0x7fffffff)
#define CUDART_MIN_DENORM_F __int_as_float(0x00000001)
#define CUDART_MAX_NORMAL_F __int_as_float(0x7f7fffff)
#define CUDART_PI_F 3.141592654f
#define CUDART_INF __longlong_as_double(0x7ff0000000000000ll)
#define CUDART_NAN __longlong_as_double((long long)0xfff8000000000000ull)
#define CUDART_MIN_DENORM __longlong_as_double(0x0000000000000001ll)
#define CUDART_MAX_NORMAL __longlong_as_double(0x7fefffffffffffffll)
#define CUDART_PI 3.1415926535897931e+0
#define CUDART_SQRT_HALF_F 0.707106781f
#define CUDART_SQRT_HALF 7.0710678118654757e-1
#define CUDART_L2E_F 1.442695041f
#define CUDART_L2E 1.4426950408889634e+0
#define CUDART_LN2_F 0.693147181f
#define CUDART_LN2 6.9314718055994529e-1
