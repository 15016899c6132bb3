// Transposed convolution as plain ones: the output rows (columns) of one phase, those with the same remainder by the
// stride, meet every few kernel rows, and neighbouring ones meet neighbouring input rows.
#pragma once

namespace dlfusion {

// The kernel rows that reach one output row: `count` of them, the first meeting input row `top`, the next ones `dilation`
// rows further down. Their order is that of the input rows, against that of the kernel.
struct Phase {
  int count;
  int top;
  int dilation;
};

inline Phase transposed_phase(int output_row, int kernel, int stride, int dilation, int pad) {
  int divisor = stride;
  for (int rest = dilation; rest != 0;) {
    const int next = divisor % rest;
    divisor = rest;
    rest = next;
  }
  const int step = stride / divisor;
  for (int k = 0; k < step && k < kernel; ++k) {
    if ((output_row + pad - k * dilation) % stride == 0) {
      const int count = (kernel - 1 - k) / step + 1;
      return {count, (output_row + pad - (k + (count - 1) * step) * dilation) / stride, dilation / divisor};
    }
  }
  return {0, 0, 1};
}

}  // namespace dlfusion
