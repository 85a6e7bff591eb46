//! What interceptors may say, and what is said of those that cannot be meant.

use crate::model::problem::Source;
use crate::registry::load::load;

/// What is wrong with a registry of these interceptors, one line each.
fn problems(interceptors: &str) -> Vec<String> {
    let text = format!("[servers.files]\ncommand = \"x\"\n{interceptors}");
    let (registry, problems) = load(&[Source::new("registry.toml", text)]);
    assert_eq!(registry.servers.len(), 1);
    problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn each_action_is_read() {
    for action in [
        "deny = \"not ${call.arguments.path}\"",
        "set = { limit = \"${ [call.arguments.limit, 10] | min }\" }",
        "output = { text = \"$call.result.text\" }",
        "command = \"hook\"\nargs = [\"--strict\"]\ntimeout = \"1s\"\non_error = \"allow\"",
        "url = \"http://127.0.0.1:1/hook\"\nheaders = { Authorization = \"Bearer ${TOKEN}\" }",
    ] {
        let text =
            format!("[[interceptors]]\nname = \"a\"\ntools = [\"files.*\"]\nwhen = \"call.caller == 'x'\"\n{action}\n");
        let (registry, problems) = load(&[Source::new("registry.toml", text)]);
        assert!(problems.is_empty() && registry.interceptors.len() == 1, "{action}: {problems:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    for (interceptor, said) in [
        ("name = \"a\"", "does nothing"),
        ("deny = \"no\"", "name"),
        ("name = \"a\"\ndeny = \"no\"\nset = {}", "does several things, `deny` and `set`"),
        ("name = \"a\"\nset = { x = 1 }\nat = \"after\"", "can only be done before a call"),
        ("name = \"a\"\noutput = 1\nat = \"before\"", "can only be done after a call"),
        ("name = \"a\"\nset = 1", "is no table of arguments"),
        ("name = \"a\"\ndeny = \"no\"\nwhen = \"call.argument.x\"", "names `argument`, which is not known here"),
        ("name = \"a\"\ndeny = \"no\"\nwhen = \"call.result.x\"", "names `result`"),
        ("name = \"a\"\ndeny = \"no\"\nwhen = \"input.x\"", "names `input`"),
        ("name = \"a\"\ndeny = \"no\"\nwhen = \"(\"", ""),
        ("name = \"a\"\ndeny = \"no\"\ntimeout = \"1s\"", "has no effect without `command` or `url`"),
    ] {
        let told = problems(&format!("[[interceptors]]\n{interceptor}\n"));
        assert!(told.len() == 1 && told[0].contains(said), "{interceptor}: {told:?}");
    }
}
