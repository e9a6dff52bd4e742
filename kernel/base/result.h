// A value or an Error, never silently discarded; spelled like std::expected, which this compiler does not have.
//
// Ownership and thread: a plain value. Reading the side that is not there is a broken invariant and aborts.
#pragma once

#include <utility>
#include <variant>

#include "kernel/base/assert.h"
#include "kernel/base/error.h"

namespace liongate {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & {
    LG_ASSERT(has_value());
    return std::get<0>(state_);
  }
  const T& value() const& {
    LG_ASSERT(has_value());
    return std::get<0>(state_);
  }
  T&& value() && {
    LG_ASSERT(has_value());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & {
    LG_ASSERT(!has_value());
    return std::get<1>(state_);
  }
  const Error& error() const& {
    LG_ASSERT(!has_value());
    return std::get<1>(state_);
  }
  Error&& error() && {
    LG_ASSERT(!has_value());
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return error_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  Error& error() & {
    LG_ASSERT(!has_value());
    return std::get<1>(error_);
  }
  const Error& error() const& {
    LG_ASSERT(!has_value());
    return std::get<1>(error_);
  }
  Error&& error() && {
    LG_ASSERT(!has_value());
    return std::get<1>(std::move(error_));
  }

 private:
  std::variant<std::monostate, Error> error_;
};

#define LG_CONCAT_INNER(a, b) a##b
#define LG_CONCAT(a, b) LG_CONCAT_INNER(a, b)

// LG_TRY(expression): returns the error of a Result from the enclosing function, drops the value.
#define LG_TRY(expression)                                                                 \
  do {                                                                                     \
    if (auto lg_result_ = (expression); !lg_result_) return std::move(lg_result_).error(); \
  } while (false)

// LG_ASSIGN(auto name, expression): declares or assigns `name` from a Result, or returns its error.
#define LG_ASSIGN(target, expression) LG_ASSIGN_INNER(LG_CONCAT(lg_result_, __LINE__), target, expression)
#define LG_ASSIGN_INNER(temporary, target, expression) \
  auto temporary = (expression);                       \
  if (!temporary) return std::move(temporary).error(); \
  target = std::move(temporary).value()

}  // namespace liongate
