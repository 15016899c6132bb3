// SHA-256 of a range of bytes (FIPS 180-4), to tell a damaged weights file from a sound one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dlfusion {

class Sha256 {
 public:
  // Writes the digest of `bytes` as 64 lower-case hexadecimal digits and a terminating zero.
  static void hexadecimal(const unsigned char* bytes, std::size_t count, char text[65]) {
    Sha256 digest;
    std::size_t whole = count / 64 * 64;
    for (std::size_t offset = 0; offset < whole; offset += 64) digest.add_block(bytes + offset);

    // The message ends with a one bit, zeros, and its length in bits as a big-endian 64-bit number.
    unsigned char tail[128] = {};
    const std::size_t rest = count - whole;
    if (rest > 0) std::memcpy(tail, bytes + whole, rest);
    tail[rest] = 0x80;
    const std::size_t tail_bytes = rest < 56 ? 64 : 128;
    for (int byte = 0; byte < 8; byte++) {
      tail[tail_bytes - 1 - byte] = static_cast<unsigned char>((std::uint64_t{count} * 8) >> (8 * byte));
    }
    for (std::size_t offset = 0; offset < tail_bytes; offset += 64) digest.add_block(tail + offset);

    for (int digit = 0; digit < 64; digit++) {
      text[digit] = "0123456789abcdef"[(digest.state_[digit / 8] >> (28 - 4 * (digit % 8))) & 15];
    }
    text[64] = '\0';
  }

 private:
  static std::uint32_t rotate(std::uint32_t value, int count) { return (value >> count) | (value << (32 - count)); }

  void add_block(const unsigned char* block) {
    std::uint32_t words[64];
    for (int i = 0; i < 16; i++) {
      const unsigned char* byte = block + 4 * i;
      words[i] = std::uint32_t{byte[0]} << 24 | std::uint32_t{byte[1]} << 16 | std::uint32_t{byte[2]} << 8 | byte[3];
    }
    for (int i = 16; i < 64; i++) {
      const std::uint32_t near = words[i - 2], far = words[i - 15];
      words[i] = words[i - 16] + words[i - 7] + (rotate(far, 7) ^ rotate(far, 18) ^ (far >> 3)) +
                 (rotate(near, 17) ^ rotate(near, 19) ^ (near >> 10));
    }
    std::uint32_t v[8];
    std::memcpy(v, state_, sizeof(v));
    for (int i = 0; i < 64; i++) {
      const std::uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                                  ((v[4] & v[5]) ^ (~v[4] & v[6])) + ROUND_CONSTANTS[i] + words[i];
      const std::uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                                   ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      for (int j = 7; j > 0; j--) v[j] = v[j - 1];
      v[4] += first;
      v[0] = first + second;
    }
    for (int i = 0; i < 8; i++) state_[i] += v[i];
  }

  static constexpr std::uint32_t ROUND_CONSTANTS[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

}  // namespace dlfusion
