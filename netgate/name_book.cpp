#include "netgate/name_book.h"

namespace liongate::netgate {
namespace {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

constexpr std::uint32_t kFirstIpv4 = 0xc6120000;  // 198.18.0.0, of a range that is kept for measuring networks
constexpr std::uint32_t kNumberMask = 0x0001ffff;
constexpr std::uint32_t kFirstNumber = 16;  // those before are ours
constexpr std::uint32_t kDnsNumber = 1;
constexpr address_v6::bytes_type kIpv6Prefix{0xfd, 0x6c, 0x69, 0x6f, 0x6e, 0x67};

std::optional<std::uint32_t> number_at(const Address& address) {
  if (address.is_v4()) {
    const std::uint32_t number = address.to_v4().to_uint();
    if ((number & ~kNumberMask) != kFirstIpv4) return std::nullopt;
    return number & kNumberMask;
  }
  const auto bytes = address.to_v6().to_bytes();
  for (std::size_t index = 0; index < 12; ++index) {
    if (bytes[index] != kIpv6Prefix[index]) return std::nullopt;
  }
  return static_cast<std::uint32_t>(bytes[12]) << 24 | static_cast<std::uint32_t>(bytes[13]) << 16 |
         static_cast<std::uint32_t>(bytes[14]) << 8 | bytes[15];
}

}  // namespace

std::optional<std::uint32_t> NameBook::enter(const std::string& name) {
  if (const auto found = numbers_.find(name); found != numbers_.end()) return found->second;
  if (names_.size() >= kNamesMax) return std::nullopt;
  const auto number = kFirstNumber + static_cast<std::uint32_t>(names_.size());
  names_.push_back(name);
  numbers_.emplace(name, number);
  return number;
}

void NameBook::set_place(const std::string& name, Place place) {
  if (place.addresses.empty() || !numbers_.contains(name)) {
    places_.erase(name);
    return;
  }
  if (place.addresses.size() > kAddressesMax) place.addresses.resize(kAddressesMax);
  places_[name] = std::move(place);
}

const NameBook::Place* NameBook::place(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &found->second;
}

const std::string* NameBook::name_at(const Address& address) const {
  const auto number = number_at(plain(address));
  if (!number || *number < kFirstNumber || *number - kFirstNumber >= names_.size()) return nullptr;
  return &names_[*number - kFirstNumber];
}

Address NameBook::ipv4_of(std::uint32_t number) {
  return address_v4(kFirstIpv4 | number);
}

Address NameBook::ipv6_of(std::uint32_t number) {
  address_v6::bytes_type bytes = kIpv6Prefix;
  for (std::size_t index = 0; index < 4; ++index) bytes[15 - index] = static_cast<unsigned char>(number >> (8 * index));
  return address_v6(bytes);
}

Address NameBook::dns_address() {
  return ipv4_of(kDnsNumber);
}

bool NameBook::is_ours(const Address& address) {
  return number_at(plain(address)).has_value();
}

}  // namespace liongate::netgate
