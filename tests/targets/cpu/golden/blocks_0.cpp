// Blocks of toy: each layer's shape, where its rows lie, and their order.
// Rows: data, strides of rows and channels, rows held, height, width, channels, padding left and right.
// Segment: image, first and last clock, rows of each layer to produce, rows of each value to copy.
// Call: inputs, output, weights, first row, end row, part of the channels, memory that the kernel works in.
#include "blocks.hpp"
#include "kernels.hpp"
#include "schedule.hpp"

namespace dlfusion {

// Block 0: 2 cores, a band of rows each, in steps of 2 rows.
//   to planar: 3x33x31 -> 3x33x31
//   Conv 3x3, Relu: 3x33x31 -> 32x33x31   [onnx/stem]
//   MaxPool 3x3 s2: 32x33x31 -> 32x17x16
// Ends here: the next layer's weights would not stay in the cache.
void block_0(const Run& run, int core) {
  static const ConvertShape image_to_planar_shape = {};
  static const PlanarShape stem_shape = {/*kernel_rows=*/3, /*row_stride=*/1, /*row_dilation=*/1, /*pad_top=*/1,
      /*origin=*/1, /*columns=*/3, /*column_stride=*/1, /*group_inputs=*/3, /*group_outputs=*/32, /*channels=*/3,
      /*weights=*/0, /*bias=*/864, /*steps=*/{{{/*input=*/-1, /*constant=*/-1, /*a=*/0.0f, /*b=*/0.0f}}}};
  static const PoolShape pool_shape = {/*kernel_height=*/3, /*kernel_width=*/3, /*stride_height=*/2, /*stride_width=*/2,
      /*pad_top=*/1, /*pad_left=*/1, /*dilation_height=*/1, /*dilation_width=*/1, /*row_factors=*/-1,
      /*column_factors=*/-1, /*steps=*/{{}}};
  static const Segment<3, 0> segments[] = {
    {0, 0, 8, {{0, 17}, {0, 16}, {0, 8}}, {{0, 0}}},
    {0, 8, 17, {{14, 33}, {15, 33}, {8, 17}}, {{0, 0}}},
  };
  static const int first_segment[] = {0, 1, 2};  // of each core
  for (int index = first_segment[core]; index < first_segment[core + 1]; ++index) {
    const Segment<3, 0>& segment = segments[index];
    const Rows image = {const_cast<float*>(run.inputs[0]), 31, 1023, 33, 33, 31, 3, 0, 0};  // 3x33x31, the model's input
    const Rows image_planar_0 = {run.scratch + 4976, 144, 48, 6, 33, 31, 3, 1, 1};  // 3x33x31, a ring of 6 rows
    const Rows stem_relu = {run.scratch + 0, 992, 496, 5, 33, 31, 32, 0, 0};  // 32x33x31, a ring of 5 rows
    const Rows pool_2 = {run.tensors + 16, 576, 288, 17, 17, 16, 32, 1, 1};  // 32x17x16
    const Rows image_to_planar_inputs[] = {image};
    const Rows stem_inputs[] = {image_planar_0};
    const Rows pool_inputs[] = {stem_relu};
    Progress image_to_planar_rows(segment.layers[0]);
    Progress stem_rows(segment.layers[1]);
    Progress pool_rows(segment.layers[2]);
    for (int clock = segment.start;; clock += 2) {
      const bool last = clock >= segment.end;
      const int pool_due = smaller(clock, pool_rows.end);
      const int stem_due = smaller(window_end(pool_due, 2, 1), stem_rows.end);
      const int image_to_planar_due = smaller(window_end(stem_due, 1, 1), image_to_planar_rows.end);
      if (image_to_planar_rows.advance(image_to_planar_due, last)) {
        convert<Planar, Planar>(
            image_to_planar_shape, {image_to_planar_inputs, &image_planar_0, nullptr, image_to_planar_rows.from,
            image_to_planar_rows.to, {0, 1}});
      }
      if (stem_rows.advance(stem_due, last)) {
        conv_first<2, 11, 0, 1, 1, Epilogue<AtLeast>>(
            stem_shape, {stem_inputs, &stem_relu, run.weights + 0, stem_rows.from, stem_rows.to, {0, 1}});
      }
      if (pool_rows.advance(pool_due, last)) {
        pool<Blocked, Maximum, Epilogue<>>(
            pool_shape, {pool_inputs, &pool_2, nullptr, pool_rows.from, pool_rows.to, {0, 1}});
      }
      if (last) break;
    }
  }
}

// Block 1: 1 core, in steps of 1 row.
//   Conv 3x3, Relu: 32x17x16 -> 48x17x16   [onnx/inner]
//   Conv 3x3, Add: 48x17x16 + 32x17x16 -> 32x17x16   [onnx/outer]
void block_1(const Run& run, int) {
  static const ConvShape inner_shape = {/*kernel_rows=*/3, /*row_stride=*/1, /*row_dilation=*/1, /*pad_top=*/1,
      /*pad_left=*/1, /*kernel_columns=*/3, /*column_dilation=*/1, /*group_inputs=*/32, /*group_outputs=*/48,
      /*units=*/2, /*scratch_rows=*/0, /*weights=*/0, /*bias=*/13824, /*steps=*/{{{/*input=*/-1, /*constant=*/-1,
      /*a=*/0.0f, /*b=*/0.0f}}}};
  static const ConvShape outer_shape = {/*kernel_rows=*/3, /*row_stride=*/1, /*row_dilation=*/1, /*pad_top=*/1,
      /*pad_left=*/1, /*kernel_columns=*/3, /*column_dilation=*/1, /*group_inputs=*/48, /*group_outputs=*/32,
      /*units=*/3, /*scratch_rows=*/0, /*weights=*/0, /*bias=*/13824, /*steps=*/{{{/*input=*/1, /*constant=*/-1,
      /*a=*/0.0f, /*b=*/0.0f}}}};
  static const Segment<2, 0> segment = {0, 0, 17, {{0, 17}, {0, 17}}, {{0, 0}}};
  const Rows pool = {run.tensors + 16, 576, 288, 17, 17, 16, 32, 1, 1};  // 32x17x16
  const Rows inner_relu = {run.scratch + 16, 864, 288, 3, 17, 16, 48, 1, 1};  // 48x17x16, a ring of 3 rows
  const Rows sum = {run.tensors + 9792, 512, 256, 17, 17, 16, 32, 0, 0};  // 32x17x16
  const Rows inner_inputs[] = {pool};
  const Rows outer_inputs[] = {inner_relu, pool};
  Progress inner_rows(segment.layers[0]);
  Progress outer_rows(segment.layers[1]);
  for (int clock = segment.start;; clock += 1) {
    const bool last = clock >= segment.end;
    const int outer_due = smaller(clock, outer_rows.end);
    const int inner_due = smaller(window_end(outer_due, 1, 1), inner_rows.end);
    if (inner_rows.advance(inner_due, last)) {
      conv_blocked<3, 8, 0, 0, 1, Epilogue<AtLeast>>(
          inner_shape, {inner_inputs, &inner_relu, run.weights + 896, inner_rows.from, inner_rows.to, {0, 1}});
    }
    if (outer_rows.advance(outer_due, last)) {
      conv_blocked<2, 8, 0, 0, 1, Epilogue<Add<Element>>>(
          outer_shape, {outer_inputs, &sum, run.weights + 14768, outer_rows.from, outer_rows.to, {0, 1}});
    }
    if (last) break;
  }
}

// Block 2: 2 cores, a range of output channels each.
//   Conv 1x1: 32x17x16 -> 20x17x16   [onnx/head]
// Ends here: last layer.
void block_2(const Run& run, int core) {
  static const Conv1x1Shape head_shape = {/*row_stride=*/1, /*scratch_rows=*/0, /*weights=*/0, /*bias=*/768,
      /*steps=*/{{}}};
  static const Segment<1, 0> segment = {0, 17, 17, {{0, 17}}, {{0, 0}}};
  const Rows sum = {run.tensors + 9792, 512, 256, 17, 17, 16, 32, 0, 0};  // 32x17x16
  const Rows head = {run.tensors + 0, 512, 256, 17, 17, 16, 20, 0, 0};  // 20x17x16
  const Rows head_inputs[] = {sum};
  conv_1x1_halves<3, 8, 0, 1, Epilogue<>>(
      head_shape, {head_inputs, &head, run.weights + 28624, segment.layers[0].begin, segment.layers[0].end, {core, 2}});
}


}  // namespace dlfusion
