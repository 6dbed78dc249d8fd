#!/bin/sh
# Looks for memory errors in the kernels: memory_errors.sh valgrind | sanitizer
#
# valgrind: the tests with debug assertions (it hides AVX-512 from the program, and knows AVX2).
# sanitizer: the tests, and the fuzz from Python, under AddressSanitizer; needs a nightly toolchain.
# Where the tool is not installed, nothing is tested, and the script says so.
set -e
root=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$root"
tests="--package backpass-kernels --lib --test properties --test products --test moving"

case $1 in
valgrind)
    if ! command -v valgrind > /dev/null; then
        echo "skipped: valgrind is not installed"
        exit 0
    fi
    # shellcheck disable=SC2086
    PROPTEST_CASES=${PROPTEST_CASES:-4} cargo \
        --config "target.'cfg(all())'.runner='valgrind --quiet --error-exitcode=9'" test $tests
    ;;
sanitizer)
    host=$(rustc -vV | sed -n 's/^host: //p')
    if ! cargo +nightly --version > /dev/null 2>&1; then
        echo "skipped: there is no nightly toolchain (rustup toolchain install nightly)"
        exit 0
    fi
    export RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/sanitizer"
    # shellcheck disable=SC2086
    PROPTEST_CASES=${PROPTEST_CASES:-12} cargo +nightly test $tests --profile fast --target "$host"

    runtime=$(cc -print-file-name=libasan.so)
    if [ ! -e "$runtime" ]; then
        echo "skipped the fuzz: the C compiler has no libasan"
        exit 0
    fi
    cargo +nightly build --package backpass-cpu --profile fast --target "$host"
    python=${PYTHON:-python}
    package=$CARGO_TARGET_DIR/python/backpass/cpu
    mkdir -p "$package"
    cp rust/backpass-cpu/python/backpass/cpu/*.py "$package"
    cp "$CARGO_TARGET_DIR/$host/fast/lib_kernels.so" \
        "$package/_kernels$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
    for isa in avx512 avx2 scalar; do
        # With a limit of 0, each block is the system's, and its ends are watched.
        BACKPASS_ISA=$isa BACKPASS_POOL_LIMIT=0 LD_PRELOAD=$runtime \
            ASAN_OPTIONS=detect_leaks=0,handle_segv=0 \
            PYTHONPATH=$CARGO_TARGET_DIR/python:packages/backpass-core/src:packages/backpass-nn/src \
            "$python" tests/fuzzing.py --count "${COUNT:-4000}"
    done
    ;;
*)
    echo "usage: $0 valgrind | sanitizer" >&2
    exit 2
    ;;
esac
