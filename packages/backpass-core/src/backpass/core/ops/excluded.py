"""NumPy's names that `backpass.numpy` does not have: why, and the nearest that it has.

The texts stand in the error messages of `backpass.numpy` and of NumPy's functions on Tensors.
"""

from __future__ import annotations

_PLAIN = "works on plain arrays: numpy.{name}(t.value)"
_FILE = "reads or writes plain arrays: array(numpy.{name}(...)), or t.value"
_LATER = "has no derivative here: {way}"
_WINDOW = "makes a constant: array(numpy.{name}(n))"
_POLYNOMIAL = "works on plain coefficients: use sums of powers, such as sum(c * x**k)"
_MODULE = "is a module of NumPy's own: import it from numpy"
_OTHER = "holds what is no array of numbers: use numpy.{name}"


def _table(text: str, names: str) -> dict[str, str]:
    return {name: text.format(name=name) for name in names.split()}


def _ways(text: str, ways: dict[str, str]) -> dict[str, str]:
    return {name: text.format(way=way) for name, way in ways.items()}


#: Name: why it is not there, and what to use instead.
EXCLUDED: dict[str, str] = {
    **_ways(
        _LATER,
        {
            "spacing": "use finfo(x.dtype).eps",
            "trapz": "use trapezoid",
            "vectorize": "write the function over whole arrays",
        },
    ),
    **_ways(
        "{way}",
        {
            "__version__": "is NumPy's: use numpy.__version__",
            "array2string": "gives text: use str(t), or numpy.array2string(t.value)",
            "array_repr": "gives text: use repr(t)",
            "array_str": "gives text: use str(t)",
            "asarray_chkfinite": "checks and converts: use asarray(x), and isfinite(x).all()",
            "broadcast": "iterates over plain arrays: use broadcast_shapes and broadcast_to",
            "einsum_path": "plans for plain arrays: pass optimize=True to einsum, or the path of "
            "numpy.einsum_path",
            "flatiter": "is the type of numpy.ndarray.flat: iterate over t.flat",
            "format_float_positional": "gives text: use format(t, '.6f')",
            "format_float_scientific": "gives text: use format(t, '.6e')",
            "fromfunction": "calls a function with indices: use fun(*indices(shape))",
            "frompyfunc": "makes arrays of objects: write the function over whole arrays",
            "in1d": "is an old name: use isin(ravel(x), y)",
            "iterable": "asks about any object: use hasattr(x, '__iter__')",
            "mask_indices": "is short: use nonzero(mask)",
            "ndenumerate": "iterates over plain arrays: use ndindex(t.shape) and t[index]",
            "nditer": "iterates over plain arrays: use whole arrays, or ndindex(t.shape)",
            "nested_iters": "iterates over plain arrays: use whole arrays, or ndindex(t.shape)",
            "require": "is about memory: use asarray(x, order='C')",
            "ufunc": "is the type of NumPy's functions, those here are primitives: "
            "use backpass.core.extend.primitive",
        },
    ),
    **_table(
        _WINDOW,
        "bartlett blackman hamming hanning kaiser",
    ),
    **_table(
        _POLYNOMIAL,
        "poly poly1d polyadd polyder polydiv polyint polymul polysub roots",
    ),
    **_table(
        _PLAIN,
        "histogram histogram2d histogram_bin_edges histogramdd",
    ),
    **_table(
        _FILE,
        "frombuffer fromfile fromiter fromregex fromstring genfromtxt load loadtxt "
        "memmap save savetxt savez savez_compressed",
    ),
    **_table(
        _OTHER,
        "asmatrix bmat bytes_ busday_count busday_offset busdaycalendar character complex256 "
        "datetime64 datetime_as_string datetime_data flexible float128 is_busday isnat matrix "
        "object_ rec recarray record str_ timedelta64 typecodes void sctypeDict",
    ),
    **_table(
        _MODULE,
        "char core ctypeslib dtypes emath f2py lib ma polynomial strings testing typing",
    ),
    **_table(
        "is about NumPy itself: use numpy.{name}",
        "get_include getbufsize info little_endian mintypecode setbufsize show_config "
        "show_runtime test typename set_string_function",
    ),
}


def nearest_alternative(name: str) -> str:
    """Return why a NumPy name is not there and what to use instead; "" if nothing is known.

    Examples
    --------
    >>> nearest_alternative("spacing")
    'has no derivative here: use finfo(x.dtype).eps'
    """
    return EXCLUDED.get(name, "")
