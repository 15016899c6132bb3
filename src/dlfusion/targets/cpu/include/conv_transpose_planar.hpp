// Transposed convolution from a planar tensor into a planar one; the register block is in conv_planar.hpp.
#pragma once
#include "conv_planar.hpp"
#include "phases.hpp"

namespace dlfusion {

struct TransposedPlanarShape {
  PlanarShape base;   // kernel_rows: as many as any row phase has; row_stride, row_dilation and pad_top as the operator's
  int kernel;         // rows of the operator's kernel
  long phase_weights; // floats of one row phase
};

// As conv_planar, for S columns of output for each column of input.
template <int O, int V, int REST, int SHORT, int S, class E>
void conv_transpose_planar(const TransposedPlanarShape& shape, const Call& call) {
  PlanarTaps taps;
  const PlanarShape& base = shape.base;
  for (int row = call.from; row < call.to; ++row) {
    const Phase phase = transposed_phase(row, shape.kernel, base.row_stride, base.row_dilation, base.pad_top);
    const float* weights = call.constants + base.weights + row % base.row_stride * shape.phase_weights;
    planar_row<O, V, REST, SHORT, S, E>(base, call, taps, weights, phase.top, phase.count, phase.dilation, row);
  }
}

}  // namespace dlfusion
