// The walk of one core down its band of a block. The plan's row arithmetic (dlfusion/plans/schedule.py) does exactly the
// same when code is generated, to find how many rows each line buffer must hold.
#pragma once

namespace dlfusion {

// Rows [begin, end).
struct Range {
  int begin;
  int end;
};

// floor(a / b) for b > 0. Products of row numbers need more than 32 bits in maps of a hundred thousand rows.
constexpr int floor_divide(long a, long b) { return static_cast<int>(a / b - (a % b < 0)); }

// One past the last input row read for output rows that end at `end` (dlfusion/ops/window.py).
constexpr int window_end(long end, long multiplier, long last_offset, long divisor = 1) {
  return floor_divide((end - 1) * multiplier + last_offset, divisor) + 1;
}

constexpr int smaller(int a, int b) { return a < b ? a : b; }
constexpr int larger(int a, int b) { return a > b ? a : b; }

// One image's share of a core's band: the clock's first and last value (rows of the block's tallest output), the rows
// that each layer must produce, and the rows of each stored value that this core owns.
template <int LAYERS, int STORES>
struct Segment {
  int image;
  int start;
  int end;
  Range layers[LAYERS];
  Range owned[STORES > 0 ? STORES : 1];
};

// How far a layer has come on its way through a segment.
struct Progress {
  int from;
  int to;
  int end;

  explicit Progress(Range range) : from(range.begin), to(range.begin), end(range.end) {}

  // Makes [from, to) the rows to produce now: up to `due`, or all that are left if this is the last step.
  bool advance(int due, bool last) {
    from = to;
    to = last ? end : smaller(due, end);
    if (to < from) to = from;
    return to > from;
  }
};

}  // namespace dlfusion
