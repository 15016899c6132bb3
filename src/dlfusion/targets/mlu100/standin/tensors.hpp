// Descriptors of tensors, and the way between host data (any order, often float) and device data (NHWC, half).
#pragma once
#include <array>
#include <string>
#include <vector>

#include "state.hpp"

namespace standin {

struct Shape {
  int n;
  int c;
  int h;
  int w;

  std::size_t count() const {
    return static_cast<std::size_t>(n) * static_cast<std::size_t>(c) * static_cast<std::size_t>(h) *
           static_cast<std::size_t>(w);
  }
  bool operator==(const Shape& other) const {
    return n == other.n && c == other.c && h == other.h && w == other.w;
  }
  bool operator!=(const Shape& other) const { return !(*this == other); }
  std::string text() const {
    return std::to_string(n) + "x" + std::to_string(c) + "x" + std::to_string(h) + "x" + std::to_string(w);
  }
};

// The axes of a shape, as indices into arrays of four.
enum Axis { AXIS_N = 0, AXIS_C = 1, AXIS_H = 2, AXIS_W = 3 };

inline std::array<int, 4> sizes_of(const Shape& shape) { return {shape.n, shape.c, shape.h, shape.w}; }

// The axes from the outermost to the innermost. Fails if there is no such order.
std::array<int, 4> axes_of(cnmlDataOrder_t order);

// How far apart neighbours along n, c, h and w are, for data that lie in this order.
std::array<std::size_t, 4> strides_of(const Shape& shape, cnmlDataOrder_t order);

// Calls visit(offset along `from`, offset along `to`) for all elements, in the order n, h, w, c.
template <class Visit>
void for_each_element(const Shape& shape, const std::array<std::size_t, 4>& from, const std::array<std::size_t, 4>& to,
                      const Visit& visit) {
  const auto size = [](int extent) { return static_cast<std::size_t>(extent); };
  for (std::size_t n = 0; n < size(shape.n); ++n) {
    for (std::size_t h = 0; h < size(shape.h); ++h) {
      for (std::size_t w = 0; w < size(shape.w); ++w) {
        const std::size_t source = n * from[AXIS_N] + h * from[AXIS_H] + w * from[AXIS_W];
        const std::size_t target = n * to[AXIS_N] + h * to[AXIS_H] + w * to[AXIS_W];
        for (std::size_t c = 0; c < size(shape.c); ++c) visit(source + c * from[AXIS_C], target + c * to[AXIS_C]);
      }
    }
  }
}

// Bytes of one element. Fails for types that the stand-in does not store.
std::size_t element_bytes(cnmlDataType_t type);
float load_element(cnmlDataType_t type, const void* data, std::size_t index);
void store_element(cnmlDataType_t type, void* data, std::size_t index, float value);

// What a value becomes when a tensor of this type holds it.
float rounded_to(cnmlDataType_t type, float value);

}  // namespace standin

struct cnmlCpuTensor {
  static constexpr const char* KIND = "CPU tensor";
  cnmlDataType_t data_type;
  cnmlDataOrder_t order;
  standin::Shape shape;
};

struct cnmlTensor {
  static constexpr const char* KIND = "tensor";
  cnmlTensorType_t type;
  cnmlDataType_t data_type;
  standin::Shape shape;
  const void* host = nullptr;  // bound data of a constant; read when an operator that uses it is compiled
  cnmlDataType_t host_type = CNML_DATA_INVALID;
  cnmlDataOrder_t host_order = CNML_NCHW;

  std::size_t bytes() const { return shape.count() * standin::element_bytes(data_type); }
};

namespace standin {

// The values of a constant in the given order, as the device holds them. Fails if nothing is bound to it.
std::vector<float> constant_values(cnmlTensor_t tensor, cnmlDataOrder_t order, const char* what);

}  // namespace standin
