//! Functions of two operands.

use super::table;

table! {
    /// Functions of two operands.
    BINARY, 2:
    Add "add" 50 [x, y] |s, T| s.add(x, y);
    Subtract "subtract" 50 [x, y] |s, T| s.sub(x, y);
    Multiply "multiply" 50 [x, y] |s, T| s.mul(x, y);
    Divide "divide" 200 [x, y] |s, T| s.div(x, y);
    Maximum "maximum" 50 [x, y] |s, T| s.select(s.is_nan(x), x, s.max(x, y));
    Minimum "minimum" 50 [x, y] |s, T| s.select(s.is_nan(x), x, s.min(x, y));
    Fmax "fmax" 50 [x, y] |s, T| s.select(s.is_nan(y), x, s.max(x, y));
    Fmin "fmin" 50 [x, y] |s, T| s.select(s.is_nan(y), x, s.min(x, y));
    Power "power" 2000 [x, y] |s, T| T::power(s, x, y);
    Hypot "hypot" 300 [x, y] |s, T| T::hypot(s, x, y);
    Arctan2 "arctan2" 1000 [y, x] |s, T| T::arctan2(s, y, x);
    Logaddexp "logaddexp" 1000 [x, y] |s, T| T::logaddexp(s, x, y);
    Logaddexp2 "logaddexp2" 1000 [x, y] |s, T| T::logaddexp2(s, x, y);
    Xlogy "xlogy" 500 [x, y] |s, T| {
        let zero = s.splat(T::ZERO);
        s.select(s.and(s.eq(x, zero), s.eq(y, y)), zero, s.mul(x, T::ln(s, y)))
    };
}
