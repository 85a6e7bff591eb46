//! Where the program keeps what it must remember: a folder of its owner only.

use std::path::PathBuf;
use std::{fs, io};

use etcetera::BaseStrategy as _;

/// The folder, made if need be. `inside` is a folder in it, and may be empty.
pub fn state(inside: &str) -> io::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
    let folder = base.state_dir().unwrap_or_else(|| base.data_dir()).join(env!("CARGO_PKG_NAME")).join(inside);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    Ok(folder)
}
