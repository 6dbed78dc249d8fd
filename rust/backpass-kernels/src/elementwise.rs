//! Elementwise functions and their fused rules.
//!
//! A rule gets the cotangent `g` first and obeys strong zero: an entry whose cotangent is exactly 0
//! gives 0 whatever the local derivative is.

use crate::isa::{Isa, Kernel, dispatch};
use crate::layout::{MAX_DIMS, Operand, walk};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// A function of `N` numbers, on vectors.
pub trait Op<const N: usize>: Copy + Default {
    /// Its value.
    fn eval<T: Real, S: Simd<T>>(s: S, x: [S::V; N]) -> S::V;
}

struct Loop<O, T, const N: usize> {
    out: *mut T,
    n: usize,
    ins: [*const T; N],
    advance: [usize; N],
    op: std::marker::PhantomData<O>,
}

impl<O: Op<N>, T: Real, const N: usize> Kernel<T> for Loop<O, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { mut out, n, mut ins, advance, .. } = self;
        let zero = s.splat(T::ZERO);
        let whole = n / S::LANES;
        let rest = n % S::LANES;
        for _ in 0..whole {
            let mut x = [zero; N];
            for i in 0..N {
                // SAFETY: a whole vector lies within each operand (or is a splat) and the output.
                unsafe {
                    x[i] = s.load(ins[i]);
                    ins[i] = ins[i].add(advance[i] * S::LANES);
                }
            }
            // SAFETY: as above.
            unsafe {
                s.store(out, O::eval(s, x));
                out = out.add(S::LANES);
            }
        }
        if rest > 0 {
            let mut x = [zero; N];
            for i in 0..N {
                // SAFETY: `rest` elements are left.
                x[i] = unsafe { s.load_partial(ins[i], rest) };
            }
            // SAFETY: as above.
            unsafe { s.store_partial(out, rest, O::eval(s, x)) };
        }
    }
}

/// The loop of `O` over `n` contiguous outputs; `ins` and `advance` as in [`crate::layout::Inner`].
///
/// # Safety
///
/// `out` holds `n` elements, every operand is as `advance` says, the processor has `isa`.
unsafe fn run<O: Op<N>, T: Real, const N: usize>(
    isa: Isa,
    out: *mut T,
    n: usize,
    ins: [*const T; N],
    advance: [usize; N],
) {
    let kernel = Loop::<O, T, N> { out, n, ins, advance, op: std::marker::PhantomData };
    // SAFETY: the caller vouches for all of it.
    unsafe { dispatch(isa, kernel) }
}

/// A loop over `n` contiguous outputs.
pub type LoopFn<T, const N: usize> = unsafe fn(Isa, *mut T, usize, [*const T; N], [usize; N]);

/// An elementwise function of `N` operands, for both element types.
#[derive(Clone, Copy, Debug)]
pub struct Elementwise<const N: usize> {
    /// The primitive's name, with `.vjp` and the argument's number for a rule.
    pub name: &'static str,
    /// About how many picoseconds an element takes in cache, at most.
    pub cost: u32,
    /// The loop for float32.
    pub single: LoopFn<f32, N>,
    /// The loop for float64.
    pub double: LoopFn<f64, N>,
}

/// The cost of functions that are computed element by element, by the standard library.
const ONE_BY_ONE: u32 = 10_000;
/// So many elements are computed sooner than another library's vectorised function begins.
const FEW: usize = 32;

impl<const N: usize> Elementwise<N> {
    /// Whether this loop is the fastest way for so many elements.
    #[inline]
    #[must_use]
    pub fn suits(&self, size: usize) -> bool {
        self.cost < ONE_BY_ONE || size <= FEW
    }
}

/// An element type that picks its loop of an [`Elementwise`].
pub trait Pick: Real {
    /// The loop for this type.
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<Self, N>;
}

impl Pick for f32 {
    #[inline(always)]
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<f32, N> {
        kernel.single
    }
}

impl Pick for f64 {
    #[inline(always)]
    fn pick<const N: usize>(kernel: &Elementwise<N>) -> LoopFn<f64, N> {
        kernel.double
    }
}

