// Mathematics that CUDA has and the C library lacks, in long double: correct to the last place or two.
#include <math.h>

extern "C" {

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
