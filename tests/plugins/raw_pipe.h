// Frames over fd 3 and 4 with nothing in the way: for test programs that must be able to send what no SDK would.
//
// Ownership and thread: borrows the two descriptors; one thread.
// Errors: any failure ends the program with exit code 70, so that a test sees that the plugin itself was at fault.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "liongate/v1/frame.pb.h"

namespace liongate::tests {

inline constexpr int kInputFd = 3;
inline constexpr int kOutputFd = 4;

// The next frame from the daemon; false at the end of the input.
bool read_frame(v1::Frame& frame);

void write_frame(const v1::Frame& frame);

// Any bytes at all; what they mean is the caller's business.
void write_raw(std::string_view bytes);

// Four little-endian bytes that claim a frame of this length.
std::string frame_header(std::uint32_t length);

}  // namespace liongate::tests
