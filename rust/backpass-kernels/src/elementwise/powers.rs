//! Powers with a small constant exponent.

use super::{Elementwise, table};

table! {
    /// The exponents -1, 1, 2, 3, 4.
    POWERS, 1:
    Reciprocal "power" 200 [x] |s, T| s.div(s.splat(T::ONE), x);
    First "power" 50 [x] |s, T| x;
    Square "power" 50 [x] |s, T| s.mul(x, x);
    Cube "power" 50 [x] |s, T| s.mul(s.mul(x, x), x);
    Fourth "power" 50 [x] |s, T| {
        let square = s.mul(x, x);
        s.mul(square, square)
    };
}

table! {
    /// Their rules, of the cotangent and x.
    POWER_RULES, 2:
    ReciprocalVjp "power.vjp0" 200 [g, x] |s, T| {
        let inverse = s.div(s.splat(T::ONE), x);
        s.zero_mul(g, s.neg(s.mul(inverse, inverse)))
    };
    FirstVjp "power.vjp0" 50 [g, x] |s, T| g;
    SquareVjp "power.vjp0" 50 [g, x] |s, T| s.zero_mul(g, s.add(x, x));
    CubeVjp "power.vjp0" 50 [g, x] |s, T| {
        s.zero_mul(g, s.mul(s.splat(T::of(3.0)), s.mul(x, x)))
    };
    FourthVjp "power.vjp0" 50 [g, x] |s, T| {
        s.zero_mul(g, s.mul(s.splat(T::of(4.0)), s.mul(s.mul(x, x), x)))
    };
}

/// Where the exponent stands in both tables.
fn place(exponent: f64) -> Option<usize> {
    [-1.0, 1.0, 2.0, 3.0, 4.0].iter().position(|&e| e == exponent)
}

/// The function that raises its operand to a constant power, if that has a way of its own.
#[must_use]
pub fn constant_power(exponent: f64) -> Option<&'static Elementwise<1>> {
    place(exponent).map(|i| &POWERS[i])
}

/// Its rule, of the cotangent and the operand.
#[must_use]
pub fn constant_power_rule(exponent: f64) -> Option<&'static Elementwise<2>> {
    place(exponent).map(|i| &POWER_RULES[i])
}
