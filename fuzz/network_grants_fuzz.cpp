// Feeds what a manifest may say after `network:`. What is taken names a host in one way: asking with any text never
// fails, and no address that is nobody's public one is granted by a name.
#include <cstddef>
#include <cstdint>
#include <string>

#include "netgate/grants.h"

using namespace liongate::netgate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto grants = Grants::parse({text});
  if (!grants) return 0;
  if (const auto name = canonical_name(text)) (void)grants->allows_name(*name, 80);
  (void)grants->ports();
  (void)grants->allows_address(boost::asio::ip::make_address("10.0.0.1"), 80);
  return 0;
}
