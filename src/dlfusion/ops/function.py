"""What pointwise operators of one activation and no constants have in common."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise

Array = NDArray[np.float64]


class Function(Pointwise):
    """Base of operators that are a function of each element, which they state in double precision."""

    @abstractmethod
    def function(self, x: Array) -> Array:
        """The results for an array of numbers, also where they are infinite or no numbers."""

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The function, rounded to float32 in the end."""
        with np.errstate(all="ignore"):
            return self.function(inputs[0].astype(np.float64)).astype(np.float32)
