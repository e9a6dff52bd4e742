// The names of all types of events: Event.type of event.proto, which says what each means.
//
// For whoever reads a name that a person wrote and does not know the messages themselves; a test holds the list against
// event.proto.
#pragma once

#include <string_view>

namespace liongate {

inline constexpr std::string_view kEventTypes[] = {
    "DaemonStarted",      "DaemonStopping",      "DaemonStopped",       "LogRecovered",       "PluginLoaded",
    "PluginLoadFailed",   "PluginStarted",       "PluginStopping",      "PluginStopped",      "PluginUnloaded",
    "PluginReloaded",     "PluginFailed",        "InstanceCreated",     "InstanceCrashed",    "InstanceRestarted",
    "PluginInvoked",      "PluginResult",        "PluginError",         "PluginLog",          "PermissionDenied",
    "SandboxPosture",     "PluginConfigChanged", "NetworkFlowOpened",   "NetworkFlowClosed",  "SnapshotTaken",
    "LogSegmentsRemoved", "ConfigChanged",       "ClockJumped",         "PermissionsGranted", "PermissionOverridden",
    "SecretDelivered",    "ObserverGap",         "ObserverCursorReset", "PluginsFileRead"};

}  // namespace liongate
