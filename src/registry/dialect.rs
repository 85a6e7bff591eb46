//! Our own files and those of other clients.

/// Whose words a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Ours: an unknown key is a mistake.
    Own,
    /// Another client's: its file stays as it is, so what means nothing to us is only mentioned.
    Foreign,
}
