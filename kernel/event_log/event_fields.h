// The few fields of a serialised event that filters and footers look at, found without decoding the rest.
//
// Ownership and thread: pure functions; an EventFields points into the bytes it was read from. Errors: bytes that are
// no event answer with false.
#pragma once

#include <string>
#include <string_view>

#include "liongate/v1/event.pb.h"

namespace liongate::event_log {

struct EventFields {
  std::string_view type;
  std::string_view plugin_id;
  std::string_view plugin_name;
  std::string_view correlation_id;
  std::string_view actor;
  std::string_view payload;  // the serialised payload message
  int payload_field = 0;     // its number in Event
  bool from_observer = false;
};
bool read_fields(std::string_view event, EventFields& fields);

// Calls `visit(std::string_view)` for each field of the payload that may hold text: strings and bytes, and nested
// messages as they are serialised. Execution ids and figures are none: they would fill every filter with chance.
template <typename Visit>
bool for_each_text(const EventFields& fields, Visit visit);

// Whether `text` occurs in a string or bytes field of the event's payload, at any depth; what is no text for
// for_each_text is none here.
bool payload_has_text(const v1::Event& event, const std::string& text);

namespace wire {

enum class Kind : unsigned char { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Walks the fields of one serialised message. Here, because a footer is made of every event: nearly all tags and
// lengths are one byte, and that must cost next to nothing.
class FieldWalk {
 public:
  explicit FieldWalk(std::string_view message) : at_(message.data()), end_(message.data() + message.size()) {}

  // Steps to the next field; false at the end, or where the bytes are no message: `broken` tells which.
  bool next() {
    if (at_ == end_) return false;
    std::uint64_t tag = 0;
    if (!varint(tag) || tag >> 3 == 0 || tag >> 3 > kFieldMax) return give_up();
    field_ = static_cast<int>(tag >> 3);
    kind_ = static_cast<Kind>(tag & 7U);
    if (kind_ != Kind::kBytes) return skip_number() || give_up();
    std::uint64_t size = 0;
    if (!varint(size) || !skip(size)) return give_up();
    bytes_ = {at_ - size, static_cast<std::size_t>(size)};
    return true;
  }
  bool broken() const { return broken_; }
  int field() const { return field_; }
  bool is_bytes() const { return kind_ == Kind::kBytes; }
  std::string_view bytes() const { return bytes_; }

 private:
  static constexpr std::uint64_t kFieldMax = 536'870'911;

  bool varint(std::uint64_t& value) {
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80U) {
      value = static_cast<unsigned char>(*at_++);
      return true;
    }
    return long_varint(value);
  }
  bool long_varint(std::uint64_t& value);
  bool skip(std::uint64_t count) {
    if (count > static_cast<std::uint64_t>(end_ - at_)) return false;
    at_ += count;
    return true;
  }
  bool skip_number();
  bool give_up() {
    broken_ = true;
    return false;
  }

  const char* at_;
  const char* end_;
  int field_ = 0;
  Kind kind_ = Kind::kVarint;
  std::string_view bytes_;
  bool broken_ = false;
};

// Fields of a payload that hold no text, by the payload's number and their own.
bool is_textless(int payload_field, int field);

}  // namespace wire

template <typename Visit>
bool for_each_text(const EventFields& fields, Visit visit) {
  wire::FieldWalk walk(fields.payload);
  while (walk.next()) {
    if (walk.is_bytes() && !wire::is_textless(fields.payload_field, walk.field())) visit(walk.bytes());
  }
  return !walk.broken();
}

}  // namespace liongate::event_log
