//! The three passes of a convolution. What they return has its channels innermost in memory.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::convolution::{self, Images, Windows};
use pyo3::ffi;

use crate::keywords::{Names, each_keyword, integer, integers, item};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};
use crate::table::{Args, Object, functions, isa};

use super::Family;

functions! {
    conv2d: |a, n, k| call(Pass::Forward, isa(), a, n, k);
    conv2d_input: |a, n, k| call(Pass::Input, isa(), a, n, k);
    conv2d_weight: |a, n, k| call(Pass::Weight, isa(), a, n, k);
}

/// The kernels.
pub static KERNELS: Family =
    &[("conv2d", conv2d), ("conv2d_input", conv2d_input), ("conv2d_weight", conv2d_weight)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// x, weight, bias
    Forward,
    /// y, weight
    Input,
    /// y, x
    Weight,
}

/// The keywords as given: pairs are along rows and columns.
struct Keywords {
    size: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    padding: [[isize; 2]; 2],
    dilation: [usize; 2],
    groups: usize,
}

static NAMES: Names<6> =
    Names::new([c"size", c"window", c"stride", c"padding", c"dilation", c"groups"]);

impl Keywords {
    /// Reads them; all must be there.
    unsafe fn read(
        values: *const *mut ffi::PyObject,
        kwnames: *mut ffi::PyObject,
    ) -> Result<Self, Refused> {
        // SAFETY: the caller's.
        unsafe {
            let mut found = [None; 6];
            each_keyword(kwnames, values, NAMES.get()?, |place, value| {
                found[place] = Some(value);
                Ok(())
            })?;
            let given = |place: usize| found[place].ok_or(Refused);
            let pair = |place: usize| positive(integers::<2>(given(place)?)?);
            let widths = |side| integers::<2>(item::<2>(given(3)?, side)?);
            Ok(Self {
                size: pair(0)?,
                window: pair(1)?,
                stride: pair(2)?,
                padding: [widths(0)?, widths(1)?],
                dilation: pair(4)?,
                groups: positive([integer(given(5)?)?])?[0],
            })
        }
    }

    /// How many places the window has along an axis.
    fn places(&self, a: usize) -> Result<usize, Refused> {
        let wide = self.size[a] as isize + self.padding[a][0] + self.padding[a][1];
        let span = (self.dilation[a] * (self.window[a] - 1) + 1) as isize;
        if wide < span { Err(Refused) } else { Ok((wide - span) as usize / self.stride[a] + 1) }
    }

    /// All that the kernels need to know.
    fn windows(&self, batch: usize, channels: usize, out: usize) -> Result<Windows, Refused> {
        let groups = self.groups;
        if [batch, channels, out].contains(&0)
            || !channels.is_multiple_of(groups)
            || !out.is_multiple_of(groups)
        {
            return Err(Refused);
        }
        Ok(Windows {
            batch,
            channels,
            out,
            groups,
            size: self.size,
            places: [self.places(0)?, self.places(1)?],
            window: self.window,
            stride: self.stride,
            before: [self.padding[0][0], self.padding[1][0]],
            dilation: self.dilation,
        })
    }
}

/// Numbers that are at least 1.
fn positive<const N: usize>(numbers: [isize; N]) -> Result<[usize; N], Refused> {
    if numbers.iter().any(|&n| n < 1) { Err(Refused) } else { Ok(numbers.map(|n| n as usize)) }
}

unsafe fn call(
    pass: Pass,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let count = if pass == Pass::Forward { 3 } else { 2 };
            if nargs != count {
                return Err(Refused);
            }
            let operands = [Argument::new(*args)?, Argument::new(*args.add(1))?];
            let bias = if pass == Pass::Forward && *args.add(2) != ffi::Py_None() {
                Some(Argument::new(*args.add(2))?)
            } else {
                None
            };
            let keywords = Keywords::read(args.offset(nargs), kwnames)?;
            let [a, b] = operands;
            match common_kind(&[a, b, bias.unwrap_or(a)])? {
                Kind::Single => typed::<f32>(pass, isa, &a, &b, bias.as_ref(), &keywords),
                _ => typed::<f64>(pass, isa, &a, &b, bias.as_ref(), &keywords),
            }
        })
    }
}

/// A batch of images or a weight.
fn images<T: Element>(x: &Argument) -> Result<(Images<T>, [usize; 4]), Refused> {
    let shape: [usize; 4] = x.shape().try_into().map_err(|_| Refused)?;
    let strides = std::array::from_fn(|d| x.stride::<T>(d));
    Ok((Images { data: x.data(), strides }, shape))
}

unsafe fn typed<T: Element>(
    pass: Pass,
    isa: Isa,
    a: &Argument,
    b: &Argument,
    bias: Option<&Argument>,
    keywords: &Keywords,
) -> Outcome {
    let ((a, a_shape), (b, b_shape)) = (images::<T>(a)?, images::<T>(b)?);
    let [height, width] = keywords.window;
    let inner = |channels: usize| channels / keywords.groups;
    let batch = a_shape[0];
    let windows = match pass {
        Pass::Forward => keywords.windows(batch, a_shape[1], b_shape[0])?,
        Pass::Input => keywords.windows(batch, b_shape[1] * keywords.groups, b_shape[0])?,
        Pass::Weight => keywords.windows(batch, b_shape[1], a_shape[1])?,
    };
    let Windows { channels, out, size, places, .. } = windows;
    let weight = [out, inner(channels), height, width];
    let (x, y) = ([batch, channels, size[0], size[1]], [batch, out, places[0], places[1]]);
    let (wanted, made) = match pass {
        Pass::Forward => ([x, weight], y),
        Pass::Input => ([y, weight], x),
        Pass::Weight => ([y, x], weight),
    };
    if [a_shape, b_shape] != wanted {
        return Err(Refused);
    }
    // The bias is read as it lies.
    let bias = match bias {
        Some(bias) if bias.shape() != [out] || (out > 1 && bias.stride::<T>(0) != 1) => {
            return Err(Refused);
        }
        Some(bias) => bias.data(),
        None => std::ptr::null(),
    };
    let elements = made.iter().product::<usize>();
    let [first, second, third, fourth] = made;
    let area = third * fourth;
    let unit = size_of::<T>();
    let strides = [second * area, 1, fourth * second, second].map(|n| (n * unit) as isize);
    // The usual order is said in the usual way.
    let plain = pass == Pass::Weight || second == 1 || area == 1;
    let strides = if plain { std::ptr::null() } else { strides.as_ptr() };
    let shape = [first, second, third, fourth];
    let products = batch * out * places[0] * places[1] * inner(channels) * height * width;
    // SAFETY: the lock is held; the operands have the shapes just compared.
    unsafe {
        let (array, to) = match new_array::<T>(4, shape.as_ptr(), strides, elements) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(products * 2 * unit + elements * 50, || match pass {
            Pass::Forward => convolution::forward(isa, &windows, a, b, bias, to),
            Pass::Input => convolution::input(isa, &windows, a, b, to),
            Pass::Weight => convolution::weight(isa, &windows, a, b, to),
        });
        Ok(array)
    }
}
