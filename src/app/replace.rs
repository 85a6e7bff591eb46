//! Replacing a file as a whole, so that a reader sees the old text or the new one and never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `text` in place of `before`. A file that somebody else has changed meanwhile is left alone; a link stays one.
pub fn replace(path: &Path, before: &str, text: &str) -> Result<(), String> {
    let shown = path.display();
    let target = path.canonicalize().map_err(|error| format!("cannot write {shown}: {error}"))?;
    let now = fs::read_to_string(&target).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if now != before {
        return Err(format!("{shown} has changed meanwhile; it was left alone, try again"));
    }
    write_beside(&target, text).map_err(|error| format!("cannot write {shown}: {error}"))
}

/// Writes a new file; one that is there already is left alone.
pub fn create(path: &Path, text: &str) -> Result<(), String> {
    let shown = path.display();
    let write = |mut file: File| file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    OpenOptions::new().write(true).create_new(true).open(path).and_then(write).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{shown} is there already; remove it or choose another name"),
        _ => format!("cannot write {shown}: {error}"),
    })
}

fn write_beside(target: &Path, text: &str) -> io::Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = target.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4()));
    let written = OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::metadata(target)?.permissions())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&beside, target));
    if replaced.is_err() {
        // Nothing more can be done about it; the first error is what counts.
        let _ = fs::remove_file(&beside);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let path = place.path().join("a.yaml");
        create(&path, "old").expect("a new file");
        assert!(create(&path, "new").is_err_and(|why| why.contains("there already")));
        assert!(replace(&path, "something else", "new").is_err_and(|why| why.contains("changed meanwhile")));
        replace(&path, "old", "new").expect("it can be written");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "new");
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }
}
