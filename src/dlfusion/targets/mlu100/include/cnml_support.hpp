// What programs that call CNML and CNRT need around the calls: every status is checked, and what the libraries hand out
// has an owner that gives it back on every path.
#pragma once
#include <cnml.h>

#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace dlfusion {

// A call of the libraries that failed; the text says which one, for what, and the status by name.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The name of a status, for which CNML has no function.
inline const char* status_name(cnmlStatus_t status) {
  switch (status) {
    case CNML_STATUS_NODEVICE: return "CNML_STATUS_NODEVICE";
    case CNML_STATUS_SUCCESS: return "CNML_STATUS_SUCCESS";
    case CNML_STATUS_DOMAINERR: return "CNML_STATUS_DOMAINERR";
    case CNML_STATUS_INVALIDARG: return "CNML_STATUS_INVALIDARG";
    case CNML_STATUS_LENGTHERR: return "CNML_STATUS_LENGTHERR";
    case CNML_STATUS_OUTOFRANGE: return "CNML_STATUS_OUTOFRANGE";
    case CNML_STATUS_RANGEERR: return "CNML_STATUS_RANGEERR";
    case CNML_STATUS_OVERFLOWERR: return "CNML_STATUS_OVERFLOWERR";
    case CNML_STATUS_UNDERFLOWERR: return "CNML_STATUS_UNDERFLOWERR";
    case CNML_STATUS_INVALIDPARAM: return "CNML_STATUS_INVALIDPARAM";
    case CNML_STATUS_BADALLOC: return "CNML_STATUS_BADALLOC";
    case CNML_STATUS_BADTYPEID: return "CNML_STATUS_BADTYPEID";
    case CNML_STATUS_BADCAST: return "CNML_STATUS_BADCAST";
    case CNML_STATUS_UNSUPPORT: return "CNML_STATUS_UNSUPPORT";
  }
  return "an unknown status";
}

// "" or what failed: `call` for the thing called `object`.
inline std::string problem(cnmlStatus_t status, const std::string& call, const std::string& object) {
  if (status == CNML_STATUS_SUCCESS) return "";
  return call + " for " + object + " failed: " + status_name(status) + " (" + std::to_string(status) + ")";
}

inline std::string problem(cnrtRet_t status, const std::string& call, const std::string& object) {
  if (status == CNRT_RET_SUCCESS) return "";
  return call + " for " + object + " failed: " + cnrtGetErrorStr(status) + " (" + std::to_string(status) + ")";
}

// Throws Failure unless the status is success.
template <typename Status>
void check(Status status, const std::string& call, const std::string& object) {
  const std::string text = problem(status, call, object);
  if (!text.empty()) throw Failure(text);
}

// For clean-up, which cannot throw and has nobody to return a status to.
template <typename Status>
void check_cleanup(Status status, const char* call) noexcept {
  const std::string text = problem(status, call, "an object at the end of its life");
  if (!text.empty()) std::fprintf(stderr, "%s\n", text.c_str());
}

// Owns an object of CNML; `call` is the name of the function that destroys it.
template <typename T, cnmlStatus_t (*destroy)(T*)>
class Handle {
 public:
  explicit Handle(const char* call) : call_(call) {}
  Handle(Handle&& other) noexcept : call_(other.call_), value_(std::exchange(other.value_, nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != nullptr) check_cleanup(destroy(&value_), call_);
  }

  T get() const { return value_; }
  // Where a function that creates the object stores it.
  T* address() { return &value_; }

 private:
  const char* call_;
  T value_ = nullptr;
};

// A share in the library, which is initialized once for all contexts of the process and left with the last of them.
class Library {
 public:
  Library() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (users_ == 0) check(cnmlInit(0), "cnmlInit", "the process");
    ++users_;
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--users_ == 0) check_cleanup(cnmlExit(), "cnmlExit");
  }

 private:
  inline static std::mutex mutex_;
  inline static int users_ = 0;
};

// The first device of the machine.
class Device {
 public:
  Device() {
    unsigned int count = 0;
    check(cnrtGetDeviceCount(&count), "cnrtGetDeviceCount", "the machine");
    if (count == 0) throw Failure("cnrtGetDeviceCount found no device: check the driver and the board");
    check(cnrtGetDeviceHandle(&handle_, 0), "cnrtGetDeviceHandle", "device 0");
    make_current();
  }

  // To be called in every thread that uses the device: which one is current belongs to the thread.
  void make_current() const { check(cnrtSetCurrentDevice(handle_), "cnrtSetCurrentDevice", "device 0"); }
  void make_current_for_cleanup() const noexcept { check_cleanup(cnrtSetCurrentDevice(handle_), "cnrtSetCurrentDevice"); }

 private:
  cnrtDev_t handle_ = 0;
};

// A sequence of computations, which the device runs in order.
class Queue {
 public:
  Queue() { check(cnrtCreateQueue(&handle_), "cnrtCreateQueue", "the model"); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() { check_cleanup(cnrtDestroyQueue(handle_), "cnrtDestroyQueue"); }

  cnrtQueue_t get() const { return handle_; }
  void synchronize() const { check(cnrtSyncQueue(handle_), "cnrtSyncQueue", "the model"); }
  void synchronize_for_cleanup() const noexcept { check_cleanup(cnrtSyncQueue(handle_), "cnrtSyncQueue"); }

 private:
  cnrtQueue_t handle_ = nullptr;
};

// A mark in a queue that remembers when the device reached it.
class Notifier {
 public:
  Notifier() { check(cnrtCreateNotifier(&handle_), "cnrtCreateNotifier", "the model"); }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  ~Notifier() { check_cleanup(cnrtDestroyNotifier(&handle_), "cnrtDestroyNotifier"); }

  void place(const Queue& queue) const {
    check(cnrtPlaceNotifier(handle_, queue.get()), "cnrtPlaceNotifier", "the model");
  }

  // Microseconds from this mark to a later one; the queue must have been synchronized.
  float microseconds_to(const Notifier& later) const {
    float duration = 0;
    check(cnrtNotifierDuration(handle_, later.handle_, &duration), "cnrtNotifierDuration", "the model");
    return duration;
  }

 private:
  cnrtNotifier_t handle_ = nullptr;
};

// Memory of the device for one tensor, as often as there are data-parallel ways.
class Buffer {
 public:
  Buffer(cnmlTensor_t tensor, int data_parallelism, const std::string& name)
      : address_(cnmlMallocBatchBuffer(tensor, data_parallelism)) {
    if (address_ == nullptr) throw Failure("cnmlMallocBatchBuffer for " + name + " failed: no memory on the device");
  }
  Buffer(Buffer&& other) noexcept : address_(std::exchange(other.address_, nullptr)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (address_ != nullptr) check_cleanup(cnmlFreeBuffer(address_), "cnmlFreeBuffer");
  }

  void* address() const { return address_; }

 private:
  void* address_;
};

}  // namespace dlfusion
