#include "netgate/grants.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace liongate::netgate {
namespace {

std::optional<unsigned> number_of(std::string_view text, unsigned maximum) {
  unsigned number = 0;
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || rest != text.data() + text.size() || number > maximum) return std::nullopt;
  return number;
}

std::optional<Address> address_of(std::string_view text) {
  boost::system::error_code fault;
  const Address address = boost::asio::ip::make_address(std::string(text), fault);
  // A zone names an interface of one machine; nothing here is one.
  if (fault || text.find('%') != std::string_view::npos) return std::nullopt;
  return plain(address);
}

Network network_of(const char* text) {
  return *parse_network(text);
}

bool is_in(const Address& address, const std::vector<Network>& networks) {
  return std::ranges::any_of(networks, [&](const Network& network) { return network.contains(address); });
}

// A label that begins with a digit and is a number in some notation: decimal, octal, hexadecimal.
bool is_number(std::string_view label) {
  const bool is_hex = label.starts_with("0x");
  const std::string_view digits = is_hex ? label.substr(2) : label;
  return std::ranges::all_of(digits,
                             [is_hex](char c) { return (c >= '0' && c <= '9') || (is_hex && c >= 'a' && c <= 'f'); });
}

struct HostAndPort {
  std::string host;  // with the bits of a network, without the brackets of an IPv6 address
  std::optional<std::string_view> port;
};

HostAndPort split(std::string_view text) {
  std::string host;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    const std::string_view rest = end == std::string_view::npos ? "?" : text.substr(end + 1);
    // As it is: no name and no address begins with a bracket.
    if (!rest.empty() && rest[0] != ':' && rest[0] != '/') return {std::string(text), std::nullopt};
    host = text.substr(1, end - 1);
    text = rest;
  }
  const std::size_t colon = text.find(':');
  host += text.substr(0, colon);
  if (colon == std::string_view::npos) return {host, std::nullopt};
  return {host, text.substr(colon + 1)};
}

constexpr unsigned kWideIpv4Bits = 8;
constexpr unsigned kWideIpv6Bits = 32;

bool covers(const Network& network, const Address& address) {
  const bool is_wide = network.bits < (network.base.is_v4() ? kWideIpv4Bits : kWideIpv6Bits);
  return network.contains(address) && (!is_wide || is_public(address));
}

}  // namespace

Address plain(const Address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

bool Network::contains(const Address& address) const {
  const Address other = plain(address);
  if (other.is_v4() != base.is_v4()) return false;
  const auto same = [this](const auto& a, const auto& b) {
    for (unsigned bit = 0; bit < bits; bit += 8) {
      const unsigned left = std::min(bits - bit, 8U);
      const auto mask = static_cast<unsigned char>(0xff << (8 - left));
      if ((a[bit / 8] & mask) != (b[bit / 8] & mask)) return false;
    }
    return true;
  };
  return base.is_v4() ? same(base.to_v4().to_bytes(), other.to_v4().to_bytes())
                      : same(base.to_v6().to_bytes(), other.to_v6().to_bytes());
}

std::optional<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto base = address_of(text.substr(0, slash));
  if (!base) return std::nullopt;
  const unsigned all = base->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Network{*base, all};
  const auto bits = number_of(text.substr(slash + 1), all);
  if (!bits) return std::nullopt;
  return Network{*base, *bits};
}

std::optional<std::string> canonical_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kNameBytesMax) return std::nullopt;
  std::string name;
  std::size_t label_begin = 0;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool is_letter =
        (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '-' || lower == '_';
    if (!is_letter && lower != '.') return std::nullopt;
    if (lower == '.') {
      if (name.size() == label_begin) return std::nullopt;
      label_begin = name.size() + 1;
    }
    name += lower;
    if (name.size() - std::min(label_begin, name.size()) > kLabelBytesMax) return std::nullopt;
  }
  if (is_number(std::string_view(name).substr(label_begin))) return std::nullopt;
  return name;
}

