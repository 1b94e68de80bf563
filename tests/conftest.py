"""A test process stricter than the user's: types and shapes checked, no silent promotion, warnings are errors."""

import contextlib
import gc
import itertools
import os
import tempfile
import threading
from pathlib import Path

from jaxtyping import install_import_hook

# Shapes and dtypes of every annotated function on arrays are checked while the tests run. Readers, command
# line and plots check what they are given themselves, with messages that a type check would hide.
ARRAY_ROOMS = (
    "_checks",
    "_numerics",
    "probs",
    "logits",
    "losses",
    "linear",
    "closed_form",
    "regression",
    "calibration",
    "counts",
    "bounds",
    "samples",
)
hook = install_import_hook([f"jxent.{room}" for room in ARRAY_ROOMS], "beartype.beartype")

# What one worker compiled serves the other, and processes that the tests start; compiling is most of the time.
# A directory that the caller names, as .ci/run does, serves several passes.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    cache = tempfile.TemporaryDirectory(prefix="jxent-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = cache.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from jax._src import compiler  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# What JAX keeps is many objects, and looking for garbage among them time.
gc.set_threshold(100_000, 50, 100)


class KeptContext(threading.local):
    """One MLIR context for many programs, of which loading the dialects takes as long as to lower a small one.

    What a context has seen it keeps: after so many programs another takes its place.
    """

    at_most = 200
    used = at_most

    def __init__(self, make):
        self.make = make

    def __call__(self):
        if self.used == self.at_most:
            self.context, self.used = self.make(), 0
        self.used += 1
        return self.context


mlir.make_ir_context = KeptContext(mlir.make_ir_context)

if "MPLBACKEND" not in os.environ:
    os.environ["MPLBACKEND"] = "agg"


@pytest.fixture(scope="session", autouse=True)
def all_digits():
    """An accelerator, whose products of float32 have fewer digits by default, is asked for all of them."""
    if jax.default_backend() != "cpu":
        jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """A floating dtype, with x64 switched on for the test where it is float64."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture(params=["float32", pytest.param("float64", marks=pytest.mark.slow)])
def dtype_by_turns(request):
    """As `dtype`, with float64 in the slow pass: for tests of what does not depend on the precision."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture
def x64():
    """The test runs with x64 on."""
    with jax.enable_x64(True):
        yield


# Loops are emitted as LLVM code at once, not by way of MLIR, which takes longer than all the rest for a small program.
WITHOUT_MLIR = {"xla_cpu_use_fusion_emitters": False}


@contextlib.contextmanager
def few_optimizations():
    """Programs are compiled with few of them, in half of the time or less, here and in processes started here."""
    # Newer compilers are not asked for it: without optimizations jaxlib 0.12.0.1 gives other numbers in the third step
    # of a batched loop (optax.adam under vmap) than with them, and than alone. 0.10.2 gives the same.
    if jax.__version_info__ >= (0, 11):
        yield
        return
    options = compiler.get_compile_options
    # The flags of a process are read when they are first needed: before some are added for others.
    options(1, 1)

    def fewer(*args, **kwargs):
        found = options(*args, **kwargs)
        found.env_option_overrides = [*found.env_option_overrides, *WITHOUT_MLIR.items()]
        return found

    within = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1"
    with pytest.MonkeyPatch.context() as patch:
        flags = (f"--{name}={str(value).lower()}" for name, value in WITHOUT_MLIR.items())
        patch.setenv("XLA_FLAGS", " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip())
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        # There is no setting for it in a process that runs.
        patch.setattr(compiler, "get_compile_options", fewer)
        jax.config.update("jax_disable_most_optimizations", True)
        yield
    jax.config.update("jax_disable_most_optimizations", within)


@pytest.fixture(scope="module")
def quick_compile():
    """Few optimizations, for tests of what programs do, such as fits, estimates and files.

    Measures and losses are tested as users run them, and everything is where jax is newer.
    """
    with few_optimizations():
        yield
    # Or other tests would find these programs.
    jax.clear_caches()


@pytest.fixture
def op_by_op(forgotten_after):
    """Every operation runs by itself: its program is shared by all tests, where a fused one is compiled for each.

    For tests of options and of higher derivatives, which are about formulas; values, gradients and their
    boundary are tested on the fused programs that users run. One operation leaves little to optimize.
    """
    del forgotten_after
    with few_optimizations(), jax.disable_jit():
        yield


@pytest.fixture(scope="module")
def forgotten_after():
    """Or tests of other modules would find these programs."""
    yield
    jax.clear_caches()


# Every compiled program holds some memory mappings, of which Linux allows a process 65530: beyond them it crashes.
# Counting them takes time, so only after every so many tests.
MAPPINGS, MOST_MAPPINGS, COUNT_EVERY = Path("/proc/self/maps"), 20_000, 20
finished = itertools.count(1)


def pytest_runtest_teardown(item):
    """Forget the compiled programs long before their mappings run out; what is needed again lies on the disk."""
    if next(finished) % COUNT_EVERY or not MAPPINGS.exists():
        return
    if MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()


@pytest.fixture
def rng():
    """Numbers that are the same in every run."""
    return np.random.default_rng(20240229)


def later(item):
    """Whether a test is that of one function in float64, and the function not of the core."""
    from tests.table import Fast

    given = item.callspec.params if hasattr(item, "callspec") else {}
    precision = given.get("dtype", given.get("dtype_by_turns"))
    return precision == "float64" and getattr(given.get("entry"), "fast", Fast.EVERYTHING) is not Fast.EVERYTHING


# The slow tests of these are about derivatives and options, and take their time to compile: the fast pass has some of
# each as users run them. Values and accuracy are tested so in both passes.
COMPILED_QUICKLY = frozenset(
    f"test_{name}"
    for name in (
        *("derivatives", "boundary", "package", "joint", "orders"),
        *("pairwise", "table", "linear", "linear_extremes", "linear_sharded"),
    )
)


def pytest_collection_modifyitems(config, items):
    """In float64 all functions but those of the core are tested in the slow pass, or by another test."""
    elsewhere = [item for item in items if later(item) and item.get_closest_marker("float64_of_core")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]
    for item in items:
        if later(item):
            item.add_marker(pytest.mark.slow)
        if item.path.stem in COMPILED_QUICKLY and item.get_closest_marker("slow"):
            item.fixturenames.insert(0, "quick_compile")
