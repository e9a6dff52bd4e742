// The doors of a sandbox's network: a namespace in which every address is the sandbox's own, and sockets of ours that
// hear what is sent there.
//
// Two routes say that all of IPv4 and IPv6 is local, so that a program may connect to any address and always meets
// what listens here. The sockets are made inside and given away: whoever accepts on them (liongate-netgate, outside)
// learns by the accepted socket's own address where the program wanted to go. Nothing leads out of the namespace but
// that. For each port there are a listening TCP socket and a UDP socket, in this order, in the order of the ports.
//
// They are bound to both protocols where the kernel has IPv6, else to IPv4 alone.
//
// Ownership and thread: the sandbox's pid 1, before it gives its rights up.
#pragma once

#include <vector>

#include "sandbox/launch_protocol.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {

// Where every permission names a port: so many others that the program comes to are shown to the gate, which refuses
// them and tells it.
inline constexpr std::size_t kSparesForRefusals = 8;

// Opens the doors at `ports` and sends them to the launcher, and behind them `spares` pairs that are bound to nothing
// (sandbox/doorbell.h). A failure ends the set-up.
void open_gate(const std::vector<GatePort>& ports, std::size_t spares, SetupReporter& reporter);

// Binds a spare socket to `port`, and listens where it is one of TCP. False, with errno, where it cannot.
bool open_at(int socket, std::uint16_t port);

}  // namespace liongate::sandbox
