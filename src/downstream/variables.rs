//! Where the values of `${…}` placeholders come from when a server is started.

use crate::registry::text::Variables;

/// Our own environment and the file system.
pub struct Surroundings;

/// The largest file that a placeholder may name, in bytes.
const MAX_FILE: u64 = 64 * 1024;

impl Variables for Surroundings {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MAX_FILE {
            return Err(format!("it has {length} bytes, more than the {MAX_FILE} allowed"));
        }
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}
