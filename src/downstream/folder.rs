//! Folders and files of their owner only, where the program keeps what it must remember. Files are replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

/// The folder of this user, made if need be. `inside` is a folder in it, and may be empty.
pub fn state(inside: &str) -> io::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
    let folder = base.state_dir().unwrap_or_else(|| base.data_dir()).join(env!("CARGO_PKG_NAME")).join(inside);
    make(&folder)?;
    Ok(folder)
}

/// Makes a folder, and those that it is in, unless they are there.
pub fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A new file.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file so that it is there as a whole, or as it was, whoever else writes it at the same time.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", uuid::Uuid::new_v4().simple()));
    let written = create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&draft, path)).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = fs::remove_file(&draft);
    })
}

/// A hash as it stands in files.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_by_whoever_comes_last_and_nothing_is_left_beside_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("kept/a.json");
        make(&place.path().join("kept")).expect("a folder");
        let texts: Vec<_> = (0..8_u8).map(|n| vec![b'a' + n; 100_000]).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| write_whole(&path, text).expect("a file"));
            }
        });
        assert!(texts.contains(&fs::read(&path).expect("a file")));
        assert_eq!(fs::read_dir(place.path().join("kept")).expect("a folder").count(), 1);
        fs::remove_file(&path).and_then(|()| fs::create_dir(&path)).expect("a folder in its place");
        assert!(write_whole(&path, b"text").is_err(), "a folder is no file");
        assert_eq!(fs::read_dir(place.path().join("kept")).expect("a folder").count(), 1);
    }
}
