"""What a target hands to the build."""

from dataclasses import replace

import numpy as np
import pytest

from dlfusion.runtime.program import Unit, cpu_features, runtime_unit, weights_digest
from tests.runtime.tiny_program import tiny_program


def test_headers_are_found_through_headers() -> None:
    headers = {"a.hpp": '#include "b.hpp"\n', "b.hpp": '#pragma once\n  #  include "a.hpp"\n', "c.hpp": ""}
    program = replace(tiny_program(), headers=headers)
    assert program.included(Unit("x.cpp", '#include <c.hpp>\n#include "a.hpp"\n#include "elsewhere.h"\n')) == (
        "a.hpp",
        "b.hpp",
    )
    assert program.included(Unit("x.cpp", '// #include "a.hpp"\n')) == ()


def test_features_are_the_flags_that_allow_instructions() -> None:
    assert cpu_features(("-mavx2", "-mfma", "-mprefer-vector-width=512", "-O3")) == ("avx2", "fma")
    assert runtime_unit("text", ("-mavx2", "-mfma")).flags == ('-DDLFUSION_CPU_FEATURES="avx2 fma"',)


def test_a_program_that_cannot_be_built_is_refused_at_once() -> None:
    program = tiny_program()
    with pytest.raises(ValueError, match="two units of program tiny have one name"):
        replace(program, units=(*program.units, program.units[0]))
    with pytest.raises(ValueError, match="contiguous float32 vector"):
        replace(program, weights=np.zeros(4, np.float32)[::2])


def test_the_digest_is_of_the_weights_bytes() -> None:
    weights = np.frombuffer(b"abcd", np.float32)
    # SHA-256 of "abcd".
    digest = "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"
    assert weights_digest(weights) == digest
