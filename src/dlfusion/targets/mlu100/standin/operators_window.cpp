// Operators that look at the map around an element, or along an axis: pools, padding, LRN, resizing, softmax, sums.
#include <algorithm>
#include <cmath>

#include "operators.hpp"

using namespace standin;

struct cnmlPoolOpParam {
  static constexpr const char* KIND = "pool parameter";
  int window_height;
  int window_width;
  int stride_height;
  int stride_width;
  cnmlPoolMode_t mode;
  cnmlPoolStrategyMode_t strategy;
};

struct cnmlAddPadOpParam {
  static constexpr const char* KIND = "padding parameter";
  int top;
  int bottom;
  int left;
  int right;
  float value;
};

struct cnmlLrnOpParam {
  static constexpr const char* KIND = "LRN parameter";
  cnmlLrnType_t type;
  int local_size;
  double alpha;
  double beta;
  double k;
};

struct cnmlInterpOpParam {
  static constexpr const char* KIND = "interpolation parameter";
  int width;
  int height;
  bool align_corners;
};

namespace {

// Where the pixel of an NHWC tensor begins.
std::size_t pixel_offset(const Shape& shape, int n, int y, int x) {
  return (as_size(n * shape.h + y) * as_size(shape.w) + as_size(x)) * as_size(shape.c);
}

// --- pools ---------------------------------------------------------------------------------------------------------

int pooled_size(int size, int window, int stride, cnmlPoolStrategyMode_t strategy) {
  if (strategy == CNML_POOL_KVALID) {
    require(window <= size, Fault::BAD_SHAPE,
            "a window of " + std::to_string(window) + " must lie within the map, which has " + std::to_string(size));
    return (size - window) / stride + 1;
  }
  const int count = window >= size ? 1 : (size - window + stride - 1) / stride + 1;
  require((count - 1) * stride < size, Fault::BAD_SHAPE, "the last window lies outside the map");
  return count;
}

Shape pooled_shape(const Shape& in, const cnmlPoolOpParam& param) {
  return {in.n, in.c, pooled_size(in.h, param.window_height, param.stride_height, param.strategy),
          pooled_size(in.w, param.window_width, param.stride_width, param.strategy)};
}

// The limit that the vendor states for the MLU100.
void require_pool_fits(const Shape& in, const cnmlPoolOpParam& param) {
  const long side = std::max(std::min(param.window_height, in.h), std::min(param.window_width, in.w));
  const long demand = (side + 1) * std::min(in.c, 256);
  const long limit = (param.mode == CNML_POOL_MAX ? 8190L : 8186L) * 16;
  require(demand < limit, Fault::OUT_OF_RANGE,
          "the window is too large for the device: (side + 1) * min(channels, 256) is " + std::to_string(demand) +
              " and must be less than " + std::to_string(limit));
}

void check_pool(const cnmlPoolOpParam& param, cnmlTensor_t input, cnmlTensor_t output) {
  const Shape in = activation_shape(input, "input");
  require_pool_fits(in, param);
  require_shape(activation_shape(output, "output"), pooled_shape(in, param), "output");
}

// What lies in the window and in the map; an average divides by the number of these elements.
void pool_pixel(const cnmlPoolOpParam& param, const Shape& in, const float* image, int y, int x, float* pixel) {
  const int top = y * param.stride_height, bottom = std::min(top + param.window_height, in.h);
  const int left = x * param.stride_width, right = std::min(left + param.window_width, in.w);
  const bool maximum = param.mode == CNML_POOL_MAX;
  std::copy_n(image + pixel_offset(in, 0, top, left), in.c, pixel);
  for (int row = top; row < bottom; ++row) {
    for (int column = left; column < right; ++column) {
      if (row == top && column == left) continue;
      const float* const values = image + pixel_offset(in, 0, row, column);
      for (int c = 0; c < in.c; ++c) {
        // NaN is kept, as in the sum.
        const bool wins = values[c] > pixel[c] || values[c] != values[c];
        pixel[c] = maximum ? (wins ? values[c] : pixel[c]) : pixel[c] + values[c];
      }
    }
  }
  if (maximum) return;
  const float factor = 1.0f / static_cast<float>((bottom - top) * (right - left));
  for (int c = 0; c < in.c; ++c) pixel[c] *= factor;
}

Kernel pool_kernel(const cnmlPoolOpParam& param, const Shape& in) {
  const Shape out = pooled_shape(in, param);
  return [=](const float* const* inputs, float* const* outputs) {
    for (int n = 0; n < out.n; ++n) {
      const float* const image = inputs[0] + pixel_offset(in, n, 0, 0);
      for (int y = 0; y < out.h; ++y) {
        for (int x = 0; x < out.w; ++x) pool_pixel(param, in, image, y, x, outputs[0] + pixel_offset(out, n, y, x));
      }
    }
  };
}

// --- padding -------------------------------------------------------------------------------------------------------

Shape padded_shape(const Shape& in, const cnmlAddPadOpParam& pad) {
  return {in.n, in.c, in.h + pad.top + pad.bottom, in.w + pad.left + pad.right};
}

Kernel padding_kernel(const cnmlAddPadOpParam& pad, const Shape& in) {
  const Shape out = padded_shape(in, pad);
  return [=](const float* const* inputs, float* const* outputs) {
    std::fill_n(outputs[0], out.count(), pad.value);
    for (int n = 0; n < in.n; ++n) {
      for (int y = 0; y < in.h; ++y) {
        std::copy_n(inputs[0] + pixel_offset(in, n, y, 0), as_size(in.w) * as_size(in.c),
                    outputs[0] + pixel_offset(out, n, y + pad.top, pad.left));
      }
    }
  };
}

// --- LRN -----------------------------------------------------------------------------------------------------------

Shape checked_lrn(cnmlTensor_t input, cnmlTensor_t output) {
  const Shape shape = activation_shape(input, "input");
  require_shape(activation_shape(output, "output"), shape, "output");
  return shape;
}

Kernel lrn_kernel(const cnmlLrnOpParam& param, const Shape& shape) {
  double divisor = param.local_size;
  if (param.type == CNML_LRN_V1) divisor = std::min(param.local_size, 2 * shape.c - 1);
  if (param.type == CNML_LRN_V2) divisor = 1.0;
  const auto factor = static_cast<float>(param.alpha / divisor);
  const auto k = static_cast<float>(param.k), beta = static_cast<float>(param.beta);
  const int reach = (param.local_size - 1) / 2;
  return [=](const float* const* inputs, float* const* outputs) {
    const std::size_t pixels = shape.count() / as_size(shape.c);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      const float* const values = inputs[0] + pixel * as_size(shape.c);
      for (int c = 0; c < shape.c; ++c) {
        float squares = 0.0f;
        for (int near = std::max(0, c - reach); near <= std::min(shape.c - 1, c + reach); ++near) {
          squares += values[near] * values[near];
        }
        outputs[0][pixel * as_size(shape.c) + as_size(c)] = values[c] / std::pow(k + factor * squares, beta);
      }
    }
  };
}