bool is_public(const Address& address) {
  static const std::vector<Network> kNot = {
      network_of("0.0.0.0/8"),      network_of("10.0.0.0/8"),     network_of("100.64.0.0/10"),
      network_of("127.0.0.0/8"),    network_of("169.254.0.0/16"), network_of("172.16.0.0/12"),
      network_of("192.0.0.0/24"),   network_of("192.0.2.0/24"),   network_of("192.88.99.0/24"),
      network_of("192.168.0.0/16"), network_of("198.18.0.0/15"),  network_of("198.51.100.0/24"),
      network_of("203.0.113.0/24"), network_of("224.0.0.0/4"),    network_of("240.0.0.0/4"),
      network_of("::/8"),           network_of("64:ff9b::/96"),   network_of("64:ff9b:1::/48"),
      network_of("100::/64"),       network_of("2001::/23"),      network_of("2001:db8::/32"),
      network_of("2002::/16"),      network_of("3fff::/20"),      network_of("5f00::/16"),
      network_of("fc00::/7"),       network_of("fe80::/10"),      network_of("fec0::/10"),
      network_of("ff00::/8"),
  };
  return !is_in(plain(address), kNot);
}

bool is_metadata(const Address& address) {
  static const std::vector<Network> kMetadata = {network_of("169.254.169.254"), network_of("169.254.170.2"),
                                                 network_of("100.100.100.200"), network_of("fd00:ec2::254")};
  return is_in(plain(address), kMetadata);
}

Result<Grants> Grants::parse(const std::vector<std::string>& texts) {
  Grants grants;
  for (const std::string& text : texts) {
    const auto refused = [&text](const std::string& why) {
      return make_error(Reason::kInvalidManifest, "permission `network:" + text + "`: " + why)
          .with_hint(
              "write it like `network:example.org:443`, `network:*.example.org`, `network:192.0.2.7:5432`, "
              "`network:[2001:db8::7]:443` or `network:10.1.0.0/16:5432`");
    };
    Grant grant;
    if (!text.empty()) {
      const HostAndPort parts = split(text);
      if (parts.port) {
        const auto number = number_of(*parts.port, 65'535);
        if (!number || *number == 0) return refused("a port is a number from 1 to 65535");
        grant.port = static_cast<std::uint16_t>(*number);
      }
      if (const auto network = parse_network(parts.host)) {
        grant.kind = Kind::kNetwork;
        grant.network = *network;
      } else {
        const bool below = parts.host.starts_with("*.");
        const auto name = canonical_name(std::string_view(parts.host).substr(below ? 2 : 0));
        if (!name) return refused("the host is neither a name nor an address");
        grant.kind = below ? Kind::kBelow : Kind::kName;
        grant.name = *name;
      }
    }
    grants.grants_.push_back(std::move(grant));
  }
  return grants;
}

bool Grants::names(const Grant& grant, const std::string& name) {
  switch (grant.kind) {
    case Kind::kEverything:
      return name != kHostLoopback;
    case Kind::kName:
      return grant.name == name;
    case Kind::kBelow:
      return name.size() > grant.name.size() + 1 && name.ends_with(grant.name) &&
             name[name.size() - grant.name.size() - 1] == '.';
    case Kind::kNetwork:
      return false;
  }
  return false;
}

bool Grants::allows_name(const std::string& name) const {
  return std::ranges::any_of(grants_, [&](const Grant& grant) { return names(grant, name); });
}

bool Grants::allows_name(const std::string& name, std::uint16_t port) const {
  return std::ranges::any_of(
      grants_, [&](const Grant& grant) { return names(grant, name) && (grant.port == 0 || grant.port == port); });
}

bool Grants::allows_address(const Address& address, std::uint16_t port) const {
  return std::ranges::any_of(grants_, [&](const Grant& grant) {
    if (grant.port != 0 && grant.port != port) return false;
    if (grant.kind == Kind::kEverything) return is_public(address);
    return grant.kind == Kind::kNetwork && covers(grant.network, address);
  });
}

bool Grants::names_address(const Address& address) const {
  return std::ranges::any_of(
      grants_, [&](const Grant& grant) { return grant.kind == Kind::kNetwork && covers(grant.network, address); });
}

std::vector<std::uint16_t> Grants::ports() const {
  std::vector<std::uint16_t> ports;
  for (const Grant& grant : grants_) {
    if (grant.port != 0) ports.push_back(grant.port);
  }
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  return ports;
}

bool Grants::any_port() const {
  return std::ranges::any_of(grants_, [](const Grant& grant) { return grant.port == 0; });
}

}  // namespace liongate::netgate
