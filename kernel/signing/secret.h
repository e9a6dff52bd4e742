// Private keys and the text they are stored as: bytes that are wiped when they are no longer needed.
//
// Ownership and thread: see kernel/base/secret_bytes.h.
#pragma once

#include "kernel/base/secret_bytes.h"

namespace liongate::signing {

using Secret = SecretBytes;

}  // namespace liongate::signing
