"""How numba compiles kernels that call one another: each is optimised once, within the kernel that Python calls.

By itself, numba optimises a kernel and makes machine code of it, with all kernels that it calls, and again within every
kernel that calls it, and lets Python call every one of them. Here, a kernel that is compiled because another calls it
stays as it was lowered (`_LoweredCode`). It is optimised as a part of the one that Python calls, which alone gets
machine code and a way to be called from Python. When Python calls such a kernel later, it is compiled for that.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any

from numba.core import caching, compiler, dispatcher, sigutils, targetconfig, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import register_jitable

from soma_cp.model.kernel_cache import kept_code, say_once

_depth = 0
"""How many kernels are being compiled, each for the one before; numba's lock guards it."""

_watchers: list[Callable[[str], None]] = []


@contextmanager
def watched(watcher: Callable[[str], None]) -> Iterator[None]:
    """Within the block, call `watcher` with the full name of every kernel before it is compiled, in any thread.

    A kernel whose machine code is kept is not compiled.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class _WithoutEnvironments:
    """numba's code generator, but for setting the environments of functions that have no machine code."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, env: Any) -> None:
        """Leave it to the kernel that Python calls."""


class _LoweredCode(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel that kernels call: not optimised, and without machine code."""

    @property
    def codegen(self) -> Any:
        return _WithoutEnvironments(self._codegen)

    def _optimize_functions(self, ll_module: Any) -> None:
        """Leave it to the kernel that Python calls."""
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Gather the code of the kernels that this one calls."""
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return that there is no machine code."""
        self._ensure_finalized()
        return 0


class _Compiler(compiler.Compiler):  # type: ignore[misc]
    """numba's compiler; the code of a kernel that a kernel calls is only lowered."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *others: Any) -> None:
        super().__init__(typingctx, targetctx, library, *others)
        if _depth > 1:
            self.state.library = _LoweredCode(self.state.targetctx.codegen(), "kernel")


_OF_WRAPPERS = frozenset(("no_cpython_wrapper", "no_cfunc_wrapper"))


class _Flags(compiler.Flags):  # type: ignore[misc]
    """numba's flags of a compilation, compared faster; that takes numba a tenth of all time.

    Whether Python can call a kernel makes no difference to what it calls, so numba compiles that once for both.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, compiler.Flags):
            return NotImplemented
        if self._values == other._values:
            return True
        names = {*self._values, *other._values} - _OF_WRAPPERS
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return _HASH


_HASH = hash(compiler.Flags())  # numba's depends on the names of the options alone


_signatures: dict[Any, Any] = {}


@contextmanager
def _known_signatures(context: Any) -> Iterator[None]:
    """Within the block, let numba's typing context look up what it found before for the same operator and types.

    By itself, it goes through all operators of that name for every ``+``, a fifth of all time.
    """
    resolve = context.resolve_function_type

    def look_up(function: Any, args: Any, kws: Any) -> Any:
        known = context._lookup_global(function) or function
        if not isinstance(known, types.Function):  # kernels, and methods of types
            return resolve(function, args, kws)
        key = known, tuple(args), tuple(sorted(kws.items())), targetconfig.ConfigStack.top_or_none()
        found = _signatures.get(key)
        if found is None:
            found = resolve(function, args, kws)
            if found is not None:
                _signatures[key] = found
        return found

    context.resolve_function_type = look_up
    try:
        yield
    finally:
        del context.resolve_function_type


@contextmanager
def _without_collections() -> Iterator[None]:
    """Within the block, Python looks for no circles of garbage.

    numba makes many objects that live until a kernel is compiled; looking through them takes a twelfth of all time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _FunctionCompiler(dispatcher._FunctionCompiler):  # type: ignore[misc]
    def _customize_flags(self, flags: Any) -> Any:
        return _Flags(flags)

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        for watcher in list(_watchers):
            watcher(f"{self.py_func.__module__}.{self.py_func.__qualname__}")
        return super()._compile_core(args, return_type)


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A function that is compiled when it is called."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], kept: Any) -> None:
        super().__init__(function, targetoptions={"nopython": True, **options}, pipeline_class=_Compiler)
        self._compiler = _FunctionCompiler(function, self.targetdescr, self.targetoptions, self.locals, _Compiler)
        self._cache = self._kept = kept or caching.NullCache()

    def compile(self, sig: Any) -> Any:
        """Compile for these types, as a part of the kernel that is being compiled, if one is."""
        global _depth
        with global_compiler_lock:
            inner = _depth > 0
            taken = tuple(sigutils.normalize_signature(sig)[0])
            known = self.overloads.get(taken)
            if known is not None:
                if inner or not isinstance(known.library, _LoweredCode):
                    return known.entry_point
                del self.overloads[taken]
            self._cache = caching.NullCache() if inner else self._kept
            self.targetoptions.update(no_cpython_wrapper=inner, no_cfunc_wrapper=True)
            _depth += 1
            try:
                with ExitStack() as within:
                    if not inner:
                        within.enter_context(_known_signatures(self.typingctx))
                        within.enter_context(_without_collections())
                    return super().compile(sig)
            finally:
                _depth -= 1
                self._cache = self._kept

    def entry_for(self, types: tuple[Any, ...]) -> Any:
        """Return what Python calls for these types; compile it unless that is done."""
        known = self.overloads.get(types)
        done = known is not None and not isinstance(known.library, _LoweredCode)
        return known.entry_point if done else self.compile(types)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Type a call within a kernel; constants are no types of their own, or each would be compiled again."""
        return super().get_call_template(
            tuple(types.unliteral(one) for one in args), {name: types.unliteral(one) for name, one in kws.items()}
        )

    def add_overload(self, cres: Any) -> None:
        """Let Python call what has machine code."""
        if not self.targetoptions.get("_nrt", True):
            _check_borrows(cres)
        if isinstance(cres.library, _LoweredCode):
            self.overloads[tuple(cres.signature.args)] = cres
            return
        for environment in cres._find_referenced_environments():
            cres.library.codegen.set_env(environment.env_name, environment)
        super().add_overload(cres)


def make_kernel(function: Callable[..., Any], counts_references: bool) -> Kernel:
    """Return `function` as a kernel; its machine code is kept where that is possible.

    Parameters
    ----------
    function
        What it computes.
    counts_references
        Whether it counts references to arrays; it must if it makes or returns arrays.
    """
    try:
        kept = kept_code(function)
    except OSError:
        say_once()
        kept = None
    return Kernel(function, {"nogil": True, "_nrt": counts_references}, kept)


def make_known(function: Callable[..., Any]) -> None:
    """Let kernels call a Python function."""
    register_jitable(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def _check_borrows(cres: Any) -> None:
    """Refuse a kernel that doesn't count references to arrays, but returns arrays or calls a kernel that does.

    The former would free arrays that are in use, the latter would never free them.
    """
    if _holds_arrays(cres.signature.return_type):
        raise TypeError(f"{cres.fndesc.qualname} returns arrays, so it can't be in_place; decorate it with compiled")
    for call, signature in (cres.fndesc.calltypes or {}).items():
        called = cres.fndesc.typemap[call.func.name] if getattr(call, "op", None) == "call" else None
        if isinstance(called, types.Dispatcher) and _holds_arrays(signature.return_type):
            raise TypeError(
                f"{cres.fndesc.qualname} calls {called.dispatcher.__name__}, which returns arrays, so it can't be "
                "in_place; decorate it with compiled"
            )


def _holds_arrays(found: Any) -> bool:
    if isinstance(found, types.BaseTuple):
        return any(_holds_arrays(one) for one in found)
    return isinstance(found, types.Array)


def called_kernels(*kernels: Callable[..., Any]) -> set[str]:
    """Return the full names of these kernels and of all kernels that they call."""
    found: set[str] = set()
    seen: set[Any] = set()
    left: list[Any] = list(kernels)
    while left:
        function = left.pop()
        function = getattr(function, "kernel", function)
        if function in seen:
            continue
        seen.add(function)
        if isinstance(function, Kernel):
            found.add(f"{function.__module__}.{function.__qualname__}")
            function = function.py_func
        names = function.__code__.co_names
        known = (function.__globals__.get(name) for name in names)
        left += [one for one in known if isinstance(one, FunctionType) or hasattr(one, "kernel")]
    return found