/// Evaluates `kernel` over `n` contiguous outputs, on several threads if that is worth it; `ins` and
/// `advance` as in [`crate::layout::Inner`].
///
/// # Safety
///
/// `out` holds `n` elements and overlaps no operand; every operand is as `advance` says; the
/// processor has `isa`.
#[inline(always)]
pub unsafe fn apply_contiguous<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    n: usize,
    ins: [*const T; N],
    advance: [usize; N],
) {
    let run = T::pick(kernel);
    if n <= CHUNK {
        // SAFETY: the caller vouches for all of it.
        unsafe { run(isa, out, n, ins, advance) };
    } else {
        // SAFETY: the caller vouches for all of it.
        unsafe { apply_in_chunks(isa, kernel, out, n, ins, advance) };
    }
}

#[inline(never)]
unsafe fn apply_in_chunks<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    n: usize,
    ins: [*const T; N],
    advance: [usize; N],
) {
    let run = T::pick(kernel);
    let length = n.div_ceil(MOST_CHUNKS).max(CHUNK).next_multiple_of(CHUNK);
    // SAFETY: each chunk writes a part of the output of its own.
    let shared = unsafe { Shared::new((out, ins)) };
    threads::run(n.div_ceil(length), n * kernel.cost as usize / 1000, &|chunk| {
        let (out, ins) = shared.get();
        let start = chunk * length;
        let ins = std::array::from_fn(|i| ins[i].wrapping_add(advance[i] * start));
        // SAFETY: within the operands.
        unsafe { run(isa, out.add(start), length.min(n - start), ins, advance) };
    });
}

/// Elements of a chunk, at least.
const CHUNK: usize = 4096;
/// Chunks of a job, at most.
const MOST_CHUNKS: usize = 64;

/// Evaluates `kernel` into `out`, contiguous and of shape `shape`, on several threads if that is
/// worth it.
///
/// # Safety
///
/// `out` holds the whole shape; every operand is readable at every index; `out` overlaps none of
/// them; the processor has `isa`.
pub unsafe fn apply<T: Pick, const N: usize>(
    isa: Isa,
    kernel: &Elementwise<N>,
    out: *mut T,
    shape: &[usize],
    operands: &[Operand<T>; N],
) {
    let run = T::pick(kernel);
    let size: usize = shape.iter().product();
    if size <= CHUNK || shape[0] < 2 {
        // SAFETY: the caller vouches for the operands, `walk` keeps within them.
        unsafe {
            walk(out, shape, operands, &mut |out, n, ins, advance| run(isa, out, n, ins, advance));
        }
        return;
    }
    let rows = shape[0];
    let chunks = rows.min(size / CHUNK).min(MOST_CHUNKS);
    // SAFETY: each chunk writes rows of its own.
    let shared = unsafe { Shared::new((out, *operands)) };
    threads::run(chunks, size * kernel.cost as usize / 500, &|chunk| {
        let (out, mut operands) = shared.get();
        let (top, bottom) = (rows * chunk / chunks, rows * (chunk + 1) / chunks);
        for operand in &mut operands {
            operand.data = operand.data.wrapping_offset(top as isize * operand.strides[0]);
        }
        let mut part = [0; MAX_DIMS];
        part[..shape.len()].copy_from_slice(shape);
        part[0] = bottom - top;
        let out = out.wrapping_add(top * (size / rows));
        // SAFETY: within the operands.
        unsafe {
            walk(out, &part[..shape.len()], &operands, &mut |out, n, ins, advance| {
                run(isa, out, n, ins, advance);
            });
        }
    });
}