// --- resizing ------------------------------------------------------------------------------------------------------

struct Taps {
  int lower;
  int upper;
  float weight;  // of the upper one
};

// Bilinear positions: with aligned corners the first and last elements coincide; without, element i lies at
// i * (input size / output size), as in the frameworks of the time (an assumption).
std::vector<Taps> interpolation_taps(int input, int output, bool align_corners) {
  std::vector<Taps> taps;
  float step = static_cast<float>(input) / static_cast<float>(output);
  if (align_corners) step = output > 1 ? static_cast<float>(input - 1) / static_cast<float>(output - 1) : 0.0f;
  for (int index = 0; index < output; ++index) {
    const float position = static_cast<float>(index) * step;
    const int lower = std::min(static_cast<int>(position), input - 1);
    taps.push_back({lower, std::min(lower + 1, input - 1), position - static_cast<float>(lower)});
  }
  return taps;
}

void check_interpolation(const cnmlInterpOpParam& param, cnmlTensor_t input, cnmlTensor_t output) {
  const Shape in = activation_shape(input, "input");
  require_shape(activation_shape(output, "output"), {in.n, in.c, param.height, param.width}, "output");
}

Kernel interpolation_kernel(const cnmlInterpOpParam& param, const Shape& in) {
  const std::vector<Taps> rows = interpolation_taps(in.h, param.height, param.align_corners);
  const std::vector<Taps> columns = interpolation_taps(in.w, param.width, param.align_corners);
  return [=](const float* const* inputs, float* const* outputs) {
    float* pixel = outputs[0];
    for (int n = 0; n < in.n; ++n) {
      for (const Taps& row : rows) {
        for (const Taps& column : columns) {
          const float* const above = inputs[0] + pixel_offset(in, n, row.lower, 0);
          const float* const below = inputs[0] + pixel_offset(in, n, row.upper, 0);
          for (int c = 0; c < in.c; ++c) {
            const int left = column.lower * in.c + c, right = column.upper * in.c + c;
            const float upper = above[left] * (1.0f - column.weight) + above[right] * column.weight;
            const float lower = below[left] * (1.0f - column.weight) + below[right] * column.weight;
            *pixel++ = upper * (1.0f - row.weight) + lower * row.weight;
          }
        }
      }
    }
  };
}

