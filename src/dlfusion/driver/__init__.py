"""The compiler from end to end, and the public Python API: the one package that knows every stage and their order."""

from dlfusion.driver.characterizing import characterize
from dlfusion.driver.compiling import (
    CompiledModel,
    Difference,
    ProgressCallback,
    compile,  # noqa: A004 - the API's name for it
    first_difference,
    load,
    random_inputs,
    verify,
)
from dlfusion.driver.cross_compiling import BuiltModel, cross_compile
from dlfusion.driver.planning import (
    DEFAULT_STRATEGY,
    choose,
    default_strategy,
    find_profile,
    import_model,
    plan,
    problem,
    profile_path,
    read_plan,
    tune,
)
from dlfusion.driver.projects import PROJECT_TARGETS, check_project, write_project
from dlfusion.targets.cpu.isa import choose_isa

__all__ = [
    "DEFAULT_STRATEGY",
    "PROJECT_TARGETS",
    "BuiltModel",
    "CompiledModel",
    "Difference",
    "ProgressCallback",
    "characterize",
    "check_project",
    "choose",
    "choose_isa",
    "compile",
    "cross_compile",
    "default_strategy",
    "find_profile",
    "first_difference",
    "import_model",
    "load",
    "plan",
    "problem",
    "profile_path",
    "random_inputs",
    "read_plan",
    "tune",
    "verify",
    "write_project",
]
