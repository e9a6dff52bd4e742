#include "netgate/dns_message.h"

#include <cstring>

namespace liongate::netgate {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kOpcodeMask = 0x7800;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kRecursionAvailable = 0x0080;
constexpr std::uint16_t kPointerToQuestion = 0xc000 | kHeaderBytes;

std::uint16_t read16(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8 |
                                    std::to_integer<unsigned>(bytes[at + 1]));
}

void put16(std::vector<std::byte>& bytes, std::uint16_t number) {
  bytes.push_back(static_cast<std::byte>(number >> 8));
  bytes.push_back(static_cast<std::byte>(number & 0xff));
}

template <typename Bytes>
void put_record(std::vector<std::byte>& bytes, RecordType type, const Bytes& data) {
  put16(bytes, kPointerToQuestion);
  put16(bytes, static_cast<std::uint16_t>(type));
  put16(bytes, kClassInternet);
  put16(bytes, static_cast<std::uint16_t>(kDnsTtlSeconds >> 16));
  put16(bytes, static_cast<std::uint16_t>(kDnsTtlSeconds & 0xffff));
  put16(bytes, static_cast<std::uint16_t>(data.size()));
  for (const unsigned char byte : data) bytes.push_back(static_cast<std::byte>(byte));
}

}  // namespace

std::optional<Question> read_question(std::span<const std::byte> message) {
  if (message.size() < kHeaderBytes) return std::nullopt;
  const std::uint16_t flags = read16(message, 2);
  if ((flags & (kResponse | kOpcodeMask)) != 0 || read16(message, 4) != 1) return std::nullopt;
  Question question;
  question.id = read16(message, 0);
  question.recursion_desired = (flags & kRecursionDesired) != 0;
  std::size_t at = kHeaderBytes;
  for (;;) {
    if (at >= message.size()) return std::nullopt;
    const auto length = std::to_integer<std::size_t>(message[at++]);
    if (length == 0) break;
    if (length > kLabelBytesMax || at + length > message.size()) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    for (const std::byte byte : message.subspan(at, length)) {
      if (byte == std::byte{'.'}) return std::nullopt;
      question.name += static_cast<char>(byte);
    }
    if (question.name.size() > kNameBytesMax) return std::nullopt;
    at += length;
  }
  if (at + 4 > message.size() || read16(message, at + 2) != kClassInternet) return std::nullopt;
  question.type = read16(message, at);
  question.question.assign(message.begin() + kHeaderBytes, message.begin() + static_cast<std::ptrdiff_t>(at) + 4);
  return question;
}

std::vector<std::byte> make_answer(const Question& question, AnswerCode code, const std::optional<Address>& address) {
  const bool has_record =
      code == AnswerCode::kNoError && address &&
      question.type == static_cast<std::uint16_t>(address->is_v4() ? RecordType::kA : RecordType::kAaaa);
  std::vector<std::byte> bytes;
  put16(bytes, question.id);
  put16(bytes, static_cast<std::uint16_t>(kResponse | kRecursionAvailable |
                                          (question.recursion_desired ? kRecursionDesired : 0) |
                                          static_cast<std::uint16_t>(code)));
  put16(bytes, 1);
  put16(bytes, has_record ? 1 : 0);
  put16(bytes, 0);
  put16(bytes, 0);
  bytes.insert(bytes.end(), question.question.begin(), question.question.end());
  if (has_record && address->is_v4()) put_record(bytes, RecordType::kA, address->to_v4().to_bytes());
  if (has_record && address->is_v6()) put_record(bytes, RecordType::kAaaa, address->to_v6().to_bytes());
  return bytes;
}

}  // namespace liongate::netgate