// --- along an axis -------------------------------------------------------------------------------------------------

// An axis of an NHWC tensor: element i of line (outer, inner) is at (outer * size + i) * inner_size + inner.
struct Line {
  std::size_t outer;
  std::size_t size;
  std::size_t inner;
};

Line line_along(const Shape& shape, Axis axis) {
  const std::size_t inner = strides_of(shape, CNML_NHWC)[axis];
  const std::size_t size = as_size(sizes_of(shape)[axis]);
  return {shape.count() / size / inner, size, inner};
}

Kernel softmax_kernel(const Line& line) {
  return [=](const float* const* inputs, float* const* outputs) {
    for (std::size_t outer = 0; outer < line.outer; ++outer) {
      for (std::size_t inner = 0; inner < line.inner; ++inner) {
        const std::size_t first = outer * line.size * line.inner + inner;
        float largest = inputs[0][first];
        for (std::size_t i = 1; i < line.size; ++i) largest = std::max(largest, inputs[0][first + i * line.inner]);
        float total = 0.0f;
        for (std::size_t i = 0; i < line.size; ++i) {
          const float power = std::exp(inputs[0][first + i * line.inner] - largest);
          outputs[0][first + i * line.inner] = power;
          total += power;
        }
        for (std::size_t i = 0; i < line.size; ++i) outputs[0][first + i * line.inner] /= total;
      }
    }
  };
}

Axis softmax_axis(cnmlSoftmaxDim_t dim) {
  switch (dim) {
    case CNML_SOFTMAX_DIM_C:
      return AXIS_C;
    case CNML_SOFTMAX_DIM_W:
      return AXIS_W;
    case CNML_SOFTMAX_DIM_H:
      return AXIS_H;
    case CNML_SOFTMAX_DIM_N:
      return AXIS_N;
  }
  fail(Fault::BAD_VALUE, "no such dimension of softmax");
}

Kernel sum_kernel(const Line& line, bool mean) {
  const float factor = mean ? 1.0f / static_cast<float>(line.size) : 1.0f;
  return [=](const float* const* inputs, float* const* outputs) {
    for (std::size_t outer = 0; outer < line.outer; ++outer) {
      for (std::size_t inner = 0; inner < line.inner; ++inner) {
        float total = 0.0f;
        for (std::size_t i = 0; i < line.size; ++i) total += inputs[0][(outer * line.size + i) * line.inner + inner];
        outputs[0][outer * line.inner + inner] = total * factor;
      }
    }
  };
}

Line checked_reduction(cnmlDimension_t mode, cnmlTensor_t input, cnmlTensor_t output) {
  require(mode >= CNML_DIM_N && mode <= CNML_DIM_W, Fault::BAD_VALUE, "no such dimension");
  const Shape in = activation_shape(input, "input");
  Shape out = in;
  int* const sizes[] = {&out.n, &out.c, &out.h, &out.w};
  *sizes[mode] = 1;
  require_shape(activation_shape(output, "output"), out, "output");
  return line_along(in, static_cast<Axis>(mode));
}