macro_rules! table {
    (
        $(#[$doc:meta])* $table:ident, $n:literal:
        $($op:ident $name:literal $cost:tt [$($x:ident),*] |$s:ident, $t:ident| $value:expr;)*
    ) => {
        $(
            #[derive(Clone, Copy, Default)]
            struct $op;

            impl Op<$n> for $op {
                #[inline(always)]
                fn eval<$t: Real, S: Simd<$t>>($s: S, [$($x),*]: [S::V; $n]) -> S::V {
                    $value
                }
            }
        )*

        $(#[$doc])*
        pub static $table: &[Elementwise<$n>] = &[
            $(Elementwise {
                name: $name,
                cost: $cost,
                single: run::<$op, f32, $n>,
                double: run::<$op, f64, $n>,
            },)*
        ];
    };
}

table! {
    /// Functions of one operand.
    UNARY, 1:
    Positive "positive" 50 [x] |s, T| {
        let _ = s;
        x
    };
    Negative "negative" 50 [x] |s, T| s.neg(x);
    NegativeVjp "negative.vjp" 50 [g] |s, T| s.neg(g);
    SubtractVjp1 "subtract.vjp1" 50 [g] |s, T| s.neg(g);
    Absolute "absolute" 50 [x] |s, T| s.abs(x);
    Exp "exp" 500 [x] |s, T| T::exp(s, x);
    Exp2 "exp2" 500 [x] |s, T| T::exp2(s, x);
    Expm1 "expm1" 500 [x] |s, T| T::expm1(s, x);
    Log "log" 500 [x] |s, T| T::ln(s, x);
    Log2 "log2" 500 [x] |s, T| T::log2(s, x);
    Log10 "log10" 500 [x] |s, T| T::log10(s, x);
    Log1p "log1p" 500 [x] |s, T| T::log1p(s, x);
    Sqrt "sqrt" 200 [x] |s, T| s.sqrt(x);
    Square "square" 50 [x] |s, T| s.mul(x, x);
    Reciprocal "reciprocal" 200 [x] |s, T| s.div(s.splat(T::ONE), x);
    Sin "sin" 1000 [x] |s, T| T::sin(s, x);
    Cos "cos" 1000 [x] |s, T| T::cos(s, x);
    Tanh "tanh" 1000 [x] |s, T| T::tanh(s, x);
    Expit "expit" 1000 [x] |s, T| T::expit(s, x);
    Erf "erf" 1000 [x] |s, T| T::erf(s, x);
    Tan "tan" ONE_BY_ONE [x] |s, T| s.map(x, T::std_tan);
    Sinh "sinh" ONE_BY_ONE [x] |s, T| s.map(x, T::std_sinh);
    Cosh "cosh" ONE_BY_ONE [x] |s, T| s.map(x, T::std_cosh);
    Arctan "arctan" ONE_BY_ONE [x] |s, T| s.map(x, T::std_atan);
    Arcsin "arcsin" ONE_BY_ONE [x] |s, T| s.map(x, T::std_asin);
    Arccos "arccos" ONE_BY_ONE [x] |s, T| s.map(x, T::std_acos);
}

/// The operand itself: what lays an array out anew.
pub static COPY: &Elementwise<1> = &UNARY[0];

table! {
    /// Functions of two operands, and rules that need one array beside the cotangent.
    BINARY, 2:
    Add "add" 50 [x, y] |s, T| s.add(x, y);
    Subtract "subtract" 50 [x, y] |s, T| s.sub(x, y);
    Multiply "multiply" 50 [x, y] |s, T| s.mul(x, y);
    Divide "divide" 200 [x, y] |s, T| s.div(x, y);
    Maximum "maximum" 50 [x, y] |s, T| s.select(s.is_nan(x), x, s.max(x, y));
    Minimum "minimum" 50 [x, y] |s, T| s.select(s.is_nan(x), x, s.min(x, y));
    ZeroMultiply "zero_multiply" 50 [g, d] |s, T| s.zero_mul(g, d);
    MultiplyVjp0 "multiply.vjp0" 50 [g, y] |s, T| s.zero_mul(g, y);
    MultiplyVjp1 "multiply.vjp1" 50 [g, x] |s, T| s.zero_mul(g, x);
    DivideVjp0 "divide.vjp0" 200 [g, y] |s, T| s.zero_div(g, y);
    AbsoluteVjp "absolute.vjp" 50 [g, x] |s, T| {
        let sign = s.copysign(s.splat(T::ONE), x);
        let zero = s.splat(T::ZERO);
        let sign = s.select(s.eq(x, zero), zero, s.select(s.is_nan(x), x, sign));
        s.zero_mul(g, sign)
    };
    ExpVjp "exp.vjp" 50 [g, ans] |s, T| s.zero_mul(g, ans);
    Exp2Vjp "exp2.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.mul(ans, s.splat(T::LN_2[0])));
    Expm1Vjp "expm1.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.add(ans, s.splat(T::ONE)));
    LogVjp "log.vjp" 200 [g, x] |s, T| s.zero_div(g, x);
    Log2Vjp "log2.vjp" 200 [g, x] |s, T| s.mul(s.zero_div(g, x), s.splat(T::LOG2_E[0]));
    Log10Vjp "log10.vjp" 200 [g, x] |s, T| s.mul(s.zero_div(g, x), s.splat(T::LOG10_E[0]));
    Log1pVjp "log1p.vjp" 200 [g, x] |s, T| s.zero_div(g, s.add(x, s.splat(T::ONE)));
    SqrtVjp "sqrt.vjp" 200 [g, ans] |s, T| s.zero_div(g, s.add(ans, ans));
    SquareVjp "square.vjp" 50 [g, x] |s, T| s.zero_mul(g, s.add(x, x));
    ReciprocalVjp "reciprocal.vjp" 50 [g, ans] |s, T| s.zero_mul(g, s.neg(s.mul(ans, ans)));
    SinVjp "sin.vjp" 1000 [g, x] |s, T| s.zero_mul(g, T::cos(s, x));
    CosVjp "cos.vjp" 1000 [g, x] |s, T| s.zero_mul(g, s.neg(T::sin(s, x)));
    TanhVjp "tanh.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.fnma(ans, ans, s.splat(T::ONE)))
    };
    ExpitVjp "expit.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.mul(ans, s.sub(s.splat(T::ONE), ans)))
    };
    ErfVjp "erf.vjp" 500 [g, x] |s, T| {
        let density = T::exp(s, s.neg(s.mul(x, x)));
        s.zero_mul(g, s.mul(density, s.splat(T::FRAC_2_SQRT_PI)))
    };
    TanVjp "tan.vjp" 50 [g, ans] |s, T| {
        s.zero_mul(g, s.fma(ans, ans, s.splat(T::ONE)))
    };
    SinhVjp "sinh.vjp" ONE_BY_ONE [g, x] |s, T| s.zero_mul(g, s.map(x, T::std_cosh));
    CoshVjp "cosh.vjp" ONE_BY_ONE [g, x] |s, T| s.zero_mul(g, s.map(x, T::std_sinh));
    ArctanVjp "arctan.vjp" 200 [g, x] |s, T| {
        s.zero_div(g, s.fma(x, x, s.splat(T::ONE)))
    };
    ArcsinVjp "arcsin.vjp" 300 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(g, s.sqrt(s.mul(s.sub(one, x), s.add(one, x))))
    };
    ArccosVjp "arccos.vjp" 300 [g, x] |s, T| {
        let one = s.splat(T::ONE);
        s.zero_div(s.neg(g), s.sqrt(s.mul(s.sub(one, x), s.add(one, x))))
    };
}

/// The part of the cotangent that the first of two operands gets from `maximum` or `minimum`: all of
/// it if it was `chosen` or is nan, half at a tie, none otherwise.
#[inline(always)]
fn share<T: Real, S: Simd<T>>(s: S, g: S::V, x: S::V, y: S::V, chosen: S::M) -> S::V {
    let zero = s.splat(T::ZERO);
    let half = s.mul(g, s.splat(T::HALF));
    let part = s.select(s.eq(x, y), half, s.select(chosen, g, zero));
    s.select(s.is_nan(x), g, part)
}

table! {
    /// Rules that need two arrays beside the cotangent.
    TERNARY, 3:
    DivideVjp1 "divide.vjp1" 200 [g, ans, y] |s, T| s.zero_mul(g, s.neg(s.div(ans, y)));
    MaximumVjp0 "maximum.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(y, x));
    MaximumVjp1 "maximum.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(x, y));
    MinimumVjp0 "minimum.vjp0" 100 [g, x, y] |s, T| share(s, g, x, y, s.lt(x, y));
    MinimumVjp1 "minimum.vjp1" 100 [g, x, y] |s, T| share(s, g, y, x, s.lt(y, x));
}
