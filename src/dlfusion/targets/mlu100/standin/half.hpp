// Conversion between float and the 16-bit floating point format of the device (IEEE 754 binary16).
#pragma once
#include <cstdint>
#include <cstring>

namespace standin {

// The nearest half to `value`, ties to the even one; too large values become infinite, NaN stays NaN.
inline std::uint16_t float_to_half(float value) {
  constexpr std::uint32_t INFINITE = 0x7f800000, OVERFLOWS = 0x477ff000, SMALLEST_NORMAL = 0x38800000;
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  bits &= 0x7fffffff;
  if (bits > INFINITE) return static_cast<std::uint16_t>(sign | 0x7e00 | ((bits >> 13) & 0x1ff));
  if (bits >= OVERFLOWS) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (bits < SMALLEST_NORMAL) {
    // Between 0.5 and 1 floats are 2^-24 apart, as subnormal halves are: the addition rounds to a multiple of that.
    float shifted;
    std::memcpy(&shifted, &bits, sizeof shifted);
    shifted += 0.5f;
    std::memcpy(&bits, &shifted, sizeof bits);
    return static_cast<std::uint16_t>(sign | (bits - 0x3f000000));
  }
  const std::uint32_t odd = (bits >> 13) & 1;
  bits -= std::uint32_t{127 - 15} << 23;
  bits += 0xfff + odd;
  return static_cast<std::uint16_t>(sign | (bits >> 13));
}

// The value of a half, which every float can hold.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
  std::uint32_t bits;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * (1.0f / 16777216.0f);
    std::memcpy(&bits, &magnitude, sizeof bits);
  } else if (exponent == 31) {
    bits = 0x7f800000 | (mantissa << 13);
  } else {
    bits = ((exponent + 127 - 15) << 23) | (mantissa << 13);
  }
  bits |= sign;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float rounded_to_half(float value) { return half_to_float(float_to_half(value)); }

}  // namespace standin
