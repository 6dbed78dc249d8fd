//! Functions of four operands.

use super::table;

table! {
    /// Functions of four operands.
    QUATERNARY, 4:
    ShiftScale "shift_scale" 100 [x, centre, scale, bias] |s, T| {
        s.fma(s.sub(x, centre), scale, bias)
    };
}
