// Queues: calls wait in them until the program synchronizes.
#pragma once
#include <functional>
#include <vector>

#include "memory.hpp"
#include "state.hpp"

namespace standin {

// One call that waits. Its work is done when the queue is synchronized and not before, so that a program that reads
// results too early does not happen to find them.
struct Task {
  std::function<void(cnrtQueue& queue)> run;
  std::vector<Range> reads;
  std::vector<Range> writes;
};

// Fails if a call that waits in some queue will write to the range: results are not there yet.
void require_written(const Range& range);
// Fails if a call that waits in some queue will read or write the range.
void require_unused(const Range& range);

}  // namespace standin

struct cnrtQueue {
  static constexpr const char* KIND = "queue";
  std::vector<standin::Task> tasks;
  double clock_microseconds = 0.0;  // the sum of the simulated times of all operators so far
};
