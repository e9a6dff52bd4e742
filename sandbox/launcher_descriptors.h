// The descriptors liongate-launcher is started with by the daemon. With --service a service manager starts it and
// descriptor 3 is the connection that brings both.
//
// Ownership and thread: constants.
#pragma once

namespace liongate::sandbox {

inline constexpr int kLauncherControlFd =
    3;                                      // Launch, Kill, CheckHost and their reports; end of file ends the launcher
inline constexpr int kLauncherFilesFd = 4;  // Open and Opened

}  // namespace liongate::sandbox
