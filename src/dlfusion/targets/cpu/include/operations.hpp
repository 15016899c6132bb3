// The operations that epilogues are made of, as generated code names them: Epilogue<Add<Element>, Clip>.
#pragma once
#include "operands.hpp"
#include "power.hpp"

namespace dlfusion {

DLFUSION_INLINE Vector sum(Vector v, Vector other) { return v + other; }
DLFUSION_INLINE Vector difference(Vector v, Vector other) { return v - other; }
DLFUSION_INLINE Vector difference_from(Vector v, Vector other) { return other - v; }
DLFUSION_INLINE Vector product(Vector v, Vector other) { return v * other; }
DLFUSION_INLINE Vector quotient(Vector v, Vector other) { return v / other; }
DLFUSION_INLINE Vector quotient_of(Vector v, Vector other) { return other / v; }
DLFUSION_INLINE Vector power_of(Vector v, Vector other) { return power(other, v); }

// NaN on either side is the result.
DLFUSION_INLINE Vector larger(Vector v, Vector other) { return other == other ? at_least(v, other) : other; }
DLFUSION_INLINE Vector smaller(Vector v, Vector other) { return other == other ? at_most(v, other) : other; }

DLFUSION_INLINE Vector cube(Vector v) { return v * v * v; }
DLFUSION_INLINE Vector reciprocal(Vector v) { return 1.0f / v; }
DLFUSION_INLINE Vector limited(Vector v, float low, float high) {
  return at_most(at_least(v, broadcast(low)), broadcast(high));
}
DLFUSION_INLINE Vector limited_below(Vector v, float low, float) { return at_least(v, broadcast(low)); }
DLFUSION_INLINE Vector limited_above(Vector v, float high, float) { return at_most(v, broadcast(high)); }
DLFUSION_INLINE Vector hard_sigmoid(Vector v, float slope, float offset) {
  return limited(v * broadcast(slope) + broadcast(offset), 0.0f, 1.0f);
}
DLFUSION_INLINE Vector hard_swish(Vector v) { return v * hard_sigmoid(v, 1.0f / 6.0f, 0.5f); }
DLFUSION_INLINE Vector elu(Vector v, float height, float slope) {
  return v < Vector{} ? exponential_minus_one(v * slope) * height : v;
}
DLFUSION_INLINE Vector selu(Vector v, float height, float scale) {
  return v < Vector{} ? exponential_minus_one(v) * height : v * scale;
}
DLFUSION_INLINE Vector above_threshold(Vector v, float threshold, float) {
  return v > broadcast(threshold) ? v : Vector{};
}

template <class Operand>
using Add = Binary<sum, Operand>;
template <class Operand>
using Sub = Binary<difference, Operand>;
template <class Operand>
using SubFrom = Binary<difference_from, Operand>;
template <class Operand>
using Mul = Binary<product, Operand>;
template <class Operand>
using Div = Binary<quotient, Operand>;
template <class Operand>
using DivOf = Binary<quotient_of, Operand>;
template <class Operand>
using Pow = Binary<power, Operand>;
template <class Operand>
using PowOf = Binary<power_of, Operand>;
template <class Operand>
using Max = Binary<larger, Operand>;
template <class Operand>
using Min = Binary<smaller, Operand>;
template <class Operand>
using Leaky = Binary<leaky, Operand>;
template <class Operand>
using Swish = Binary<swish, Operand>;

using Abs = Unary<absolute>;
using Ceil = Unary<rounded_up>;
using Cube = Unary<cube>;
using Erf = Unary<error_function>;
using Exp = Unary<full_exponential>;
using Floor = Unary<rounded_down>;
using Gelu = Unary<gelu>;
using GeluByTanh = Unary<gelu_by_tanh>;
using HardSwish = Unary<hard_swish>;
using Log = Unary<full_logarithm>;
using Mish = Unary<mish>;
using Reciprocal = Unary<reciprocal>;
using Sigmoid = Unary<sigmoid>;
using Softplus = Unary<softplus>;
using Softsign = Unary<softsign>;
using Sqrt = Unary<square_root>;
using Tanh = Unary<hyperbolic_tangent>;

using AtLeast = UnaryOfNumbers<limited_below>;          // a <= v
using AtMost = UnaryOfNumbers<limited_above>;           // v <= a
using Clip = UnaryOfNumbers<limited>;                   // a <= v <= b
using Elu = UnaryOfNumbers<elu>;                        // v where v >= 0, else a (e^(b v) - 1)
using HardSigmoid = UnaryOfNumbers<hard_sigmoid>;       // a * v + b between 0 and 1
using Selu = UnaryOfNumbers<selu>;                      // b v where v >= 0, else a (e^v - 1)
using ThresholdedRelu = UnaryOfNumbers<above_threshold>;  // v where v > a, else 0

}  // namespace dlfusion
