// Convolution of stride 1 by Winograd's minimal filtering F(M x M, R x R), blocked to blocked.
//
// Tiles of A x A inputs (A = M + R - 1) are transformed, multiplied with transformed kernels position by position, and
// the sums are transformed back to M x M outputs. Tiles are taken in blocks that stay in the second-level cache:
//
//   inputs -> V [input unit][tile][position][LANES]      all input channels
//   for each group of O output units:  V x U -> sums [position][O][tile][LANES] -> outputs
//
// The products are those of conv_1x1.hpp's register block, whose pixels are tiles; U, the transformed kernels, lie in
// the order they are read: [group][position][input unit][lane][O][LANES], the last two dimensions stored as W says
// (weights.hpp). Transforms are evaluated in A points: 0, infinity and WINOGRAD_POINTS. Source: Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", CVPR 2016; the scheme of blocks follows Jia et al., "Optimizing
// N-dimensional, Winograd-based Convolution for Manycore CPUs", PPoPP 2018.
//
// Share of the peak of direct sums, one core, warm, F(6x6): on Zen 4 351 % for 64 -> 64 channels @56, 383 % for 128 -> 128 @28;
// on Sapphire Rapids 300-320 %. 506 % would be products alone: the rest is transforms, and tiles that pass the map's edge.
#pragma once
#include "conv_1x1.hpp"

