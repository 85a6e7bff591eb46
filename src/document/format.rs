//! Which language a file is written in.

/// A language that documents are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, without its surprises: only `true` and `false` are booleans, only clean numbers are numbers.
    Yaml,
    /// JSON, with comments and trailing commas.
    Json,
    /// TOML 1.
    Toml,
}

impl Format {
    /// The format that a path's extension promises: `.yaml`, `.yml`, `.json`, `.jsonc` or `.toml`, in any case.
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" | "jsonc" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// What the names of its files end in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Toml => "toml",
        }
    }

    /// The format of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Yaml, Self::Json, Self::Toml].into_iter().find(|format| format.as_str() == name)
    }

    /// The name that users know it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Json => "JSON",
            Self::Toml => "TOML",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_format() {
        assert_eq!(Format::of("flows/a.b.yml"), Some(Format::Yaml));
        assert_eq!(Format::of("settings.JSONC"), Some(Format::Json));
        assert_eq!(Format::of("registry.toml"), Some(Format::Toml));
        assert_eq!(Format::of("README"), None);
        assert_eq!(Format::of("notes.txt"), None);
    }
}
