//! The inverses of the circular functions.

use crate::real::Real;
use crate::simd::Simd;

/// (t, u) with num / den = tan(t + u) for |num / den| <= tan(pi / 8), given what `num` and `den` have
/// lost in rounding.
#[inline(always)]
fn atan_parts<T: Real, S: Simd<T>>(
    s: S,
    (num, num_lost): (S::V, S::V),
    (den, den_lost): (S::V, S::V),
) -> (S::V, S::V) {
    if !T::COMPENSATED {
        let t = s.div(num, den);
        let z = s.mul(t, t);
        return (t, s.mul(s.mul(t, z), s.poly(z, T::ATAN)));
    }
    let inverse = s.div(s.splat(T::ONE), den);
    let t = s.mul(num, inverse);
    let lost = s.fnma(t, den_lost, s.add(s.fnma(t, den, num), num_lost));
    let z = s.mul(t, t);
    (t, s.fma(s.mul(t, z), s.poly(z, T::ATAN), s.mul(lost, inverse)))
}

/// The angle whose tangent is x: pi / 4 or pi / 2 are split off.
#[inline(always)]
pub fn arctan<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_atan);
    }
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let a = s.min(s.splat(T::HUGE), s.abs(x));
    let middle = s.lt(s.splat(T::of(0.414_213_562_373_095_1)), a);
    let large = s.lt(s.splat(T::of(2.414_213_562_373_095)), a);
    let (less, more) = (s.sub(a, one), s.add(a, one));
    let (less_lost, more_lost) = (s.sub(a, s.add(less, one)), s.sub(a, s.sub(more, one)));
    let chosen = |low, mid, high| s.select(large, high, s.select(middle, mid, low));
    let num = (chosen(a, less, s.neg(one)), chosen(zero, less_lost, zero));
    let den = (chosen(one, more, a), chosen(zero, more_lost, zero));
    let (t, low) = atan_parts(s, num, den);
    let (right, right_low) = (s.splat(T::FRAC_PI_2[0]), s.splat(T::FRAC_PI_2[1]));
    let half = s.splat(T::HALF);
    let angle = chosen(zero, s.mul(right, half), right);
    let low = s.add(low, chosen(zero, s.mul(right_low, half), right_low));
    if !T::COMPENSATED {
        return s.copysign(s.add(angle, s.add(t, low)), x);
    }
    // The sum of angle and t is exact enough only if what it loses is added.
    let sum = s.add(angle, t);
    let lost = s.select(middle, s.sub(t, s.sub(sum, angle)), zero);
    s.copysign(s.add(sum, s.add(low, lost)), x)
}

/// The angle of the point (x, y).
#[inline(always)]
pub fn arctan2<T: Real, S: Simd<T>>(s: S, y: S::V, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map2(y, x, T::std_atan2);
    }
    let (zero, one, infinity) = (s.splat(T::ZERO), s.splat(T::ONE), s.splat(T::INFINITY));
    let (ax, ay) = (s.abs(x), s.abs(y));
    let steep = s.lt(ax, ay);
    let (large, small) = (s.select(steep, ay, ax), s.select(steep, ax, ay));
    let both = s.eq(small, infinity);
    let endless = s.eq(large, infinity);
    let small = s.select(endless, s.select(both, one, zero), small);
    let large = s.select(s.or(endless, s.eq(large, zero)), one, large);
    let factor = s.select(
        s.lt(s.splat(T::HUGE), large),
        s.splat(T::SHRINK),
        s.select(s.lt(large, s.splat(T::TINY)), s.splat(T::GROW), one),
    );
    let (large, small) = (s.mul(large, factor), s.mul(small, factor));
    let middle = s.lt(s.mul(large, s.splat(T::of(0.414_213_562_373_095_1))), small);
    let (less, more) = (s.sub(small, large), s.add(large, small));
    let less_lost = s.sub(small, s.add(less, large));
    let more_lost = s.sub(small, s.sub(more, large));
    let num = (s.select(middle, less, small), s.select(middle, less_lost, zero));
    let den = (s.select(middle, more, large), s.select(middle, more_lost, zero));
    let (t, low) = atan_parts(s, num, den);
    // In eighths of a turn: of the axis that is nearest, and of the diagonal.
    let left = s.lt(s.copysign(one, x), zero);
    let backwards = s.select(left, s.select(steep, zero, one), s.select(steep, one, zero));
    let backwards = s.eq(backwards, one);
    let axis = s.select(steep, s.splat(T::TWO), s.select(left, s.splat(T::of(4.0)), zero));
    let diagonal = s.select(middle, one, zero);
    let eighths = s.add(axis, s.select(backwards, s.neg(diagonal), diagonal));
    let (t, low) = (s.select(backwards, s.neg(t), t), s.select(backwards, s.neg(low), low));
    let eighth = s.splat(T::FRAC_PI_2[0] * T::HALF);
    let angle = s.mul(eighths, eighth);
    let lost = s.fma(eighths, eighth, s.neg(angle));
    let low = s.add(low, s.fma(eighths, s.splat(T::FRAC_PI_2[1] * T::HALF), lost));
    let value = if T::COMPENSATED {
        let sum = s.add(angle, t);
        let lost = s.select(s.eq(eighths, zero), zero, s.sub(t, s.sub(sum, angle)));
        s.add(sum, s.add(low, lost))
    } else {
        s.add(angle, s.add(t, low))
    };
    let value = s.copysign(value, y);
    s.select(s.or(s.is_nan(x), s.is_nan(y)), s.splat(T::NAN), value)
}

/// (root, low, z): for |x| <= 1/2 asin |x| = root + low; beyond, pi / 2 - 2 (root + low) is.
#[inline(always)]
fn asin_parts<T: Real, S: Simd<T>>(s: S, a: S::V, large: S::M) -> (S::V, S::V) {
    let z = s.mul(s.sub(s.splat(T::ONE), a), s.splat(T::HALF));
    let z = s.select(large, z, s.mul(a, a));
    let root = s.select(large, s.sqrt(z), a);
    (root, s.mul(s.mul(root, z), s.poly(z, T::ASIN)))
}

/// The angle whose sine is x.
#[inline(always)]
pub fn arcsin<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_asin);
    }
    let a = s.abs(x);
    let large = s.lt(s.splat(T::HALF), a);
    let (root, low) = asin_parts(s, a, large);
    let rest = s.sub(s.splat(T::FRAC_PI_2[0]), s.add(root, root));
    let beyond = s.sub(rest, s.sub(s.add(low, low), s.splat(T::FRAC_PI_2[1])));
    s.copysign(s.select(large, beyond, s.add(root, low)), x)
}

/// The angle whose cosine is x.
#[inline(always)]
pub fn arccos<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    if !S::FUSED {
        return s.map(x, T::std_acos);
    }
    let a = s.abs(x);
    let large = s.lt(s.splat(T::HALF), a);
    let (root, low) = asin_parts(s, a, large);
    let (right, right_low) = (s.splat(T::FRAC_PI_2[0]), s.splat(T::FRAC_PI_2[1]));
    let negative = s.lt(x, s.splat(T::ZERO));
    // pi / 2 - x, and twice the angle of the root, or pi less that.
    let signed = |v| s.select(negative, s.neg(v), v);
    let near = s.sub(s.sub(right, signed(root)), s.sub(signed(low), right_low));
    let sum = s.add(root, low);
    let twice = s.add(sum, sum);
    let straight = s.sub(s.add(right, right), s.add(root, root));
    let obtuse = s.sub(straight, s.sub(s.add(low, low), s.add(right_low, right_low)));
    s.select(large, s.select(negative, obtuse, twice), near)
}
