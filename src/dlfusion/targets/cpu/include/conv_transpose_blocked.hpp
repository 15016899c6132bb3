// Transposed convolution from a blocked tensor into a blocked one: each phase of rows and columns is a convolution of its
// own, whose outputs lie a stride apart; the register block is in conv_blocked.hpp.
//
// Weights: [row phase][column phase], then as in conv_blocked.hpp, for as many kernel rows and taps as any phase has.
#pragma once
#include "conv_blocked.hpp"
#include "phases.hpp"

namespace dlfusion {

struct TransposedShape {
  ConvShape base;      // kernel_rows: as many as any row phase has; the others as the operator's
  int kernel;          // rows of the operator's kernel
  int stored_taps;     // taps of the largest column phase
  long phase_weights;  // floats of one row and column phase
};

// As conv_blocked, for S columns of output for each column of input. All phases are as wide as the first: the others may
// write into the padding, which is cleared afterwards.
template <int O, int P, int REST, int SHORT, int S, class E>
void conv_transpose_blocked(const TransposedShape& shape, const Call& call) {
  const ConvShape& base = shape.base;
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int groups = (output.channels + LANES - 1) / LANES / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  ConvColumns columns[S];
  for (int s = 0; s < S; ++s) {
    const Phase phase = transposed_phase(s, base.kernel_columns, S, base.column_dilation, base.pad_left);
    columns[s] = {(output.width + S - 1) / S, static_cast<long>(s) * LANES,  -phase.top * LANES, phase.count,
                  phase.dilation * LANES,     shape.stored_taps};
  }
  const int tile = tile_rows(input, 1) * base.row_stride;
  KernelRows rows;
  typename E::Slots slots;
  for (int from = call.from; from < call.to; from += tile) {
    const int to = from + tile < call.to ? from + tile : call.to;
    for (int group = group_begin; group < group_end; ++group) {
      const int unit = group * O;
      for (int row = from; row < to; ++row) {
        float* output_row = output.row(row);
        const Phase phase = transposed_phase(row, shape.kernel, base.row_stride, base.row_dilation, base.pad_top);
        find_kernel_rows(rows, input, phase.top, phase.count, phase.dilation);
        E::at_row(slots, base.steps, call, row);
        const float* weights = call.constants + base.weights + row % base.row_stride * S * shape.phase_weights;
        for (int s = 0; s < S; ++s, weights += shape.phase_weights) {
          if (group < groups) {
            conv_row<O, P, SHORT, LANES, S * LANES, E>(base, call, input, columns[s], rows, slots, weights, unit,
                                                      output_row, Soon());
          } else if constexpr (REST != 0) {
            conv_row<REST, P, SHORT, LANES, S * LANES, E>(base, call, input, columns[s], rows, slots, weights, unit,
                                                      output_row, Soon());
          }
        }
        clear_pads(output, output_row, unit, group < groups ? unit + O : unit + REST, LANES);
      }
    }
  }
}

}  // namespace dlfusion
