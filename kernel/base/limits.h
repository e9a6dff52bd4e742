// Every bound of the kernel, the frames, the log and the edges, by name. Reaching one is a clear error, never growth.
//
// A bound that an operator may change is a default here and a key of the daemon's configuration (config/).
// Sizes in bytes, times in milliseconds, unless the name says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace liongate::limits {

// --- frames (fd 3 and fd 4 of a plugin) ---
inline constexpr std::uint32_t kFrameBytesMax = 16U * 1024 * 1024 + 64 * 1024;  // input bound plus the envelope
inline constexpr std::uint32_t kFrameHeaderBytes = 4;
inline constexpr std::size_t kFrameReadChunkBytes = 256 * 1024;
inline constexpr int kFrameFieldsMax =
    4096;  // of a frame and the messages in it; each costs a parser far more than its bytes
inline constexpr std::uint32_t kProtocolVersionMin = 1;
inline constexpr std::uint32_t kProtocolVersionMax = 1;
inline constexpr std::size_t kFrameWriteBacklogBytesMax = 64U * 1024 * 1024;  // frames queued to one plugin's pipe
inline constexpr int kFrameMidwayTimeoutMs = 10'000;  // a frame begun must be whole within this time

inline constexpr std::size_t kChatterBytesPerWindowMax = 512 * 1024;  // frames that end no call, in 100 ms

// --- calls ---
inline constexpr std::size_t kInputBytesMax = 16U * 1024 * 1024;
inline constexpr std::size_t kOutputBytesMax = 16U * 1024 * 1024;
inline constexpr std::size_t kOperationBytesMax = 128;
inline constexpr std::size_t kCorrelationIdBytesMax = 128;
inline constexpr std::size_t kCallsPerPluginMax = 1024;  // queued and running, one plugin
inline constexpr std::size_t kCallsMax = 8192;           // queued and running, all plugins
inline constexpr std::uint32_t kConcurrencyMax = 256;    // running at once in one instance
inline constexpr std::uint32_t kCommandConcurrencyMax = 16;
inline constexpr int kReadyNamesMax = 256;                // operations, and capabilities, of one plugin
inline constexpr std::size_t kReadyBytesMax = 64 * 1024;  // all names in Ready together
inline constexpr int kInvokeTimeoutMsDefault = 30'000;
inline constexpr int kInvokeTimeoutMsMax = 24 * 60 * 60 * 1000;
inline constexpr int kRefusalsRecordedPerSecondMax = 100;         // refused calls in the log; more are counted
inline constexpr int kCancelGraceMs = 1'000;                      // between a cancel frame and the kill of the plugin
inline constexpr std::size_t kFailureMessageBytesMax = 8 * 1024;  // of what a plugin says of its failure
inline constexpr std::size_t kCallLogLinesMax = 100;              // of one call, in its reply
inline constexpr std::size_t kCallLogBytesMax = 64 * 1024;
inline constexpr int kResultEntriesMax = 256;                     // warnings, and metadata, of one Result
inline constexpr std::size_t kEventMetadataBytesMax = 64 * 1024;  // of a Result's metadata in its event

// --- lifecycle ---
inline constexpr std::size_t kPluginsMax = 4096;
inline constexpr int kReadyTimeoutMs = 10'000;  // from launch to the Ready frame
inline constexpr int kStopGraceMs = 5'000;      // between the Shutdown frame and the kill
inline constexpr int kLaunchTimeoutMs = 5'000;  // the launcher's own steps

inline constexpr std::size_t kPingsMax = 64;  // health checks of one plugin that wait for its Pong
inline constexpr std::size_t kPongDetailBytesMax = 8 * 1024;
inline constexpr int kHealthTimeoutMs = 2'000;            // for the Pong
inline constexpr std::size_t kCommandsPerPluginMax = 16;  // start, stop, reload, ... that wait for the one at work

// --- supervision ---
inline constexpr int kRestartBackoffMsMin = 100;
inline constexpr int kRestartBackoffMsMax = 60'000;
inline constexpr int kRestartsPerMinuteMax = 5;  // more within 60 s: FAILED, no further restart
// A plugin that closed its pipe is usually dying: its exit says more than the closed pipe, so it is awaited so long.
inline constexpr int kExitAfterCloseMs = 500;

// --- plugin output kept for get-plugin-logs ---
inline constexpr std::size_t kPluginLogBytesMax = 1024 * 1024;  // ring per plugin
inline constexpr std::size_t kPluginLogLineBytesMax = 8 * 1024;
inline constexpr std::size_t kCommandStderrTailBytes = 4 * 1024;
inline constexpr std::size_t kCaptureBytesPerWindowMax =
    256 * 1024;  // read of one output; the plugin waits for the rest
inline constexpr int kCaptureWindowMs = 100;
inline constexpr std::size_t kLogFollowersPerPluginMax = 32;

