// What all parts of the stand-in share: faults, the way into every call, and the tables of live handles.
//
// This is a functional stand-in for the CNML and CNRT libraries of Cambricon's MLU100, written by us from public facts;
// no part of it is the vendor's. It lets generated programs be linked, run and checked on a computer without the board.
//
// Environment variables: DLFUSION_STANDIN_STRICT=1 makes a process that leaks end with a status other than 0,
// DLFUSION_STANDIN_VERBOSE=1 says on stderr why calls fail, DLFUSION_STANDIN_TIMES names a file with the simulated time
// of each operator (a macro of that name, defined where the stand-in is compiled, does the same).
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cnml.h"

namespace standin {

static_assert(sizeof(void*) == 8, "handles and device addresses are numbers that no 64-bit host maps");

constexpr int DEVICE_CORES = 32;

// What can be wrong with a call. Both libraries' status codes derive from it.
enum class Fault {
  NOT_INITIALIZED,
  NO_DEVICE,
  BAD_HANDLE,
  BAD_POINTER,
  BAD_VALUE,
  BAD_SHAPE,
  BAD_TYPE,
  TOO_SMALL,
  OUT_OF_RANGE,
  NO_MEMORY,
  UNSUPPORTED,
  WRONG_ORDER,
};

cnmlStatus_t cnml_status(Fault fault);
cnrtRet_t cnrt_status(Fault fault);

// Thrown by checks; it never leaves the library.
struct Failure {
  Fault fault;
  std::string text;
};

[[noreturn]] inline void fail(Fault fault, std::string text) { throw Failure{fault, std::move(text)}; }

inline void require(bool condition, Fault fault, const std::string& text) {
  if (!condition) fail(fault, text);
}

template <class Pointer>
void require_argument(Pointer* pointer, const char* what) {
  require(pointer != nullptr, Fault::BAD_VALUE, std::string(what) + " is null");
}

// Held during every call: the stand-in may be used from several threads, one call at a time.
std::mutex& library_lock();
// Prints why a call failed if DLFUSION_STANDIN_VERBOSE is 1.
void report(const char* function, const Failure& failure);
// Remembers what cnrtGetLastErr returns in this thread.
void remember(cnrtRet_t code);

// Runs the body of a library call; returns what was wrong with it, if anything was.
template <class Body>
std::optional<Fault> guarded(const char* function, const Body& body) {
  const std::lock_guard<std::mutex> lock(library_lock());
  try {
    body();
    return std::nullopt;
  } catch (const Failure& failure) {
    report(function, failure);
    return failure.fault;
  } catch (const std::bad_alloc&) {
    report(function, {Fault::NO_MEMORY, "the host has no memory left"});
    return Fault::NO_MEMORY;
  }
}

void require_initialized();
void require_device();

template <class Body>
cnmlStatus_t cnml_call(const char* function, const Body& body) {
  const std::optional<Fault> fault = guarded(function, [&] {
    require_initialized();
    body();
  });
  return fault ? cnml_status(*fault) : CNML_STATUS_SUCCESS;
}

template <class Body>
cnrtRet_t cnrt_call(const char* function, const Body& body) {
  const std::optional<Fault> fault = guarded(function, [&] {
    require_initialized();
    body();
  });
  const cnrtRet_t code = fault ? cnrt_status(*fault) : CNRT_RET_SUCCESS;
  if (fault) remember(code);
  return code;
}

// --- handles -------------------------------------------------------------------------------------------------------

// A kind of thing that a program creates and must destroy.
class Leakable {
 public:
  explicit Leakable(const char* kind);
  virtual ~Leakable() = default;
  virtual std::size_t live() const = 0;
  virtual void clear() = 0;
  const char* kind() const { return kind_; }

 private:
  const char* kind_;
};

// A number that is neither a host address nor any other handle. It is never given out again, so that a handle that was
// destroyed is always recognized.
std::uintptr_t new_handle();

// All live objects of one type. A handle is only a key: a program that reads through it crashes, as on a real device's.
template <class Object>
class Table final : public Leakable {
 public:
  Table() : Leakable(Object::KIND) {}

  Object* add(std::unique_ptr<Object> object) {
    Object* const handle = reinterpret_cast<Object*>(new_handle());
    objects_.emplace(handle, std::move(object));
    return handle;
  }

  Object& at(Object* handle) const {
    const auto found = objects_.find(handle);
    require(found != objects_.end(), Fault::BAD_HANDLE,
            std::string(Object::KIND) + (handle == nullptr ? " is null" : " is unknown or was destroyed"));
    return *found->second;
  }

  void remove(Object* handle) {
    at(handle);
    objects_.erase(handle);
  }

  template <class Visit>
  void each(const Visit& visit) const {
    for (const auto& [handle, object] : objects_) visit(handle, *object);
  }

  std::size_t live() const override { return objects_.size(); }
  void clear() override { objects_.clear(); }

 private:
  std::unordered_map<Object*, std::unique_ptr<Object>> objects_;
};

// The one table of a type. It is never freed: leaks are still looked for after static objects are gone.
template <class Object>
Table<Object>& table() {
  static Table<Object>* const only = new Table<Object>;
  return *only;
}

template <class Object>
Object& object_at(Object* handle) {
  return table<Object>().at(handle);
}

template <class Object>
void create(Object** handle, Object object) {
  require_argument(handle, "the place for the handle");
  *handle = table<Object>().add(std::make_unique<Object>(std::move(object)));
}

// Destroys an object unless `check`, which is given it, fails.
template <class Object, class Check>
cnmlStatus_t destroy(const char* function, Object** handle, const Check& check) {
  return cnml_call(function, [&] {
    require_argument(handle, "the pointer to the handle");
    check(object_at(*handle));
    table<Object>().remove(*handle);
    *handle = nullptr;
  });
}

template <class Object>
cnmlStatus_t destroy(const char* function, Object** handle) {
  return destroy(function, handle, [](const Object&) {});
}

// --- simulated times -----------------------------------------------------------------------------------------------

// The time of the operator that is compiled next, from the file of times; nothing where notifiers measure. After the
// last comes the first again, since a process may compile its operators several times.
std::optional<double> next_operator_microseconds();

// Whether a file of times was given, so that notifiers report simulated time.
bool times_are_simulated();

// Stack memory that tasks may use, in MB.
unsigned int stack_megabytes();

}  // namespace standin
