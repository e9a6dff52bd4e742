// The grammar of permissions: KIND[:ARGUMENT], one table of kinds.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/faults.h"
#include "config/manifest_parser.h"
#include "config/manifest_rules.h"

namespace liongate::config {
namespace {

enum class Argument { kNone, kPath, kOptionalHost, kVariable, kTopic, kPlugin, kSecret };

struct KindTraits {
  PermissionKind kind;
  std::string_view name;
  Argument argument;
  std::string_view example;
};

constexpr std::array kKinds{
    KindTraits{PermissionKind::kFsRead, "fs_read", Argument::kPath, "fs_read:./data"},
    KindTraits{PermissionKind::kFsWrite, "fs_write", Argument::kPath, "fs_write:./output"},
    KindTraits{PermissionKind::kNetwork, "network", Argument::kOptionalHost, "network:example.org:443"},
    KindTraits{PermissionKind::kEnv, "env", Argument::kVariable, "env:LANG"},
    KindTraits{PermissionKind::kProcess, "process", Argument::kNone, "process"},
    KindTraits{PermissionKind::kJit, "jit", Argument::kNone, "jit"},
    KindTraits{PermissionKind::kKv, "kv", Argument::kNone, "kv"},
    KindTraits{PermissionKind::kPublish, "publish", Argument::kTopic, "publish:orders"},
    KindTraits{PermissionKind::kSubscribe, "subscribe", Argument::kTopic, "subscribe:orders"},
    KindTraits{PermissionKind::kInvoke, "invoke", Argument::kPlugin, "invoke:hello"},
    KindTraits{PermissionKind::kSecret, "secret", Argument::kSecret, "secret:api_key"},
    KindTraits{PermissionKind::kForbidden, "forbidden", Argument::kNone, "forbidden"},
};

constexpr std::size_t kWordBytesMax = 255;

// Words people bring along from other systems; refused, with the way out.
constexpr std::array kForeignWords{
    std::pair{std::string_view("file.read"), std::string_view("fs_read")},
    std::pair{std::string_view("file.write"), std::string_view("fs_write")},
    std::pair{std::string_view("read"), std::string_view("fs_read")},
    std::pair{std::string_view("write"), std::string_view("fs_write")},
    std::pair{std::string_view("http"), std::string_view("network")},
    std::pair{std::string_view("internet"), std::string_view("network")},
    std::pair{std::string_view("exec"), std::string_view("process")},
    std::pair{std::string_view("subprocess"), std::string_view("process")},
    std::pair{std::string_view("spawn"), std::string_view("process")},
};

const KindTraits* find_kind(std::string_view name) {
  if (name == "net") name = "network";
  for (const KindTraits& row : kKinds) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string remedy_for_unknown(std::string_view word) {
  for (const auto& [foreign, ours] : kForeignWords) {
    if (foreign == word) return "did you mean `" + std::string(ours) + "`?";
  }
  std::vector<std::string> names{"net"};
  std::string all;
  for (const KindTraits& row : kKinds) {
    if (row.kind == PermissionKind::kForbidden) continue;
    names.emplace_back(row.name);
    all += (all.empty() ? "" : ", ") + std::string(row.name);
  }
  return suggestion(word, names, "the kinds are " + all);
}

bool consists_of(std::string_view text, std::string_view extra) {
  for (const char c : text) {
    const bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_alnum && extra.find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool is_port(std::string_view text) {
  return is_number_to(text, 65'535) && text.find_first_not_of('0') != std::string_view::npos;
}

// A final label of digits (or 0x...) is a number to some resolvers: then all of it has to be an address.
bool is_name_or_address(std::string_view host) {
  const std::size_t slash = host.find('/');
  std::array<std::byte, 4> address{};
  if (::inet_pton(AF_INET, std::string(host.substr(0, slash)).c_str(), address.data()) == 1) {
    return slash == std::string_view::npos || is_number_to(host.substr(slash + 1), 32);
  }
  std::string_view name = host.starts_with("*.") ? host.substr(2) : host;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > 253 || !consists_of(name, ".-_")) return false;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    if (end == begin || end - begin > 63 || name[begin] == '-') return false;
    begin = end + 1;
  }
  const std::string_view last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  const bool is_hex = last.starts_with("0x") || last.starts_with("0X");
  return last.find_first_not_of(is_hex ? "0123456789abcdefABCDEFxX" : "0123456789") != std::string_view::npos;
}

// HOST[:PORT]; a host is a name, a name below `*.`, an IPv4 address, an IPv6 address in brackets, or /BITS of either.
bool is_host(std::string_view text) {
  std::string_view host = text;
  std::string_view after;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    std::array<std::byte, 16> address{};
    if (::inet_pton(AF_INET6, std::string(text.substr(1, end - 1)).c_str(), address.data()) != 1) return false;
    after = text.substr(end + 1);
    if (after.starts_with('/')) {
      const std::size_t colon = after.find(':');
      if (!is_number_to(after.substr(1, colon == std::string_view::npos ? colon : colon - 1), 128)) return false;
      after = colon == std::string_view::npos ? "" : after.substr(colon);
    }
  } else {
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon != std::string_view::npos) after = text.substr(colon);
    if (!is_name_or_address(host)) return false;
  }
  return after.empty() || (after.starts_with(':') && is_port(after.substr(1)));
}

bool argument_is_valid(Argument wanted, std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  }
  switch (wanted) {
    case Argument::kNone:
      return text.empty();
    case Argument::kPath:
      return text.size() <= kPathBytesMax;
    case Argument::kOptionalHost:
      return text.size() <= kWordBytesMax && is_host(text);
    case Argument::kVariable:
      return text.size() <= kWordBytesMax && consists_of(text, "_") && !(text[0] >= '0' && text[0] <= '9');
    case Argument::kTopic:
      return text.size() <= kWordBytesMax && consists_of(text, "._-/*");
    case Argument::kPlugin:
      return text == "*" || is_plugin_name(text);
    case Argument::kSecret:
      return is_secret_name(text);
  }
  return false;
}

}  // namespace

