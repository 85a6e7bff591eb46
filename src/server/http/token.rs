//! The bearer token: given, or made once and kept for its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use uuid::Uuid;

use crate::downstream::folder;
use crate::model::secret::Secret;

/// The variable that holds the token when it is given.
pub const VARIABLE: &str = "MCP_ORCHESTRATOR_TOKEN";

/// A token, and whether it was made just now, so that its owner must be told.
pub struct Token {
    /// The token itself.
    pub secret: Secret<String>,
    /// Where it is kept, if it was made just now.
    pub made_at: Option<PathBuf>,
}

/// The token of the environment, else the one that is kept, else a new one of 244 random bits.
pub fn find() -> io::Result<Token> {
    if let Ok(given) = std::env::var(VARIABLE)
        && !given.is_empty()
    {
        return Ok(Token { secret: Secret::new(given), made_at: None });
    }
    let path = folder::state("")?.join("token");
    match fs::read_to_string(&path) {
        Ok(kept) if !kept.trim().is_empty() => {
            return Ok(Token { secret: Secret::new(kept.trim().to_owned()), made_at: None });
        }
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let token = format!("mco_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(&path)?, "{token}")?;
    Ok(Token { secret: Secret::new(token), made_at: Some(path) })
}
