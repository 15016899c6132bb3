// Tensors, constants, and copies between host and device.
#include "tensors.hpp"

#include <cmath>
#include <cstring>

#include "half.hpp"
#include "memory.hpp"
#include "queue.hpp"

namespace standin {
namespace {

void require_type(cnmlTensorType_t type) {
  require(type >= CNML_TENSOR && type <= CNML_CONST, Fault::BAD_VALUE, "no such type of tensor");
}

void require_sizes(const Shape& shape) {
  require(shape.n > 0 && shape.c > 0 && shape.h > 0 && shape.w > 0, Fault::BAD_SHAPE,
          "sizes must be positive, but are " + shape.text());
}

void require_same_shape(const cnmlTensor& device, const cnmlCpuTensor& host) {
  require(device.shape == host.shape, Fault::BAD_SHAPE,
          "the device tensor is " + device.shape.text() + ", the CPU tensor " + host.shape.text());
}

void* allocate_batch(const char* function, cnmlTensor_t tensor, int data_parallelism) {
  void* address = nullptr;
  cnml_call(function, [&] {
    require_device();
    const cnmlTensor& described = object_at(tensor);
    require(described.type == CNML_TENSOR, Fault::BAD_VALUE,
            "filters and constants need no buffer: the library stores them with the operator");
    require_ways(data_parallelism);
    address = allocate_on_device(described.bytes() * static_cast<std::size_t>(data_parallelism));
    require(address != nullptr, Fault::NO_MEMORY, "the device has no room for " + described.shape.text());
  });
  return address;
}

// Everything that a copy needs to know; the data of all ways lie one behind the other on both sides.
struct Copy {
  Shape shape;
  cnmlDataType_t host_type;
  cnmlDataType_t device_type;
  cnmlDataOrder_t host_order;
  std::size_t ways;
  std::size_t device_bytes;  // of all ways
};

Copy described_copy(cnmlTensor_t device_tensor, cnmlCpuTensor_t cpu_tensor, const void* host, int data_parallelism) {
  require_device();
  const cnmlTensor& device = object_at(device_tensor);
  const cnmlCpuTensor& cpu = object_at(cpu_tensor);
  require_same_shape(device, cpu);
  require_ways(data_parallelism);
  require_argument(host, "the host's address");
  const auto ways = static_cast<std::size_t>(data_parallelism);
  return {device.shape, cpu.data_type, device.data_type, cpu.order, ways, ways * device.bytes()};
}

cnmlStatus_t copy_to_device(const char* function, cnmlCpuTensor_t cpu_tensor, const void* src, cnmlTensor_t tensor,
                            void* dst, int data_parallelism) {
  return cnml_call(function, [&] {
    const Copy copy = described_copy(tensor, cpu_tensor, src, data_parallelism);
    std::uint8_t* const target = device_bytes(dst, copy.device_bytes, "destination");
    require_unused(range_of(dst, copy.device_bytes));
    const std::size_t count = copy.shape.count();
    for (std::size_t way = 0; way < copy.ways; ++way) {
      for_each_element(copy.shape, strides_of(copy.shape, copy.host_order), strides_of(copy.shape, CNML_NHWC),
                       [&](std::size_t from, std::size_t to) {
                         store_element(copy.device_type, target, way * count + to,
                                       load_element(copy.host_type, src, way * count + from));
                       });
    }
  });
}

cnmlStatus_t copy_to_host(const char* function, cnmlTensor_t tensor, const void* src, cnmlCpuTensor_t cpu_tensor,
                          void* dst, int data_parallelism) {
  return cnml_call(function, [&] {
    const Copy copy = described_copy(tensor, cpu_tensor, dst, data_parallelism);
    const std::uint8_t* const source = device_bytes(src, copy.device_bytes, "source");
    require_written(range_of(src, copy.device_bytes));
    const std::size_t count = copy.shape.count();
    for (std::size_t way = 0; way < copy.ways; ++way) {
      for_each_element(copy.shape, strides_of(copy.shape, CNML_NHWC), strides_of(copy.shape, copy.host_order),
                       [&](std::size_t from, std::size_t to) {
                         store_element(copy.host_type, dst, way * count + to,
                                       load_element(copy.device_type, source, way * count + from));
                       });
    }
  });
}

}  // namespace

std::array<int, 4> axes_of(cnmlDataOrder_t order) {
  static const char AXES[] = "NCHW";
  static const char* const NAMES[] = {"NCHW", "NCWH", "NHCW", "NHWC", "NWHC", "NWCH", "CNHW", "CNWH",
                                      "CHNW", "CHWN", "CWHN", "CWNH", "HCNW", "HCWN", "HNCW", "HNWC",
                                      "HWNC", "HWCN", "WCHN", "WCNH", "WHCN", "WHNC", "WNHC", "WNCH"};
  const int index = static_cast<int>(order);
  require(index >= 0 && index < 24, Fault::BAD_VALUE, "no such data order: " + std::to_string(index));
  std::array<int, 4> axes{};
  for (std::size_t place = 0; place < 4; ++place) {
    axes[place] = static_cast<int>(std::strchr(AXES, NAMES[index][place]) - AXES);
  }
  return axes;
}

std::array<std::size_t, 4> strides_of(const Shape& shape, cnmlDataOrder_t order) {
  const std::array<int, 4> axes = axes_of(order), sizes = sizes_of(shape);
  std::array<std::size_t, 4> strides{};
  std::size_t stride = 1;
  for (std::size_t place = 4; place-- > 0;) {
    const auto axis = static_cast<std::size_t>(axes[place]);
    strides[axis] = stride;
    stride *= static_cast<std::size_t>(sizes[axis]);
  }
  return strides;
}

std::size_t element_bytes(cnmlDataType_t type) {
  switch (type) {
    case CNML_DATA_FLOAT16:
      return sizeof(std::uint16_t);
    case CNML_DATA_FLOAT32:
      return sizeof(float);
    case CNML_DATA_UINT8:
      return sizeof(std::uint8_t);
    default:
      fail(Fault::BAD_TYPE, "the stand-in has FLOAT16, FLOAT32 and UINT8, not data type " + std::to_string(type));
  }
}

float load_element(cnmlDataType_t type, const void* data, std::size_t index) {
  const auto* const bytes = static_cast<const std::uint8_t*>(data);
  if (type == CNML_DATA_UINT8) return bytes[index];
  if (type == CNML_DATA_FLOAT16) {
    std::uint16_t half;
    std::memcpy(&half, bytes + index * sizeof half, sizeof half);
    return half_to_float(half);
  }
  float value;
  std::memcpy(&value, bytes + index * sizeof value, sizeof value);
  return value;
}

void store_element(cnmlDataType_t type, void* data, std::size_t index, float value) {
  auto* const bytes = static_cast<std::uint8_t*>(data);
  if (type == CNML_DATA_UINT8) {
    // Written so that NaN becomes 0.
    const float clipped = value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f;
    bytes[index] = static_cast<std::uint8_t>(std::nearbyint(clipped));
  } else if (type == CNML_DATA_FLOAT16) {
    const std::uint16_t half = float_to_half(value);
    std::memcpy(bytes + index * sizeof half, &half, sizeof half);
  } else {
    std::memcpy(bytes + index * sizeof value, &value, sizeof value);
  }
}

float rounded_to(cnmlDataType_t type, float value) {
  return type == CNML_DATA_FLOAT16 ? rounded_to_half(value) : value;
}

std::vector<float> constant_values(cnmlTensor_t tensor, cnmlDataOrder_t order, const char* what) {
  const cnmlTensor& constant = object_at(tensor);
  require(constant.host != nullptr, Fault::WRONG_ORDER,
          std::string(what) + ": no data are bound to this constant; call cnmlBindConstData before compiling");
  std::vector<float> values(constant.shape.count());
  if (order == constant.host_order) {
    for (std::size_t index = 0; index < values.size(); ++index) {
      values[index] = rounded_to(constant.data_type, load_element(constant.host_type, constant.host, index));
    }
    return values;
  }
  for_each_element(constant.shape, strides_of(constant.shape, constant.host_order), strides_of(constant.shape, order),
                   [&](std::size_t from, std::size_t to) {
                     values[to] = rounded_to(constant.data_type, load_element(constant.host_type, constant.host, from));
                   });
  return values;
}

}  // namespace standin

