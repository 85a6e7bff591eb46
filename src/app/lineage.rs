//! Orchestrators that start orchestrators: which registries have led to this one, so that none starts itself for ever.

use std::path::{Path, PathBuf};

use crate::downstream::stdio::child::LINEAGE;
use crate::model::chain::MAX_HOPS;
use crate::model::code;
use crate::model::problem::{Problem, Source};

/// The registries that have led to this process, a line for each orchestrator.
pub fn above() -> String {
    std::env::var(LINEAGE).unwrap_or_default()
}

/// `above` with the orchestrator that reads `registries`; the problem if it is one of those already, or one too many.
pub fn extended(above: &str, registries: &[PathBuf]) -> Result<String, Box<Problem>> {
    let whole = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone()).to_string_lossy().into_owned();
    let ours = registries.iter().map(whole).collect::<Vec<_>>().join(",");
    let refused = |why: String| {
        let source = Source::new(
            registries.first().map_or_else(|| Path::new("").to_string_lossy(), |path| path.to_string_lossy()),
            "",
        );
        let problem = Problem::error(code::STARTS_ITSELF, &source, 0..0, why);
        Box::new(problem.help("remove the server that starts this orchestrator again"))
    };
    let lines: Vec<_> = above.lines().collect();
    if lines.contains(&ours.as_str()) {
        return Err(refused("this registry has an orchestrator as a server that reads this registry again".to_owned()));
    }
    if lines.len() >= MAX_HOPS {
        return Err(refused(format!("there are {MAX_HOPS} orchestrators in a row already")));
    }
    Ok(lines.into_iter().chain([ours.as_str()]).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_registry_leads_to_itself() {
        let of = |above: &str, name: &str| extended(above, &[PathBuf::from(name)]);
        let first = of("", "/nowhere/a.toml").expect("the first");
        let second = of(&first, "/nowhere/b.toml").expect("another one");
        assert_eq!(second, "/nowhere/a.toml\n/nowhere/b.toml");
        assert_eq!(of(&second, "/nowhere/a.toml").expect_err("a loop").code, code::STARTS_ITSELF);
        let many = (0..8).map(|n| format!("/nowhere/{n}")).collect::<Vec<_>>().join("\n");
        assert!(of(&many, "/nowhere/a.toml").is_err());
    }
}
