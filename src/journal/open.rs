//! Opening a journal: what is broken is put aside, and what cannot be written is said.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::Connection;

use crate::journal::folder::{self, Folder};
use crate::journal::schema;

/// The name of the file.
pub(super) const FILE: &str = "journal.sqlite";

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be had.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// A later version of the program has written it.
    #[error("`{}` was written by a later version of the program", .0.display())]
    Newer(PathBuf),
    /// A broken file cannot be put aside.
    #[error("the broken journal `{}` cannot be put aside: {why}", path.display())]
    Stuck {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// It cannot be read or written.
    #[error("`{}` cannot be used: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: rusqlite::Error,
    },
}

/// A folder with a journal that is whole.
pub(super) struct Opened {
    pub(super) folder: Folder,
    pub(super) connection: Connection,
    /// Where a broken file was put, if there was one.
    pub(super) aside: Option<PathBuf>,
}

/// Takes the folder and opens its journal. A broken one is moved aside, and a new one begun.
pub(super) fn open(path: &Path) -> Result<Opened, Error> {
    let folder = Folder::take(path)?;
    let file = path.join(FILE);
    match whole(&file) {
        Ok(connection) => Ok(Opened { folder, connection, aside: None }),
        Err(Error::Unusable { why, .. }) if is_broken(&why) => {
            let aside = put_aside(&file).map_err(|why| Error::Stuck { path: file.clone(), why })?;
            Ok(Opened { connection: whole(&file)?, folder, aside: Some(aside) })
        }
        Err(error) => Err(error),
    }
}

/// Opens a file and looks whether it is whole.
fn whole(file: &Path) -> Result<Connection, Error> {
    let unusable = |why| Error::Unusable { path: file.to_path_buf(), why };
    protect(file).map_err(|why| unusable(rusqlite::Error::ToSqlConversionFailure(why.into())))?;
    let mut connection = Connection::open(file).map_err(unusable)?;
    schema::prepare(&connection).map_err(unusable)?;
    if schema::is_newer(&connection).map_err(unusable)? {
        return Err(Error::Newer(file.to_path_buf()));
    }
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(unusable)?;
    if verdict != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(unusable(rusqlite::Error::SqliteFailure(code, Some(verdict))));
    }
    schema::migrate(&mut connection).map_err(unusable)?;
    Ok(connection)
}

fn is_broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Moves a file and what belongs to it out of the way.
fn put_aside(file: &Path) -> io::Result<PathBuf> {
    let name = |suffix: &str| PathBuf::from(format!("{}{suffix}", file.display()));
    let mut count = 1;
    while name(&format!(".broken-{count}")).exists() {
        count += 1;
    }
    let aside = name(&format!(".broken-{count}"));
    fs::rename(file, &aside)?;
    for part in ["-wal", "-shm"] {
        match fs::rename(name(part), format!("{}{part}", aside.display())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// Nobody but its owner reads what runs have dealt with. The file is there before it is opened as a journal, because the log
/// beside it is made to be read by whoever may read the file.
fn protect(file: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(file)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = file;
    Ok(())
}