using namespace standin;

cnmlStatus_t cnmlCreateTensor(cnmlTensor_t* tensor, cnmlTensorType_t tensor_type, cnmlDataType_t data_type, int n,
                              int c, int h, int w) {
  return cnml_call("cnmlCreateTensor", [&] {
    const Shape shape{n, c, h, w};
    require_type(tensor_type);
    require_sizes(shape);
    element_bytes(data_type);
    cnmlTensor object{};
    object.type = tensor_type;
    object.data_type = data_type;
    object.shape = shape;
    create(tensor, object);
  });
}

cnmlStatus_t cnmlDestroyTensor(cnmlTensor_t* tensor) { return destroy("cnmlDestroyTensor", tensor); }

cnmlStatus_t cnmlSetTensorDataType(cnmlTensor_t tensor, cnmlDataType_t dtype) {
  return cnml_call("cnmlSetTensorDataType", [&] {
    element_bytes(dtype);
    object_at(tensor).data_type = dtype;
  });
}

cnmlDataType_t cnmlGetTensorDataType(cnmlTensor_t tensor) {
  cnmlDataType_t type = CNML_DATA_INVALID;
  cnml_call("cnmlGetTensorDataType", [&] { type = object_at(tensor).data_type; });
  return type;
}

cnmlStatus_t cnmlSetTensorShape(cnmlTensor_t tensor, int dim_num, int dim_values[]) {
  return cnml_call("cnmlSetTensorShape", [&] {
    require(dim_num == 4, Fault::BAD_SHAPE, "tensors have 4 dimensions, not " + std::to_string(dim_num));
    require_argument(dim_values, "the sizes");
    const Shape shape{dim_values[0], dim_values[1], dim_values[2], dim_values[3]};
    require_sizes(shape);
    cnmlTensor& changed = object_at(tensor);
    require(changed.host == nullptr, Fault::WRONG_ORDER, "data of another shape are bound to this constant");
    changed.shape = shape;
  });
}

