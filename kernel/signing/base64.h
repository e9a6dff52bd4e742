// Base64 with padding, strictly: a text that is not the one encoding of its bytes is refused.
//
// Ownership and thread: pure functions. Errors: nothing, where the text is none.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernel/signing/secret.h"

namespace liongate::signing {

std::string to_base64(std::span<const std::byte> bytes);

// Exactly as many bytes as `bytes` holds are expected; false where it is otherwise.
bool from_base64(std::string_view text, std::span<std::byte> bytes);

// The same for what must leave no copy behind.
Secret to_secret_base64(std::span<const std::byte> bytes);

}  // namespace liongate::signing
