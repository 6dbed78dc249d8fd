"""The text of kernels that reduce rows: the same for all programs but for a few lines.

It says which thread sees which elements; `row_grids` decides that, and `row_programs` what is
computed of them.
"""

from __future__ import annotations

from backpass.cupy.formulas import STORED, call, kept, loaded, prelude
from backpass.cupy.layouts import AXES
from backpass.cupy.row_grids import WARP, Shape
from backpass.cupy.row_programs import Program

_HEAD = """
#define LOG log{f}
#define SQRT sqrt{f}
#define FMAX fmax{f}
#define FMIN fmin{f}
#define LARGEST T({largest})

typedef {stored} Stored;
#define WIDTH {width}
#define PACKS {packs}
#define OPERANDS {operands}
#define AXES {axes}

// What is loaded and stored at once.
struct __align__(WIDTH * sizeof(Stored)) Pack {{ Stored v[WIDTH]; }};

struct Rows {{
    long long length, share, splits, inner, tiles, threads, lanes, shift, kept, reduced;
    // Innermost axis first.
    long long kept_lengths[AXES], kept_steps[OPERANDS][AXES];
    long long reduced_lengths[AXES], reduced_steps[OPERANDS][AXES];
    double numbers[2];
}};

__device__ __forceinline__ T zero_multiply(T g, T d) {{ return {zero_multiply}; }}

// 64-bit division takes several times as long.
__device__ __forceinline__ long long quotient(long long i, long long n) {{
    if ((i | n) >> 32) return i / n;
    return (unsigned int)i / (unsigned int)n;
}}

// Where a row, or a pack of it, lies in each operand.
__device__ __forceinline__ void locate(
    long long i, long long axes, const long long (&lengths)[AXES],
    const long long (&steps)[OPERANDS][AXES], long long (&at)[OPERANDS]
) {{
    #pragma unroll
    for (int k = 0; k < OPERANDS; ++k) at[k] = 0;
    #pragma unroll
    for (int axis = 0; axis < AXES; ++axis) {{
        if (axis >= axes) break;
        const long long next = axis + 1 < axes ? quotient(i, lengths[axis]) : 0;
        const long long place = axis + 1 < axes ? i - next * lengths[axis] : i;
        #pragma unroll
        for (int k = 0; k < OPERANDS; ++k) at[k] += place * steps[k][axis];
        i = next;
    }}
}}

struct State {{ {fields} }};

__device__ __forceinline__ State start() {{
    State state;
    {starts}
    return state;
}}

__device__ __forceinline__ void merge(State &state, const State &other) {{
    {merge}
}}

#define HELD (full || i * threads < left)
#define PACK _Pragma("unroll") for (int i = 0; i < PACKS; ++i) if ({asked})
#define EACH PACK _Pragma("unroll") for (int j = 0; j < WIDTH; ++j)
"""

#: The threads of a row stand side by side.
_TOGETHER_ALONG = """
__device__ __forceinline__ State together(State state, int threads, int lanes, State *held) {{
    #pragma unroll
    for (int offset = (threads < 32 ? threads : 32) / 2; offset > 0; offset /= 2) {{
        State other;
        {shuffles}
        merge(state, other);
    }}
    if (threads > 32) {{
        const int warps = threads / 32;
        if (threadIdx.x % 32 == 0) held[threadIdx.x / 32] = state;
        __syncthreads();
        state = held[threadIdx.x / threads * warps + threadIdx.x % warps];
        for (int offset = warps / 2; offset > 0; offset /= 2) {{
            State other;
            {shuffles}
            merge(state, other);
        }}
        __syncthreads();
    }}
    return state;
}}
"""

#: The threads of a row stand `lanes` apart.
_TOGETHER_ACROSS = """
__device__ __forceinline__ State together(State state, int threads, int lanes, State *held) {
    if (threads == 1) return state;
    held[threadIdx.x] = state;
    for (int half = threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half * lanes) {
            merge(state, held[threadIdx.x + half * lanes]);
            held[threadIdx.x] = state;
        }
    }
    __syncthreads();
    state = held[threadIdx.x % lanes];
    __syncthreads();
    return state;
}
"""

