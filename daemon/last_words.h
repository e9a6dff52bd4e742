// What the daemon says when it dies of an exception that nobody caught, on whichever thread.
//
// Errors travel as Result; an exception that comes this far is a defect of ours or of a library. To go on would be to
// serve from a state nobody knows, so the process ends at once (SIGABRT) and its unit restarts it: what was
// acknowledged is on disk, plugins die with the daemon and are started again. The line names the thread and the
// exception, for the journal and for a bug report.
//
// Ownership and thread: `promise_last_words` once, before there are threads. No errors.
#pragma once

namespace liongate::daemon {

void promise_last_words();

}  // namespace liongate::daemon
