//! What one task may send at most.

/// Bytes of a serialised result.
pub(crate) const MAX_RESULT_BYTES: usize = 1 << 20;
/// Bytes of a serialised progress detail.
pub(crate) const MAX_DETAIL_BYTES: usize = 16 << 10;
/// Bytes of one log line.
pub(crate) const MAX_LINE_BYTES: usize = 8 << 10;
/// Log lines that wait to be sent for one task.
pub(crate) const MAX_LINES: usize = 1_000;
/// Bytes of the log lines that wait to be sent for one task.
pub(crate) const MAX_LINES_BYTES: usize = 1 << 20;
/// Bytes of an error's kind.
pub(crate) const MAX_KIND_BYTES: usize = 200;
/// Bytes of an error's message.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 << 10;
/// Bytes of an error's traceback.
pub(crate) const MAX_TRACEBACK_BYTES: usize = 32 << 10;
/// Bytes of results, errors and log lines that one request carries, about.
pub(crate) const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Tasks that one claim takes or one finish reports.
pub(crate) const MAX_BATCH: usize = 10_000;