namespace dlfusion {

struct WinogradShape {
  int pad_top;
  int pad_left;
  int tiles;     // the most in a block
  int is_far;    // whether the weights come from beyond the second-level cache for every block, not just the first
  long weights;  // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// The points that come in pairs, positive and negative, of transforms with 1, 2 and 3 pairs: multiples of 1/8 with which
// rounding errors are smallest (found by trying).
constexpr float WINOGRAD_POINTS[3][3] = {{1.0f}, {0.625f, 1.5f}, {1.0f, 2.0f, 0.5f}};

// The coefficients of the product of (y - p^2) over the points p of all PAIRS pairs but WITHOUT (-1: of all).
struct WinogradPolynomial {
  float coefficient[4];
};
template <int PAIRS, int WITHOUT>
constexpr WinogradPolynomial winograd_product() {
  WinogradPolynomial product = {{1.0f}};
  for (int pair = 0; pair < PAIRS; ++pair) {
    if (pair == WITHOUT) continue;
    const float square = WINOGRAD_POINTS[PAIRS - 1][pair] * WINOGRAD_POINTS[PAIRS - 1][pair];
    for (int i = PAIRS; i > 0; --i) product.coefficient[i] = product.coefficient[i - 1] - square * product.coefficient[i];
    product.coefficient[0] *= -square;
  }
  return product;
}

// The polynomial of the even or odd ones of `values`.
template <int PAIRS, int WITHOUT>
DLFUSION_INLINE Vector winograd_polynomial(const Vector* values) {
  constexpr WinogradPolynomial product = winograd_product<PAIRS, WITHOUT>();
  constexpr int DEGREE = WITHOUT < 0 ? PAIRS : PAIRS - 1;
  Vector sum = values[2 * DEGREE];  // the leading coefficient is 1
  DLFUSION_UNROLL
  for (int i = DEGREE - 1; i >= 0; --i) sum += values[2 * i] * broadcast(product.coefficient[i]);
  return sum;
}

template <int PAIRS, int PAIR>
DLFUSION_INLINE void winograd_input_pairs(const Vector* in, Vector* out) {
  if constexpr (PAIR < PAIRS) {
    const Vector even = winograd_polynomial<PAIRS, PAIR>(in + 2);
    const Vector odd = winograd_polynomial<PAIRS, PAIR>(in + 1) * broadcast(WINOGRAD_POINTS[PAIRS - 1][PAIR]);
    out[1 + 2 * PAIR] = even + odd;
    out[2 + 2 * PAIR] = even - odd;
    winograd_input_pairs<PAIRS, PAIR + 1>(in, out);
  }
}

// One dimension of the transform of inputs.
template <int A>
DLFUSION_INLINE void winograd_input(const Vector (&in)[A], Vector (&out)[A]) {
  constexpr int PAIRS = (A - 2) / 2;
  out[0] = winograd_polynomial<PAIRS, -1>(in);
  winograd_input_pairs<PAIRS, 0>(in, out);
  out[A - 1] = winograd_polynomial<PAIRS, -1>(in + 1);
}

constexpr float winograd_power(float base, int exponent) {
  return exponent == 0 ? 1.0f : base * winograd_power(base, exponent - 1);
}

// Output I of one dimension of the transform of sums: the sum's polynomial in the points, to the power of I. `sum` and
// `difference` are those of each pair.
template <int A, int M, int I, int PAIR>
DLFUSION_INLINE void winograd_output_pairs(const Vector* of_pairs, Vector& out) {
  constexpr int PAIRS = (A - 2) / 2;
  if constexpr (PAIR < PAIRS) {
    constexpr float POWER = winograd_power(WINOGRAD_POINTS[PAIRS - 1][PAIR], I);
    out += of_pairs[PAIR] * broadcast(POWER);
    winograd_output_pairs<A, M, I, PAIR + 1>(of_pairs, out);
  }
}

template <int A, int M, int I>
DLFUSION_INLINE void winograd_outputs_from(const Vector (&in)[A], const Vector* sum, const Vector* difference,
                                           Vector (&out)[M]) {
  if constexpr (I < M) {
    const Vector* of_pairs = I % 2 == 0 ? sum : difference;
    out[I] = of_pairs[0] * broadcast(winograd_power(WINOGRAD_POINTS[(A - 2) / 2 - 1][0], I));
    if constexpr (I == 0) out[I] += in[0];
    if constexpr (I == M - 1) out[I] += in[A - 1];
    winograd_output_pairs<A, M, I, 1>(of_pairs, out[I]);
    winograd_outputs_from<A, M, I + 1>(in, sum, difference, out);
  }
}

// One dimension of the transform of sums.
template <int A, int M>
DLFUSION_INLINE void winograd_output(const Vector (&in)[A], Vector (&out)[M]) {
  constexpr int PAIRS = (A - 2) / 2;
  Vector sum[PAIRS], difference[PAIRS];
  DLFUSION_UNROLL
  for (int pair = 0; pair < PAIRS; ++pair) {
    sum[pair] = in[1 + 2 * pair] + in[2 + 2 * pair];
    difference[pair] = in[1 + 2 * pair] - in[2 + 2 * pair];
  }
  winograd_outputs_from<A, M, 0>(in, sum, difference, out);
}

// The vectors of a block of tiles: one for each position, unit and tile. Strides in floats.
struct WinogradVectors {
  float* data;
  long unit_stride;
  long tile_stride;
  long position_stride;