bool is_secret_name(std::string_view text) {
  return !text.empty() && text.size() <= kWordBytesMax && consists_of(text, "._-") && text != "." && text != "..";
}

namespace {

// "./data/" and "./data" are one path; nothing else is normalised here, because `..` has a meaning only on the disk.
std::string normal_path(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

}  // namespace

Result<Permission> parse_permission(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  const KindTraits* traits = find_kind(word);
  if (traits == nullptr) {
    return make_error(Reason::kUnknownPermission, "unknown permission `" + std::string(text) + "`")
        .with_hint(remedy_for_unknown(word));
  }
  Permission permission;
  permission.kind = traits->kind;
  permission.text = std::string(text);
  const std::string example = "write it like `" + std::string(traits->example) + "`";
  if (colon == std::string_view::npos) {
    if (traits->argument != Argument::kNone && traits->argument != Argument::kOptionalHost) {
      return make_error(Reason::kInvalidManifest, "permission `" + std::string(text) + "` needs an argument")
          .with_hint(example);
    }
    return permission;
  }
  const std::string_view argument = text.substr(colon + 1);
  if (traits->argument == Argument::kNone) {
    return make_error(Reason::kInvalidManifest, "permission `" + std::string(word) + "` takes no argument")
        .with_hint(example);
  }
  if (argument.empty() || !argument_is_valid(traits->argument, argument)) {
    return make_error(Reason::kInvalidManifest, "permission `" + std::string(text) + "` has an invalid argument")
        .with_hint(example);
  }
  permission.argument = traits->argument == Argument::kPath ? normal_path(argument) : std::string(argument);
  return permission;
}

std::string canonical_text(const Permission& permission) {
  std::string text(name_of(permission.kind));
  return permission.argument.empty() ? text : text + ":" + permission.argument;
}

PatternFault check_permission_pattern(std::string_view pattern) {
  const std::string_view word = pattern.substr(0, pattern.find(':'));
  // With a wildcard in the kind it may mean several; those are not looked into.
  if (word.find_first_of("*?") != std::string_view::npos) return {};
  const KindTraits* traits = find_kind(word);
  if (traits == nullptr) {
    return {"`" + std::string(pattern) + "` names no kind of permission", remedy_for_unknown(word)};
  }
  if (traits->name != word) {
    return {"`" + std::string(pattern) + "` never matches: the canonical spelling counts",
            "write `" + std::string(traits->name) + std::string(pattern.substr(word.size())) + "`"};
  }
  if (traits->kind == PermissionKind::kForbidden) {
    return {"`forbidden` is refused whatever a rule says", "remove it"};
  }
  const bool has_argument = word.size() < pattern.size();
  if (traits->argument == Argument::kNone && has_argument) {
    return {"`" + std::string(pattern) + "` never matches: `" + std::string(word) + "` has no argument",
            "write `" + std::string(word) + "`"};
  }
  if (traits->argument != Argument::kNone && traits->argument != Argument::kOptionalHost && !has_argument) {
    return {"`" + std::string(pattern) + "` never matches: `" + std::string(word) + "` has an argument",
            "write `" + std::string(word) + ":*`"};
  }
  return {};
}

std::string_view name_of(PermissionKind kind) {
  for (const KindTraits& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return "forbidden";
}

}  // namespace liongate::config