_ENTRY = """
extern "C" __global__ void __launch_bounds__({block}) {name}({signature}, const Rows rows) {{
    __shared__ State held[{held}];
    const int threads = {threads}, lanes = (int)rows.lanes, shift = {shift};
    {thread}
    // Blocks that share their rows are a group.
    const long long group = {group};
    const long long outer = quotient(group, rows.tiles);
    const long long inner = (group - outer * rows.tiles) * lanes + lane;
    const bool live = inner < rows.inner;
    const long long row = live ? outer * rows.inner + inner : 0;
    long long at[OPERANDS];
    locate(row, rows.kept, rows.kept_lengths, rows.kept_steps, at);
"""

#: The last block of a group puts together what all have found, in their order.
_SHARED = """
    __shared__ bool is_last;
    if (t == 0) parts[(long long)blockIdx.x * lanes + lane] = state;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {{
        const unsigned int most = (unsigned int)rows.splits - 1;
        is_last = atomicInc(tickets + group, most) == most;
    }}
    __syncthreads();
    if (!is_last) return;
    __threadfence();
    state = start();
    const int splits = (int)rows.splits;
    for (int first = t; first < splits; first += {unrolled} * threads) {{
        // All are loaded before the first is looked at.
        State others[{unrolled}];
        #pragma unroll
        for (int i = 0; i < {unrolled}; ++i) {{
            const int s = first + i * threads;
            if (s < splits) {{
                const long long k = (group * splits + s) * lanes + lane;
                {taken}
            }}
        }}
        #pragma unroll
        for (int i = 0; i < {unrolled}; ++i) {{
            if (first + i * threads < splits) merge(state, others[i]);
        }}
    }}
    state = together(state, threads, lanes, held);
"""
_UNROLLED = 4


def text(name: str, program: Program, stored: str, shape: Shape) -> str:
    """Return a kernel's text."""
    return _Text(name, program, stored, shape).all()


