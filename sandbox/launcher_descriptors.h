// The descriptors liongate-launcher is started with.
//
// Ownership and thread: constants.
#pragma once

namespace liongate::sandbox {

inline constexpr int kLauncherControlFd =
    3;                                      // Launch, Kill, CheckHost and their reports; end of file ends the launcher
inline constexpr int kLauncherFilesFd = 4;  // Open and Opened

}  // namespace liongate::sandbox