cnmlStatus_t create_reduction(const char* function, const char* name, cnmlBaseOp_t* op, cnmlDimension_t mode,
                              cnmlTensor_t input, cnmlTensor_t output, bool mean) {
  return cnml_call(function, [&] {
    create_operator(op, {name,
                         {input},
                         {output},
                         {},
                         false,
                         [=] { checked_reduction(mode, input, output); },
                         [=] { return sum_kernel(checked_reduction(mode, input, output), mean); }});
  });
}

}  // namespace

cnmlStatus_t cnmlCreatePoolOpParam(cnmlPoolOpParam_t* param, int window_height, int window_width, int stride_height,
                                   int stride_width, int pad_height, int pad_width, int dilation_height,
                                   int dilation_width, cnmlPoolMode_t pool_mode, cnmlPoolStrategyMode_t strategy_mode,
                                   bool real) {
  return cnml_call("cnmlCreatePoolOpParam", [&] {
    require(window_height >= 1 && window_width >= 1, Fault::BAD_VALUE, "windows must have at least 1 x 1");
    require(stride_height >= 1 && stride_width >= 1, Fault::BAD_VALUE, "strides must be at least 1");
    require(pad_height == 0 && pad_width == 0, Fault::UNSUPPORTED,
            "what padding in a pool means is not known for sure; put an AddPad operator before it");
    const auto plain = [](int dilation) { return dilation == 0 || dilation == 1; };
    require(plain(dilation_height) && plain(dilation_width), Fault::UNSUPPORTED, "pools cannot be dilated");
    require(pool_mode == CNML_POOL_AVG || pool_mode == CNML_POOL_MAX, Fault::UNSUPPORTED, "pools are AVG or MAX");
    require(strategy_mode == CNML_POOL_KFULL || strategy_mode == CNML_POOL_KVALID, Fault::BAD_VALUE,
            "the strategy is KFULL or KVALID");
    require(!real, Fault::UNSUPPORTED, "what `real` means is not known; pass false");
    create(param,
           cnmlPoolOpParam{window_height, window_width, stride_height, stride_width, pool_mode, strategy_mode});
  });
}

cnmlStatus_t cnmlDestroyPoolOpParam(cnmlPoolOpParam_t* param) { return destroy("cnmlDestroyPoolOpParam", param); }

cnmlStatus_t cnmlGetPoolOpOutputDim(cnmlTensor_t input, cnmlPoolOpParam_t param, int* no, int* co, int* ho, int* wo) {
  return cnml_call("cnmlGetPoolOpOutputDim", [&] {
    require(no != nullptr && co != nullptr && ho != nullptr && wo != nullptr, Fault::BAD_VALUE, "a place is null");
    const Shape out = pooled_shape(activation_shape(input, "input"), object_at(param));
    *no = out.n;
    *co = out.c;
    *ho = out.h;
    *wo = out.w;
  });
}

cnmlStatus_t cnmlCreatePoolOp(cnmlBaseOp_t* op, cnmlPoolOpParam_t param, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreatePoolOp", [&] {
    const cnmlPoolOpParam numbers = object_at(param);
    create_operator(op, {"Pool",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { check_pool(numbers, input, output); },
                         [=] { return pool_kernel(numbers, object_at(input).shape); }});
  });
}

cnmlStatus_t cnmlCreateAddPadOpParam(cnmlAddPadOpParam_t* param, int pad_height, int pad_width, float pad_value) {
  return cnml_call("cnmlCreateAddPadOpParam", [&] {
    const int vertical = half_of_padding(pad_height, "the padding of the height");
    const int horizontal = half_of_padding(pad_width, "the padding of the width");
    create(param, cnmlAddPadOpParam{vertical, vertical, horizontal, horizontal, pad_value});
  });
}

cnmlStatus_t cnmlCreateAddPadOp4Param(cnmlAddPadOpParam_t* param, int pad_htop, int pad_hbottom, int pad_wleft,
                                      int pad_wright, float pad_value) {
  return cnml_call("cnmlCreateAddPadOp4Param", [&] {
    require(pad_htop >= 0 && pad_hbottom >= 0 && pad_wleft >= 0 && pad_wright >= 0, Fault::BAD_VALUE,
            "paddings must not be negative");
    create(param, cnmlAddPadOpParam{pad_htop, pad_hbottom, pad_wleft, pad_wright, pad_value});
  });
}

