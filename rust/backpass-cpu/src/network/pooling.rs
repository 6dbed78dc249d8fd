//! Pooling.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::pooling::{Arrays, Axis, Images, Pooling, Window, pool};
use numpy::npyffi::{NPY_ARRAY_ALIGNED, PyArrayObject};
use pyo3::ffi;

use super::images::{Layout, laid, new_images, shape_of};
use crate::api::api;
use crate::keywords::{Names, each_keyword, integers, item, truth};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array_of, unlocked};
use crate::table::{Args, Object, functions, isa};

functions! {
    max_pool2d: |a, n, k| call(Task::Largest, isa(), a, n, k);
    max_pool2d_input: |a, n, k| call(Task::Won, isa(), a, n, k);
    max_pool2d_pick: |a, n, k| call(Task::Picked, isa(), a, n, k);
    avg_pool2d: |a, n, k| call(Task::Mean, isa(), a, n, k);
    avg_pool2d_input: |a, n, k| call(Task::Spread, isa(), a, n, k);
    adaptive_avg_pool2d: |a, n, k| call(Task::AdaptiveMean, isa(), a, n, k);
    adaptive_avg_pool2d_input: |a, n, k| call(Task::AdaptiveSpread, isa(), a, n, k);
}

/// Kernels by their names.
pub static KERNELS: super::Family = &[
    ("max_pool2d", max_pool2d),
    ("max_pool2d_input", max_pool2d_input),
    ("max_pool2d_pick", max_pool2d_pick),
    ("avg_pool2d", avg_pool2d),
    ("avg_pool2d_input", avg_pool2d_input),
    ("adaptive_avg_pool2d", adaptive_avg_pool2d),
    ("adaptive_avg_pool2d_input", adaptive_avg_pool2d_input),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Largest,
    Won,
    Picked,
    Mean,
    Spread,
    AdaptiveMean,
    AdaptiveSpread,
}

impl Task {
    /// Whether it goes from the windows to what they see.
    fn is_back(self) -> bool {
        matches!(self, Self::Won | Self::Spread | Self::AdaptiveSpread)
    }

    fn reads_winners(self) -> bool {
        matches!(self, Self::Won | Self::Picked)
    }

    fn pooling(self) -> Pooling {
        match self {
            Self::Largest => Pooling::Largest,
            Self::Won => Pooling::Won,
            Self::Picked => Pooling::Picked,
            Self::Mean | Self::AdaptiveMean => Pooling::Mean,
            Self::Spread | Self::AdaptiveSpread => Pooling::Spread,
        }
    }
}

static NAMES: Names<7> = Names::new([
    c"size",
    c"window",
    c"stride",
    c"padding",
    c"dilation",
    c"count_include_pad",
    c"counts",
]);

/// The keywords.
struct Options {
    size: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    padding: [[usize; 2]; 2],
    dilation: [usize; 2],
    whole: bool,
    counts: [usize; 2],
}

/// Two numbers of at least `least`.
unsafe fn pair(value: Object, least: isize) -> Result<[usize; 2], Refused> {
    // SAFETY: the caller's.
    let found = unsafe { integers::<2>(value)? };
    if found.iter().any(|&n| n < least) { Err(Refused) } else { Ok(found.map(|n| n as usize)) }
}

