// Queues and notifiers.
#include "queue.hpp"

#include <chrono>
#include <string>
#include <utility>

struct cnrtNotifier {
  static constexpr const char* KIND = "notifier";
  cnrtQueue_t queue = nullptr;  // where it was placed last
  bool reached = false;
  double simulated_microseconds = 0.0;
  std::chrono::steady_clock::time_point time{};
};

namespace standin {
namespace {

constexpr std::size_t MOST_QUEUES = 1024;

bool any_overlaps(const std::vector<Range>& ranges, const Range& range) {
  for (const Range& other : ranges) {
    if (other.overlaps(range)) return true;
  }
  return false;
}

void synchronize(cnrtQueue& queue) {
  // Taken out first: if one fails, those behind it are lost, as they are on a device.
  const std::vector<Task> tasks = std::exchange(queue.tasks, {});
  for (const Task& task : tasks) task.run(queue);
}

}  // namespace

void require_written(const Range& range) {
  table<cnrtQueue>().each([&](cnrtQueue_t, const cnrtQueue& queue) {
    for (const Task& task : queue.tasks) {
      require(!any_overlaps(task.writes, range), Fault::WRONG_ORDER,
              "a call that waits in a queue will write to this buffer; call cnrtSyncQueue first");
    }
  });
}

void require_unused(const Range& range) {
  require_written(range);
  table<cnrtQueue>().each([&](cnrtQueue_t, const cnrtQueue& queue) {
    for (const Task& task : queue.tasks) {
      require(!any_overlaps(task.reads, range), Fault::WRONG_ORDER,
              "a call that waits in a queue will read this buffer; call cnrtSyncQueue first");
    }
  });
}

}  // namespace standin

using namespace standin;

cnrtRet_t cnrtCreateQueue(cnrtQueue_t* pQueue) {
  return cnrt_call("cnrtCreateQueue", [&] {
    require_device();
    require(table<cnrtQueue>().live() < MOST_QUEUES, Fault::OUT_OF_RANGE, "a device has at most 1024 queues");
    create(pQueue, cnrtQueue{});
  });
}

cnrtRet_t cnrtDestroyQueue(cnrtQueue_t queue) {
  return cnrt_call("cnrtDestroyQueue", [&] {
    require(object_at(queue).tasks.empty(), Fault::WRONG_ORDER, "calls wait in this queue; call cnrtSyncQueue first");
    table<cnrtQueue>().remove(queue);
  });
}

cnrtRet_t cnrtSyncQueue(cnrtQueue_t queue) {
  return cnrt_call("cnrtSyncQueue", [&] { synchronize(object_at(queue)); });
}

cnrtRet_t cnrtSyncDevice(void) {
  return cnrt_call("cnrtSyncDevice", [] {
    require_device();
    table<cnrtQueue>().each([](cnrtQueue_t, cnrtQueue& queue) { synchronize(queue); });
  });
}

cnrtRet_t cnrtCreateNotifier(cnrtNotifier_t* notifier) {
  return cnrt_call("cnrtCreateNotifier", [&] {
    require_device();
    create(notifier, cnrtNotifier{});
  });
}

cnrtRet_t cnrtDestroyNotifier(cnrtNotifier_t* notifier) {
  return cnrt_call("cnrtDestroyNotifier", [&] {
    require_argument(notifier, "the pointer to the handle");
    table<cnrtNotifier>().remove(*notifier);
    *notifier = nullptr;
  });
}

cnrtRet_t cnrtPlaceNotifier(cnrtNotifier_t notifier, cnrtQueue_t queue) {
  return cnrt_call("cnrtPlaceNotifier", [&] {
    cnrtNotifier& placed = object_at(notifier);
    cnrtQueue& target = object_at(queue);
    placed.queue = queue;
    placed.reached = false;
    target.tasks.push_back({[notifier](cnrtQueue& in) {
                              cnrtNotifier& reached = object_at(notifier);
                              reached.reached = true;
                              reached.simulated_microseconds = in.clock_microseconds;
                              reached.time = std::chrono::steady_clock::now();
                            },
                            {},
                            {}});
  });
}

cnrtRet_t cnrtNotifierDuration(cnrtNotifier_t start, cnrtNotifier_t end, float* us) {
  return cnrt_call("cnrtNotifierDuration", [&] {
    const cnrtNotifier& first = object_at(start);
    const cnrtNotifier& last = object_at(end);
    require_argument(us, "the place for the duration");
    require(first.reached && last.reached, Fault::WRONG_ORDER,
            "a notifier was not reached yet; place both and call cnrtSyncQueue first");
    require(first.queue == last.queue, Fault::BAD_VALUE, "the notifiers were placed in different queues");
    if (times_are_simulated()) {
      *us = static_cast<float>(last.simulated_microseconds - first.simulated_microseconds);
    } else {
      *us = std::chrono::duration<float, std::micro>(last.time - first.time).count();
    }
  });
}