cnmlStatus_t cnmlDestroyAddPadOpParam(cnmlAddPadOpParam_t* param) { return destroy("cnmlDestroyAddPadOpParam", param); }

cnmlStatus_t cnmlCreateAddPadOp(cnmlBaseOp_t* op, cnmlAddPadOpParam_t param, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateAddPadOp", [&] {
    const cnmlAddPadOpParam pad = object_at(param);
    const auto check = [=] {
      const Shape in = activation_shape(input, "input");
      require_shape(activation_shape(output, "output"), padded_shape(in, pad), "output");
    };
    create_operator(op, {"AddPad", {input}, {output}, {}, false, check, [=] {
                           return padding_kernel(pad, object_at(input).shape);
                         }});
  });
}

cnmlStatus_t cnmlCreateLrnOpParam(cnmlLrnOpParam_t* param, cnmlLrnType_t type, int local_size, double alpha,
                                  double beta, double k) {
  return cnml_call("cnmlCreateLrnOpParam", [&] {
    require(type >= CNML_LRN_V1 && type <= CNML_LRN_V3, Fault::BAD_VALUE, "no such type of LRN");
    require(local_size >= 1 && local_size % 2 == 1, Fault::BAD_VALUE, "the size of LRN must be odd");
    create(param, cnmlLrnOpParam{type, local_size, alpha, beta, k});
  });
}

cnmlStatus_t cnmlDestroyLrnOpParam(cnmlLrnOpParam_t* param) { return destroy("cnmlDestroyLrnOpParam", param); }

cnmlStatus_t cnmlCreateLrnOp(cnmlBaseOp_t* op, cnmlLrnOpParam_t param, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateLrnOp", [&] {
    const cnmlLrnOpParam numbers = object_at(param);
    create_operator(op, {"Lrn",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { checked_lrn(input, output); },
                         [=] { return lrn_kernel(numbers, checked_lrn(input, output)); }});
  });
}

cnmlStatus_t cnmlCreateInterpOpParam(cnmlInterpOpParam_t* param, int output_width, int output_height,
                                     bool align_corners) {
  return cnml_call("cnmlCreateInterpOpParam", [&] {
    require(output_width >= 1 && output_height >= 1, Fault::BAD_VALUE, "the output must have at least 1 x 1");
    create(param, cnmlInterpOpParam{output_width, output_height, align_corners});
  });
}

cnmlStatus_t cnmlDestroyInterpOpParam(cnmlInterpOpParam_t* param) { return destroy("cnmlDestroyInterpOpParam", param); }

cnmlStatus_t cnmlCreateInterpOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlInterpOpParam_t param) {
  return cnml_call("cnmlCreateInterpOp", [&] {
    const cnmlInterpOpParam numbers = object_at(param);
    create_operator(op, {"Interp",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { check_interpolation(numbers, input, output); },
                         [=] { return interpolation_kernel(numbers, object_at(input).shape); }});
  });
}

cnmlStatus_t cnmlCreateSoftmaxOp(cnmlBaseOp_t* op, cnmlSoftmaxDim_t dim, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateSoftmaxOp", [&] {
    const Axis axis = softmax_axis(dim);
    const auto check = [=] {
      require_shape(activation_shape(output, "output"), activation_shape(input, "input"), "output");
    };
    create_operator(op, {"Softmax", {input}, {output}, {}, false, check, [=] {
                           return softmax_kernel(line_along(object_at(input).shape, axis));
                         }});
  });
}

cnmlStatus_t cnmlCreateReduceMeanOp(cnmlBaseOp_t* op, cnmlDimension_t mode, cnmlTensor_t input, cnmlTensor_t output) {
  return create_reduction("cnmlCreateReduceMeanOp", "ReduceMean", op, mode, input, output, true);
}

cnmlStatus_t cnmlCreateReduceSumOp(cnmlBaseOp_t* op, cnmlDimension_t mode, cnmlTensor_t input, cnmlTensor_t output) {
  return create_reduction("cnmlCreateReduceSumOp", "ReduceSum", op, mode, input, output, false);
}