impl Options {
    unsafe fn read(values: Args, kwnames: Object) -> Result<Self, Refused> {
        let mut found = Self {
            size: [0; 2],
            window: [1; 2],
            stride: [1; 2],
            padding: [[0; 2]; 2],
            dilation: [1; 2],
            whole: true,
            counts: [0; 2],
        };
        // SAFETY: the interpreter's lock is held and the values are alive.
        unsafe {
            each_keyword(kwnames, values, NAMES.get()?, |place, value| {
                match place {
                    0 => found.size = pair(value, 0)?,
                    1 => found.window = pair(value, 1)?,
                    2 => found.stride = pair(value, 1)?,
                    3 => {
                        for (d, widths) in found.padding.iter_mut().enumerate() {
                            *widths = pair(item::<2>(value, d)?, 0)?;
                        }
                    }
                    4 => found.dilation = pair(value, 1)?,
                    5 => found.whole = truth(value)?,
                    _ => found.counts = pair(value, 1)?,
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// What the windows see along an axis.
    fn axis(&self, d: usize, whole: bool) -> Result<Axis, Refused> {
        let n = self.size[d];
        if self.counts[d] > 0 {
            return Ok(Axis::parts(n, self.counts[d]));
        }
        let (window, stride, dilation) = (self.window[d], self.stride[d], self.dilation[d]);
        let [before, after] = self.padding[d];
        let room = (n + before + after).checked_sub(dilation * (window - 1) + 1).ok_or(Refused)?;
        let shape = Window { window, stride, before, dilation };
        Ok(Axis::windows(n, room / stride + 1, shape, whole))
    }
}

/// The winners that a kernel reads: bytes, which lie in one of the two ways.
unsafe fn winners(object: Object) -> Result<(*mut u8, [usize; 4], Layout), Refused> {
    // SAFETY: the cast follows a test of the exact type.
    unsafe {
        if ffi::Py_TYPE(object) != api().array {
            return Err(Refused);
        }
        let array = object.cast::<PyArrayObject>();
        let of_bytes = (*array).descr == api().descr_u8;
        if !of_bytes || (*array).nd != 4 || (*array).flags & NPY_ARRAY_ALIGNED == 0 {
            return Err(Refused);
        }
        let shape = std::array::from_fn(|d| *(*array).dimensions.add(d) as usize);
        let strides = std::array::from_fn(|d| *(*array).strides.add(d));
        let layout = Layout::find(shape, strides).ok_or(Refused)?;
        Ok(((*array).data.cast(), shape, layout))
    }
}

unsafe fn call(task: Task, isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let count = if task.reads_winners() { 2 } else { 1 };
            if nargs != count {
                return Err(Refused);
            }
            let options = Options::read(args.offset(count), kwnames)?;
            let x = Argument::new(*args)?;
            let read = if count == 2 { Some(winners(*args.add(1))?) } else { None };
            match x.kind {
                _ if x.array.is_null() => Err(Refused),
                Kind::Single => typed::<f32>(task, isa, &x, read, &options),
                _ => typed::<f64>(task, isa, &x, read, &options),
            }
        })
    }
}

unsafe fn typed<T: Element>(
    task: Task,
    isa: Isa,
    x: &Argument,
    read: Option<(*mut u8, [usize; 4], Layout)>,
    options: &Options,
) -> Outcome {
    let shape = shape_of(x)?;
    let whole = options.whole && matches!(task, Task::Mean | Task::Spread);
    let [mut rows, mut columns] = [options.axis(0, whole)?, options.axis(1, whole)?];
    if task.is_back() {
        (rows, columns) = (rows.transposed(), columns.transposed());
    }
    if [rows.sources, columns.sources] != shape[2..] {
        return Err(Refused);
    }
    let made = [shape[0], shape[1], rows.targets(), columns.targets()];
    if let Some((_, winners, _)) = read
        && winners != if task.is_back() { shape } else { made }
    {
        return Err(Refused);
    }
    let width = options.window[1];
    if matches!(task, Task::Largest) && options.window[0] * width > 256 {
        return Err(Refused);
    }
    let layout = read.map_or_else(|| Layout::of::<T>(x, shape), |(_, _, layout)| layout);
    let (outer, channels) = layout.outer(shape);
    let size = shape.iter().product::<usize>().max(made.iter().product());
    // SAFETY: the lock is held; the arrays have the shapes just checked, in one layout.
    unsafe {
        let source = laid::<T>(isa, x, layout)?;
        let (array, target) = match new_images::<T>(layout, made) {
            Ok(new) => new,
            Err(null) => return Ok(null),
        };
        let mut winner = read.map_or(std::ptr::null_mut(), |(data, ..)| data);
        let mut result = array;
        if task == Task::Largest {
            let strides = layout.strides(made);
            let bytes = made.iter().product();
            let (other, data) =
                match new_array_of(api().descr_u8, 4, made.as_ptr(), strides.as_ptr(), bytes) {
                    Ok(new) => new,
                    Err(null) => {
                        ffi::Py_DECREF(array);
                        return Ok(null);
                    }
                };
            winner = data;
            result = ffi::PyTuple_New(2);
            if result.is_null() {
                ffi::Py_DECREF(array);
                ffi::Py_DECREF(other);
                return Ok(result);
            }
            ffi::PyTuple_SET_ITEM(result, 0, array);
            ffi::PyTuple_SET_ITEM(result, 1, other);
        }
        let arrays = Arrays { source: source.as_ptr(), target, winner };
        unlocked(size * size_of::<T>() * 60, || {
            pool(isa, task.pooling(), Images { outer, channels }, [&rows, &columns], width, arrays);
        });
        Ok(result)
    }
}