  DLFUSION_INLINE float* at(int unit, int tile) const { return data + unit * unit_stride + tile * tile_stride; }
};

// Vectors from one tile of transformed inputs to the next: an odd number, so that tiles fall into different cache sets.
template <int A>
constexpr int WINOGRAD_TILE = A * A | 1;

// Transformed inputs, [unit][tile][position]: transforms write one stream. With positions outermost they write A * A of
// them, each to a page of its own, and whole layers take 5 to 18 % longer on Zen 4 (measured).
template <int A>
DLFUSION_INLINE WinogradVectors winograd_inputs_at(float* start, int tiles) {
  constexpr long TILE = WINOGRAD_TILE<A> * LANES;
  return {start, tiles * TILE, TILE, LANES};
}

// Sums, [position][unit][tile], an odd number of vectors to a position: products write neighbouring tiles.
DLFUSION_INLINE WinogradVectors winograd_sums_at(float* start, int units, int tiles) {
  return {start, static_cast<long>(tiles) * LANES, LANES, (units * tiles | 1L) * LANES};
}

// Two rows of a transformed tile, those of pair GROUP or the first and the last, then those of the next groups. `from`
// are the tile's input rows. What two rows take on their way fits the registers; a whole tile, transformed in one
// dimension, then in the other, would be stored twice, and stores are what limits transforms (up to 9 % of whole layers on
// Zen 4, measured).
template <int A, int GROUP>
DLFUSION_INLINE void winograd_input_rows(const float* const (&from)[A], float* tile) {
  constexpr int PAIRS = (A - 2) / 2;
  constexpr int FIRST = GROUP < PAIRS ? 1 + 2 * GROUP : 0;
  constexpr int SECOND = GROUP < PAIRS ? 2 + 2 * GROUP : A - 1;
  Vector first[A], second[A], result[A];
  DLFUSION_UNROLL
  for (int j = 0; j < A; ++j) {
    Vector column[A];
    DLFUSION_UNROLL
    for (int i = 0; i < A; ++i) column[i] = load(from[i] + j * LANES);
    if constexpr (GROUP < PAIRS) {
      const Vector even = winograd_polynomial<PAIRS, GROUP>(column + 2);
      const Vector odd = winograd_polynomial<PAIRS, GROUP>(column + 1) * broadcast(WINOGRAD_POINTS[PAIRS - 1][GROUP]);
      first[j] = even + odd;
      second[j] = even - odd;
    } else {
      first[j] = winograd_polynomial<PAIRS, -1>(column);
      second[j] = winograd_polynomial<PAIRS, -1>(column + 1);
    }
  }
  winograd_input<A>(first, result);
  DLFUSION_UNROLL
  for (int j = 0; j < A; ++j) store(tile + (FIRST * A + j) * LANES, result[j]);
  winograd_input<A>(second, result);
  DLFUSION_UNROLL
  for (int j = 0; j < A; ++j) store(tile + (SECOND * A + j) * LANES, result[j]);
  asm volatile("" ::: "memory");  // inputs are loaded again: keeping them would take registers
  if constexpr (GROUP < PAIRS) winograd_input_rows<A, GROUP + 1>(from, tile);
}

// Transforms one unit of one tile. `rows` are the tile's input rows, null where they are outside the map or not needed;
// `offset` leads to the unit and to the tile's first column.
template <int A>
__attribute__((noinline)) void winograd_input_tile(const float* const* rows, long offset, float* tile) {
  alignas(64) static constexpr float zeros[A * LANES] = {};
  const float* from[A];
  DLFUSION_UNROLL
  for (int i = 0; i < A; ++i) from[i] = rows[i] == nullptr ? zeros : rows[i] + offset;
  winograd_input_rows<A, 0>(from, tile);
}

// Transforms the sums of one unit of one tile, of whose outputs `row_count` rows and `column_count` columns exist.
template <int A, int M, class E>
__attribute__((noinline)) void winograd_output_tile(const float* tile, long stride, Vector bias,
                                                    const typename E::Slots* slots, int unit, float* const* rows,
                                                    int row_count, int column_count, long unit_offset, long offset) {
  Vector half[M][A];
  for (int j = 0; j < A; ++j) {
    Vector column[A], result[M];
    DLFUSION_UNROLL
    for (int i = 0; i < A; ++i) column[i] = load(tile + (i * A + j) * stride);
    winograd_output<A, M>(column, result);
    DLFUSION_UNROLL
    for (int i = 0; i < M; ++i) half[i][j] = result[i];
  }
  for (int i = 0; i < row_count; ++i) {
    Vector result[M];
    winograd_output<A, M>(half[i], result);
    float* to = rows[i] + unit_offset;
    DLFUSION_UNROLL
    for (int j = 0; j < M; ++j) {
      const long place = offset + j * LANES;
      if (j < column_count) store(to + place, E::template apply<Blocked>(result[j] + bias, slots[i], unit, place));
    }
  }
}

// The sums of O output units at one position: `count` register blocks of `tiles` <= P tiles each.
template <int O, int P, int A, class W>
DLFUSION_INLINE void winograd_register_blocks(const PixelWalk& walk, int tiles, const float* transformed,
                                              const float* weights, float* sums, int first, int count) {
  if constexpr (P > 0) {
    if (tiles == P) {
      alignas(64) static constexpr float zeros[O * LANES] = {};
      const typename Epilogue<>::Slots none = {};
      constexpr int NEXT = O * P > 12 ? LANES : 0;  // steps of fewer multiply-adds have no load to spare (measured)
      pixel_blocks<O, P, WINOGRAD_TILE<A>, Epilogue<>, W, NEXT>(walk, transformed, weights, zeros, none, sums, 0, first,
                                                                count);
    } else {
      winograd_register_blocks<O, P - 1, A, W>(walk, tiles, transformed, weights, sums, first, count);
    }
  }
}

// Which tiles a call computes: `columns` to a tile row, the first of which begins at output row `from`.
struct WinogradTiles {
  int from;
  int columns;
  int count;
};

// Transforms the inputs of a block of tiles: [first, end) of those of the call.
template <int A, int M>
DLFUSION_INLINE void winograd_inputs(const WinogradShape& shape, const Call& call, const WinogradTiles& tiles, int first,
                                     int end, const WinogradVectors& transformed) {
  const Rows& input = call.inputs[0];
  const int units = (input.channels + LANES - 1) / LANES;
  const float* rows[A];
  for (int tile = first; tile < end;) {
    const int row = tiles.from + tile / tiles.columns * M;
    const int column = tile % tiles.columns;
    const int same_row = tiles.columns - column < end - tile ? tiles.columns - column : end - tile;
    const int needed = (call.to - row < M ? call.to - row : M) + A - M;
    for (int i = 0; i < A; ++i) {
      const int index = row - shape.pad_top + i;
      rows[i] = i < needed && index >= 0 && index < input.height ? input.row(index) : nullptr;
    }
    for (int unit = 0; unit < units; ++unit) {
      for (int t = 0; t < same_row; ++t) {
        const long offset = unit * input.channel_stride + (static_cast<long>(column + t) * M - shape.pad_left) * LANES;
        winograd_input_tile<A>(rows, offset, transformed.at(unit, tile - first + t));
      }
    }
    tile += same_row;
  }
}

// Transforms the sums of a block of tiles to the outputs of O units from `unit` on.
template <int O, int A, int M, class E>
DLFUSION_INLINE void winograd_outputs(const WinogradShape& shape, const Call& call, const WinogradTiles& tiles, int first,
                                      int end, const WinogradVectors& sums, int unit) {
  const Rows& output = *call.output;
  float* rows[M];
  typename E::Slots slots[M];
  Vector bias[O];
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) bias[o] = load(call.constants + shape.bias + static_cast<long>(unit + o) * LANES);
  for (int tile = first; tile < end;) {
    const int row = tiles.from + tile / tiles.columns * M;
    const int column = tile % tiles.columns;
    const int same_row = tiles.columns - column < end - tile ? tiles.columns - column : end - tile;
    const int row_count = call.to - row < M ? call.to - row : M;
    for (int i = 0; i < row_count; ++i) {
      rows[i] = output.row(row + i);
      E::at_row(slots[i], shape.steps, call, row + i);
    }
    for (int o = 0; o < O; ++o) {
      for (int t = 0; t < same_row; ++t) {
        const int at = (column + t) * M;
        winograd_output_tile<A, M, E>(sums.at(o, tile - first + t), sums.position_stride, bias[o], slots, unit + o, rows,
                                      row_count, output.width - at < M ? output.width - at : M,
                                      (unit + o) * output.channel_stride, static_cast<long>(at) * LANES);
      }
    }
    tile += same_row;
  }
}

// The sums of `count` tiles for O output units, at every position. While the products of one position are summed, the
// weights of the next are fetched, up to those of `fetched` positions.
template <int O, int P, int A, class W>
DLFUSION_INLINE void winograd_products(const Call& call, int count, const float* weights, int fetched,
                                       const WinogradVectors& transformed, const WinogradVectors& sums) {
  const int blocks = (count + P - 1) / P;
  const int tiles = (count + blocks - 1) / blocks;  // of the first blocks; the others have one less
  const int full = count - blocks * (tiles - 1);
  PixelWalk walk;
  walk.channels = call.inputs[0].channels;
  walk.unit_stride = transformed.unit_stride;
  walk.output_stride = sums.unit_stride;
  walk.output_unit = 0;
  const long padded_channels = (walk.channels + LANES - 1L) / LANES * LANES;
  const long slice = padded_channels * W::size(O * LANES);
  // Each step of a block fetches a line: with one block the next slice takes both of the walk's ways.
  const long steps = static_cast<long>(blocks) * walk.channels;
  const long way = blocks == 1 ? slice / 2 : slice;
  const long advance = (way + steps - 1) / steps;
  for (int position = 0; position < A * A; ++position) {
    const float* slice_weights = weights + position * slice;
    walk.weights = walk.input = {slice_weights, 0};
    if (position < fetched) {
      walk.weights = {slice_weights + slice, advance};
      if (blocks == 1) walk.input = {slice_weights + slice + way, advance};
    }
    const float* from = transformed.data + position * transformed.position_stride;
    float* to = sums.data + position * sums.position_stride;
    winograd_register_blocks<O, P, A, W>(walk, tiles, from, slice_weights, to, 0, full);
    const long done = static_cast<long>(full) * tiles;
    winograd_register_blocks<O, P, A, W>(walk, tiles - 1, from + done * transformed.tile_stride, slice_weights,
                                         to + done * sums.tile_stride, full, blocks - full);
  }
}

// O x P: the register block, in output units, which O divides, and tiles. M: output rows and columns of a tile. R: kernel
// rows and columns.
template <int O, int P, int M, int R, class E, class W = Float32Weights>
void winograd(const WinogradShape& shape, const Call& call) {
  constexpr int A = M + R - 1;
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int units = (input.channels + LANES - 1) / LANES;
  const int groups = (output.channels + LANES - 1) / LANES / O;
  const int group_begin = call.part.begin(groups);
  const int group_end = call.part.end(groups);
  if (group_begin == group_end) return;  // more cores than groups: this one would transform inputs for nothing
  const long group_weights = W::size(static_cast<long>(units) * A * A * LANES * O * LANES);
  const int tile_columns = (output.width + M - 1) / M;
  const WinogradTiles tiles = {call.from, tile_columns, (call.to - call.from + M - 1) / M * tile_columns};
  const int blocks = (tiles.count + shape.tiles - 1) / shape.tiles;
  int first = 0;
  for (int block = 0; block < blocks; ++block) {
    const int end = first + (tiles.count - first + blocks - block - 1) / (blocks - block);
    const WinogradVectors transformed = winograd_inputs_at<A>(call.scratch, end - first);
    const WinogradVectors sums = winograd_sums_at(call.scratch + units * transformed.unit_stride, O, end - first);
    winograd_inputs<A, M>(shape, call, tiles, first, end, transformed);
    for (int group = group_begin; group < group_end; ++group) {
      const float* weights = call.constants + shape.weights + group * group_weights;
      // The last slice of a group is followed by the next group's first; after the last group there is nothing to fetch.
      const int following = group + 1 < group_end ? A * A : A * A - 1;
      const int fetched = block == 0 || shape.is_far ? following : 0;
      winograd_products<O, P, A, W>(call, end - first, weights, fetched, transformed, sums);
      winograd_outputs<O, A, M, E>(shape, call, tiles, first, end, sums, group * O);
    }
    first = end;
  }
  for (int row = call.from; row < call.to; ++row) {
    clear_pads(output, output.row(row), group_begin * O, group_end * O, LANES);
  }
}

}  // namespace dlfusion
