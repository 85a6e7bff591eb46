//! The folder of a journal, and who owns it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The name of the file that is locked by the owner.
const LOCK: &str = "lock";

/// The folder in which a process keeps its runs. It belongs to that process until it is dropped, or the process is gone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // The lock goes with the file.
    _lock: File,
}

/// Why a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("`{}` belongs to {holder}", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// It cannot be made or written to.
    #[error("`{}` cannot be used: {why}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
}

impl Folder {
    /// Makes the folder if need be, for its owner only, and takes it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let unusable = |why| Error::Unusable { path: path.to_path_buf(), why };
        make(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut lock = options.open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Held { path: path.to_path_buf(), holder: named(&mut lock) });
            }
            Err(TryLockError::Error(why)) => return Err(unusable(why)),
        }
        let name = format!("process {}\n", std::process::id());
        // Who holds it is told to people only, so a folder that cannot say it is still ours.
        let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(name.as_bytes()));
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Who holds the folder at `path`, if anybody does.
pub fn holder(path: &Path) -> Option<String> {
    let mut lock = File::open(path.join(LOCK)).ok()?;
    // A shared lock does not take it from anybody, and is gone at once.
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(named(&mut lock)),
        _ => None,
    }
}

fn named(lock: &mut File) -> String {
    let mut name = String::new();
    let _ = lock.read_to_string(&mut name);
    let name = name.trim();
    if name.is_empty() { "another process".to_owned() } else { name.to_owned() }
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