// --- manifest and plugin folder ---
inline constexpr std::size_t kManifestBytesMax = 256 * 1024;
inline constexpr std::size_t kPluginNameBytesMax = 64;
inline constexpr std::size_t kPermissionsMax = 64;
inline constexpr std::size_t kArgsMax = 64;
inline constexpr std::size_t kDigestFilesMax = 10'000;
inline constexpr std::uint64_t kDigestBytesMax = 512ULL * 1024 * 1024;
inline constexpr int kFolderDepthMax = 32;
inline constexpr int kInspectionsMax = 1024;  // manifests and folders that wait to be looked at
inline constexpr std::size_t kDigestCacheFilesMax = 4096;

// --- policy ---
inline constexpr std::size_t kPolicyRulesMax = 10'000;  // in one policy file, those of all environments together
inline constexpr std::size_t kPolicyFileBytesMax = 4U * 1024 * 1024;
inline constexpr std::size_t kPolicyPatternBytesMax = 4096;
inline constexpr std::size_t kPolicyPatternsPerRuleMax = 64;  // permissions in one rule
inline constexpr std::size_t kPolicyReasonBytesMax = 512;

// --- secrets ---
inline constexpr std::size_t kSecretBytesMax = 64 * 1024;
inline constexpr std::size_t kSecretSourcesMax = 256;      // in the daemon's configuration
inline constexpr std::size_t kSecretCommandWordsMax = 64;  // of a command that prints one
inline constexpr int kSecretTimeoutMsDefault = 5'000;      // for that command
inline constexpr int kSecretTimeoutMsMax = 60'000;
inline constexpr int kSecretFetchesMax = 256;  // that wait for a file or a command, or are about to
inline constexpr std::size_t kSecretFetchThreads = 4;
// Of a secret that changes so many values are hidden in events, and so many of all; older ones are forgotten.
inline constexpr std::size_t kHiddenValuesPerSecretMax = 16;
inline constexpr std::size_t kHiddenValuesMax = 1024;

// --- host calls ---
inline constexpr std::size_t kHostCallsInFlightMax = 16;       // of one plugin
inline constexpr std::uint32_t kHostCallsPerSecondMax = 100;   // of one plugin: each may be an event
inline constexpr std::size_t kHostCallRequestBytesMax = 4096;  // and of the method's name
inline constexpr std::size_t kHostDenialKindsMax = 64;         // told apart in one plugin
inline constexpr int kHostDenialRepeatMs = 60'000;             // the same denial again within it is only counted

// --- event log ---
inline constexpr std::uint64_t kLogSegmentBytes = 64ULL * 1024 * 1024;
inline constexpr std::size_t kLogRecordBytesMax = 1024 * 1024;
inline constexpr std::size_t kEventPayloadBytesMax = 64 * 1024;  // an input or output beyond it: digest and length
inline constexpr std::size_t kEventPayloadBytesMaxMax =
    768 * 1024;  // as configured: with its envelope it fits a record
inline constexpr std::size_t kLogQueueBytesMax = 256U * 1024 * 1024;
inline constexpr std::size_t kLogQueueRecordsMax = 65'536;
inline constexpr std::uint64_t kLogBatchBytesMax = 4ULL * 1024 * 1024;  // one commit
inline constexpr std::size_t kLogWriteAheadBytes = 32 * 1024;  // written at once, though nobody waits for it yet
inline constexpr std::uint64_t kLogReserveBytes = 4ULL * 1024 * 1024;  // kept for terminal records on a full disk
inline constexpr int kLogBatchDelayMs = 10;                            // durability `batch`
inline constexpr int kLogSyncDelayMs = 1'000;  // events that nobody waits for are on disk, and visible, within it
inline constexpr std::uint64_t kFooterBlockBytes = 64 * 1024;     // a query reads no less of a sealed segment
inline constexpr std::size_t kFooterBlocksMax = 2048;             // in one segment; the last one takes the rest
inline constexpr std::size_t kFooterGroupsMax = 4096;             // (type, plugin, actor) in one segment
inline constexpr std::size_t kFooterStringBytesMax = 256 * 1024;  // their names together
inline constexpr std::size_t kFilterTextBytesMax = 1024;
inline constexpr std::size_t kFilterTypesMax = 64;
inline constexpr int kReadBarrierMs = 500;  // a query waits so long for what was appended before it to be on disk
// --- snapshots and retention ---
inline constexpr std::uint64_t kSnapshotEventsDefault = 100'000;                // events between two snapshots
inline constexpr std::uint64_t kSnapshotLogBytesDefault = 32ULL * 1024 * 1024;  // bytes of events between two
inline constexpr std::size_t kSnapshotsKept = 2;
inline constexpr std::size_t kSnapshotBytesMax = 512U * 1024 * 1024;  // one file; a larger state is not snapshotted
inline constexpr int kRetentionCheckMs = 60'000;
// A clock that moves so much more (or less) than the time that passed has jumped.
inline constexpr std::int64_t kClockJumpMs = 60LL * 60 * 1000;
// Between two lives nothing measures time: a gap up to this is believed, a longer one is taken for a jump.
inline constexpr std::int64_t kClockGapMs = 7LL * 24 * 60 * 60 * 1000;
// How long after a jump forward nothing is removed by age, so that people can set the clock right.
inline constexpr std::int64_t kClockDistrustMs = 24LL * 60 * 60 * 1000;

