//! Where the runs of a registry are stored.

use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use sha2::{Digest as _, Sha256};

/// Where it is kept, in the data directory, what servers were last heard to offer.
pub const CATALOGUE: &str = "catalogue";

/// The folder in which runs over these registry files are stored: the one that is given, else one of their own in the user's
/// state directory, so that programs with different servers never take up each other's runs. It is not made here.
pub fn data(given: Option<&Path>, registries: &[PathBuf]) -> io::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
    let base = base.state_dir().unwrap_or_else(|| base.data_dir()).join(env!("CARGO_PKG_NAME")).join("runs");
    let mut name = Sha256::new();
    for registry in registries {
        let path = registry.canonicalize().unwrap_or_else(|_| registry.clone());
        name.update(path.to_string_lossy().as_bytes());
        name.update([0]);
    }
    let name = name.finalize().first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
    Ok(base.join(format!("{name:016x}")))
}
