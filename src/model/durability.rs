//! How sure it is that a run survives the program.

/// How sure it is that a run survives the death of the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// As soon as it has done something that matters, as far as it can be stored.
    #[default]
    Auto,
    /// From its first moment. Where it cannot be stored, it does not run.
    Always,
    /// Not at all.
    None,
}

impl Durability {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::None];

    /// The word that users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::None => "none",
        }
    }
}