inline constexpr std::size_t kReplayEventsPerMessageMax = 512;
inline constexpr std::size_t kFollowersMax = 64;
inline constexpr std::uint64_t kReplayCursorEventsMax = 4096;  // a follower hears its cursor at least so often
inline constexpr int kVerificationsMax = 4;                    // running and waiting
inline constexpr int kQuarantinesMax = 1000;                   // of repair-log in one folder

// --- signed checkpoints and keys ---
inline constexpr std::size_t kNoteBytesMax = 4096;  // a checkpoint, a handover, a public key
inline constexpr std::size_t kNoteSignaturesMax = 16;
inline constexpr std::size_t kNoteKeyNameBytesMax = 256;
inline constexpr unsigned kLogKeysMax = 9999;                   // that one log may have had
inline constexpr int kLogCheckpointIntervalMsDefault = 60'000;  // between events and the checkpoint that covers them

// --- observers and plugins.yaml ---
inline constexpr std::size_t kPluginsFileBytesMax = 4U * 1024 * 1024;
inline constexpr std::size_t kPluginsFileEntriesMax = 1000;
inline constexpr int kPluginsFileSettleMs = 100;  // between a change of it and the look at what it is now
inline constexpr int kPluginsFileGoneMs = 2000;   // and until one that is gone, or empty, is believed to be
inline constexpr std::size_t kModulePathBytesMax = 4096;
inline constexpr std::size_t kModuleFoldersMax = 16;
inline constexpr std::size_t kPluginConfigBytesMax = 64 * 1024;           // of one entry, as JSON
inline constexpr std::size_t kObserverWindowEventsMax = 1024;             // sent and not acknowledged
inline constexpr std::size_t kObserverWindowBytesMax = 4U * 1024 * 1024;  // the same; one event always fits
inline constexpr std::size_t kObserverChunkBytes = 64 * 1024;             // of frames made at a time: what a pipe takes
inline constexpr std::size_t kObserverControlBytesMax = 64 * 1024;  // frames of other kinds that wait for its pipe
inline constexpr int kObserverGatherMs = 5;                         // events that come within it are sent together
inline constexpr int kObserverAckTimeoutMsDefault = 30'000;
inline constexpr int kObserverAckGraceMs = 500;  // behind the timeout, for what is in the pipe yet
inline constexpr int kObserverAckTimeoutMsMax = 60 * 60 * 1000;
inline constexpr std::uint32_t kObserverRetriesMax = 100;
inline constexpr int kObserverDenialIntervalMs =
    10'000;  // refused requests of an observer: one event each, with a count

// --- edges ---
inline constexpr std::size_t kConnectionsMax = 1024;
inline constexpr int kGrpcMessageBytesMax = 17 * 1024 * 1024;
inline constexpr std::size_t kSocketPathBytesMax = 107;  // sun_path less its terminator
inline constexpr std::size_t kHealthWatchersMax = 64;
inline constexpr int kShutdownDrainMs = 5'000;
inline constexpr std::size_t kGrpcMemoryBytesMax = 256U * 1024 * 1024;
inline constexpr int kStreamsPerConnectionMax = 1024;
inline constexpr int kGrpcAnswerMs = 2'000;  // for calls that are being answered while the server stops
inline constexpr std::size_t kStreamMessagesQueuedMax = 1024;  // to one client that does not read
inline constexpr std::size_t kPageSizeMax = 1000;
// gRPC carries details in a header of at most 8 KiB: what is longer is cut, not lost with the whole status.
inline constexpr std::size_t kErrorMessageBytesMax = 2048;
inline constexpr std::size_t kErrorMetadataValueBytesMax = 1024;
inline constexpr std::size_t kErrorMetadataBytesMax = 3 * 1024;

// --- launcher ---
inline constexpr std::size_t kLaunchMessageBytesMax = 160 * 1024;
inline constexpr int kNetworkFlowsMaxDefault = 256;
inline constexpr int kNetworkFlowsMaxMax = 16'384;
inline constexpr int kNetworkIdleTimeoutMsDefault = 300'000;
inline constexpr std::size_t kNetworkInternalRangesMax = 64;
inline constexpr std::size_t kGatePortsMax = 33;   // of one plugin: DNS and 32 of its permissions
inline constexpr std::size_t kGateSparesMax = 32;  // of one plugin: ports that it comes to and that nobody named
inline constexpr std::size_t kLaunchFdsMax = 16 + 2 * kGatePortsMax;

}  // namespace liongate::limits
