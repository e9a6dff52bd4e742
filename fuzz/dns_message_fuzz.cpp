// Feeds what a plugin may send to its resolver. A question that is read is repeated in its answer byte for byte, its
// name is bounded, and a name of it is canonical or none; nothing is read beyond the message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "netgate/dns_message.h"

using namespace liongate::netgate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> message(reinterpret_cast<const std::byte*>(data), size);
  const auto question = read_question(message);
  if (!question) return 0;
  if (question->name.size() > kNameBytesMax) std::abort();
  if (const auto name = canonical_name(question->name); name && canonical_name(*name) != name) std::abort();
  const auto answer = make_answer(*question, AnswerCode::kNoError, boost::asio::ip::make_address("198.18.0.16"));
  if (answer.size() < 12 + question->question.size()) std::abort();
  for (std::size_t at = 0; at < question->question.size(); ++at) {
    if (answer[12 + at] != message[12 + at]) std::abort();
  }
  return 0;
}
