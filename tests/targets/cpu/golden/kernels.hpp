// The kernels that this model calls, each compiled in a file of its own (avx512).
#pragma once
#include "conv_1x1_halves.hpp"
#include "conv_blocked.hpp"
#include "conv_first.hpp"
#include "convert.hpp"
#include "pool.hpp"

namespace dlfusion {
extern template void conv_1x1_halves<3, 8, 0, 1, Epilogue<>>(const Conv1x1Shape&, const Call&);
extern template void conv_blocked<2, 8, 0, 0, 1, Epilogue<Add<Element>>>(const ConvShape&, const Call&);
extern template void conv_blocked<3, 8, 0, 0, 1, Epilogue<AtLeast>>(const ConvShape&, const Call&);
extern template void conv_first<2, 11, 0, 1, 1, Epilogue<AtLeast>>(const PlanarShape&, const Call&);
extern template void convert<Blocked, Planar>(const ConvertShape&, const Call&);
extern template void convert<Planar, Planar>(const ConvertShape&, const Call&);
extern template void pool<Blocked, Maximum, Epilogue<>>(const PoolShape&, const Call&);
}  // namespace dlfusion
