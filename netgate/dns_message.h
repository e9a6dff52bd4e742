// Questions and answers of DNS (RFC 1035), as far as a stub for one sandbox needs them: one question in, addresses out.
//
// A question is read from bytes that a plugin chose: everything is bounded by the message, names are not followed
// through pointers (a question has no reason to hold one). An answer repeats the question's name as it was spelled, so
// that clients that mix upper and lower case find it again.
//
// Ownership and thread: plain values; pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netgate/grants.h"

namespace liongate::netgate {

inline constexpr std::size_t kDnsMessageBytesMax = 4096;  // larger ones are not read
inline constexpr std::uint32_t kDnsTtlSeconds = 30;

enum class RecordType : std::uint16_t { kA = 1, kAaaa = 28 };
enum class AnswerCode : std::uint8_t { kNoError = 0, kServerFailure = 2, kNameError = 3, kNotImplemented = 4 };

struct Question {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;                 // with dots, as it was spelled; labels may hold any byte but a dot
  std::uint16_t type = 0;           // of RecordType, or another
  std::vector<std::byte> question;  // its bytes, to be repeated
};

// Nothing for what is no query with exactly one question of the internet.
std::optional<Question> read_question(std::span<const std::byte> message);

// With an address: one A or AAAA record of it, if the question asked for that type; else no record.
std::vector<std::byte> make_answer(const Question& question, AnswerCode code, const std::optional<Address>& address);

}  // namespace liongate::netgate