void cnmlGetTensorShape(cnmlTensor_t tensor, int* shape) {
  cnml_call("cnmlGetTensorShape", [&] {
    require_argument(shape, "the place for the shape");
    const std::array<int, 4> sizes = sizes_of(object_at(tensor).shape);
    for (std::size_t axis = 0; axis < 4; ++axis) shape[axis] = sizes[axis];
  });
}

size_t cnmlGetTensorSize(cnmlTensor_t tensor) {
  std::size_t bytes = 0;
  cnml_call("cnmlGetTensorSize", [&] { bytes = object_at(tensor).bytes(); });
  return bytes;
}

cnmlStatus_t cnmlCreateCpuTensor(cnmlCpuTensor_t* cpu_tensor, cnmlTensorType_t tensor_type, cnmlDataType_t data_type,
                                 cnmlDataOrder_t data_order, int n, int c, int h, int w) {
  return cnml_call("cnmlCreateCpuTensor", [&] {
    const Shape shape{n, c, h, w};
    require_type(tensor_type);
    require_sizes(shape);
    element_bytes(data_type);
    axes_of(data_order);
    create(cpu_tensor, cnmlCpuTensor{data_type, data_order, shape});
  });
}

cnmlStatus_t cnmlDestroyCpuTensor(cnmlCpuTensor_t* cpu_tensor) { return destroy("cnmlDestroyCpuTensor", cpu_tensor); }

cnmlStatus_t cnmlBindConstData(cnmlTensor_t tensor, cnmlCpuTensor_t cpu_tensor, void* cpu_tensor_ptr) {
  return cnml_call("cnmlBindConstData", [&] {
    cnmlTensor& constant = object_at(tensor);
    const cnmlCpuTensor& cpu = object_at(cpu_tensor);
    require(constant.type != CNML_TENSOR, Fault::BAD_VALUE,
            "data are bound to CNML_FILTER and CNML_CONST tensors only");
    require_same_shape(constant, cpu);
    require_argument(cpu_tensor_ptr, "the data");
    constant.host = cpu_tensor_ptr;
    constant.host_type = cpu.data_type;
    constant.host_order = cpu.order;
  });
}

void* cnmlMallocBuffer(cnmlTensor_t tensor) { return allocate_batch("cnmlMallocBuffer", tensor, 1); }

void* cnmlMallocBatchBuffer(cnmlTensor_t tensor, int data_parallelism) {
  return allocate_batch("cnmlMallocBatchBuffer", tensor, data_parallelism);
}

cnmlStatus_t cnmlMemcpyTensorToDevice(cnmlCpuTensor_t cpu_tensor, void* src, cnmlTensor_t cnml_tensor, void* dst) {
  return copy_to_device("cnmlMemcpyTensorToDevice", cpu_tensor, src, cnml_tensor, dst, 1);
}

cnmlStatus_t cnmlMemcpyBatchTensorToDevice(cnmlCpuTensor_t cpu_tensor, void* src, cnmlTensor_t cnml_tensor, void* dst,
                                           int data_parallelism) {
  return copy_to_device("cnmlMemcpyBatchTensorToDevice", cpu_tensor, src, cnml_tensor, dst, data_parallelism);
}

cnmlStatus_t cnmlMemcpyTensorToHost(cnmlTensor_t cnml_tensor, void* src, cnmlCpuTensor_t cpu_tensor, void* dst) {
  return copy_to_host("cnmlMemcpyTensorToHost", cnml_tensor, src, cpu_tensor, dst, 1);
}

cnmlStatus_t cnmlMemcpyBatchTensorToHost(cnmlTensor_t cnml_tensor, void* src, cnmlCpuTensor_t cpu_tensor, void* dst,
                                         int data_parallelism) {
  return copy_to_host("cnmlMemcpyBatchTensorToHost", cnml_tensor, src, cpu_tensor, dst, data_parallelism);
}