class _Text:
    """Puts a kernel's text together."""

    def __init__(self, name: str, program: Program, stored: str, shape: Shape) -> None:
        self.name, self.program, self.stored, self.shape = name, program, stored, shape
        self.places = {x: i for i, x in enumerate(program.operands)}
        #: The place of the result.
        self.out = len(program.operands)

    def all(self) -> str:
        """Return all of it."""
        computed = "d" if self.stored == "d" else "f"
        body = self._entry() + (self._spread() if self.program.spread else self._folded()) + "}\n"
        head = self._head(computed)
        return prelude(computed, self.stored, head + body) + head + body

    def _head(self, computed: str) -> str:
        """Return the types, and what is done with a state."""
        fields = self.program.fields
        head = _HEAD.format(
            f="f" if computed == "f" else "",
            largest="3.4028234663852886e38f" if computed == "f" else "1.7976931348623157e308",
            stored=STORED[self.stored],
            width=self.shape.width,
            packs=self.shape.packs,
            operands=self.out + 1,
            axes=AXES,
            zero_multiply=call("zero_multiply", computed, "g", "d"),
            fields=" ".join(f"{kind} {x};" for kind, x, _ in fields),
            starts=" ".join(f"state.{x} = {start};" for _, x, start in fields),
            merge=self.program.merge,
            asked="true" if self.program.neutral else "HELD",
        )
        if not self.shape.side_by_side:
            return head + _TOGETHER_ACROSS
        shuffles = " ".join(
            f"other.{x} = __shfl_xor_sync(0xffffffffu, state.{x}, offset);" for _, x, _ in fields
        )
        return head + _TOGETHER_ALONG.format(shuffles=shuffles)

    def _entry(self) -> str:
        """Return the signature, and where a thread stands."""
        pointers = [f"const Stored *__restrict__ {x}_" for x in self.program.operands]
        pointers.append("Stored *__restrict__ out_")
        if self.shape.shared:
            pointers += ["State *parts", "unsigned int *tickets"]
        along = "const int t = threadIdx.x & (threads - 1), lane = threadIdx.x >> shift;"
        across = "const int lane = threadIdx.x & (lanes - 1), t = threadIdx.x >> shift;"
        return _ENTRY.format(
            block=self.shape.block,
            name=self.name,
            signature=", ".join(pointers),
            held=self.shape.block // WARP if self.shape.side_by_side else self.shape.block,
            thread=along if self.shape.side_by_side else across,
            group="quotient(blockIdx.x, rows.splits)" if self.shape.shared else "blockIdx.x",
            threads=WARP if self.shape.warp else "(int)rows.threads",
            shift=WARP.bit_length() - 1 if self.shape.warp else "(int)rows.shift",
        )

    def _scalars(self) -> str:
        """Return what loads the operands with one element for a row."""
        return "".join(
            f"    const T {x} = live ? {loaded(f'{x}_[at[{i}]]', self.stored)} : T(0);\n"
            for x, i in self.places.items()
            if x not in self.program.whole
        )

    def _locate(self) -> str:
        """Return what finds a pack in each operand, from the beginning of the row on."""
        declared = "long long off[OPERANDS];"
        if self.shape.straight:
            length = "WIDTH" if self.shape.dense else "rows.reduced_steps[k][0]"
            step = f"off[k] = (place + i * threads) * {length};"
            return f'{declared} _Pragma("unroll") for (int k = 0; k < OPERANDS; ++k) {step}'
        along = "rows.reduced, rows.reduced_lengths, rows.reduced_steps, off"
        return f"{declared} locate(place + i * threads, {along});"

    def _load(self) -> str:
        """Return what loads packs from `place` on, all of them before the first is looked at."""
        whole = {x: i for x, i in self.places.items() if x in self.program.whole}
        read = [
            f"{x}_packs[i] = *(const Pack *)({x}_ + at[{i}] + off[{i}]);" for x, i in whole.items()
        ]
        held = {x: loaded(f"{x}_packs[i].v[j]", self.stored) for x in whole}
        if self.program.neutral:
            held = {x: f"HELD ? {code} : {self.program.neutral}" for x, code in held.items()}
        turned = [f"{x}[i][j] = {code};" for x, code in held.items()]
        return f"""
        {" ".join(f"Pack {x}_packs[PACKS]; T {x}[PACKS][WIDTH];" for x in whole)}
        PACK if (HELD) {{
            {self._locate()}
            {" ".join(read)}
        }}
        EACH {{ {" ".join(turned)} }}"""

    def _store(self) -> str:
        """Return what computes and stores a result for each element."""
        value = kept(self.program.result, self.stored)
        return f"""
        PACK if (HELD) {{
            {self._locate()}
            Pack pack;
            _Pragma("unroll") for (int j = 0; j < WIDTH; ++j) pack.v[j] = {value};
            *(Pack *)(out_ + at[{self.out}] + off[{self.out}]) = pack;
        }}"""

    def _loop(self, *statements: str) -> str:
        """Return a loop of a thread over its packs, from `first` to `last`."""
        body = "".join(statements)
        # As long as there are enough packs for all, nothing is asked about them.
        return f"""
    {{
        const int stride = PACKS * threads;
        long long place = first + t;
        #pragma unroll 1
        for (; place + (stride - threads) < last; place += stride) {{
            const bool full = true;
            const int left = stride;
            {body}
        }}
        if (place < last) {{
            const bool full = false;
            const int left = (int)(last - place);
            {body}
        }}
    }}"""

    def _spread(self) -> str:
        """Return the body of a kernel with a result for each element."""
        program = self.program
        own = "const State own = state;" if "own." in program.finish else ""
        if self.shape.fits:
            return f"""{self._scalars()}
    const bool full = false;
    const long long place = t;
    const int left = live && t < rows.length ? (int)rows.length - t : 0;
    State state = start();
    {self._load()}
    {program.absorb}
    {own}
    state = together(state, threads, lanes, held);
    {program.finish}
    {self._store()}
"""
        return f"""{self._scalars()}
    const long long first = 0, last = live ? rows.length : 0;
    State state = start();
    {self._loop(self._load(), program.absorb)}
    state = together(state, threads, lanes, held);
    {own}
    {program.finish}
    {self._loop(self._load(), program.again, self._store())}
"""

    def _folded(self) -> str:
        """Return the body of a kernel with one result for a row."""
        program = self.program
        bounds = "const long long first = 0, last = live ? rows.length : 0;"
        shared = ""
        if self.shape.shared:
            bounds = """const long long first = (blockIdx.x - group * rows.splits) * rows.share;
    const long long end = first + rows.share < rows.length ? first + rows.share : rows.length;
    const long long last = live ? end : 0;"""
            taken = " ".join(
                f"others[i].{x} = ((volatile State *)parts)[k].{x};" for _, x, _ in program.fields
            )
            shared = _SHARED.format(taken=taken, unrolled=_UNROLLED)
        return f"""
    {bounds}
    State state = start();
    {self._loop(self._load(), program.absorb)}
    state = together(state, threads, lanes, held);
{shared}
    if (live && t == 0) {{
        {program.finish}
        out_[at[{self.out}]] = {kept(program.result, self.stored)};
    }}
"""
