//! Problems as SARIF 2.1.0, which editors and code review understand.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::model::code::Code;
use crate::model::explain::all;
use crate::model::problem::{Problem, Source, Span};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What may stand in the path of a URI as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A log of one run. `unreachable` says which servers could not be asked.
pub fn log(problems: &[Problem], unreachable: &[String]) -> Value {
    let mut codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<_> = all().filter(|one| codes.contains(&one.code)).collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|one| {
            json!({
                "id": one.code.as_str(), "shortDescription": { "text": one.meaning },
                "help": { "text": one.text, "markdown": one.text },
            })
        })
        .collect();
    let results: Vec<_> = problems
        .iter()
        .map(|problem| result(problem, codes.binary_search(&problem.code).unwrap_or_default()))
        .collect();
    let notifications: Vec<_> =
        unreachable.iter().map(|why| json!({ "level": "error", "message": { "text": why } })).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"), "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": unreachable.is_empty(), "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn result(problem: &Problem, rule: usize) -> Value {
    let text = match &problem.help {
        Some(help) => format!("{}; {help}", problem.message),
        None => problem.message.clone(),
    };
    let mut result = json!({
        "ruleId": problem.code.as_str(),
        "ruleIndex": rule,
        "level": if problem.is_error() { "error" } else { "warning" },
        "message": { "text": text },
        "locations": [location(&problem.source, &problem.span)],
    });
    let related: Vec<_> = problem
        .related
        .iter()
        .map(|(span, text)| {
            let mut place = location(&problem.source, span);
            place["message"] = json!({ "text": text });
            place
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    if let Some(patch) = &problem.patch {
        result["fixes"] = json!([{
            "description": { "text": problem.help.as_deref().unwrap_or("replace it") },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(&problem.source.name) },
                "replacements": [{
                    "deletedRegion": region(&problem.source, &patch.span),
                    "insertedContent": { "text": patch.replacement },
                }],
            }],
        }]);
    }
    result
}

fn location(source: &Source, span: &Span) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(&source.name) }, "region": region(source, span) } })
}

fn region(source: &Source, span: &Span) -> Value {
    let ((line, column), (end_line, end_column)) = (source.line_column(span.start), source.line_column(span.end));
    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
}

/// A path as a reference: relative as it is, absolute as a file.
fn uri(path: &str) -> String {
    let encoded = utf8_percent_encode(path.trim_start_matches("./"), PATH);
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code;

    #[test]
    fn a_problem_becomes_a_result_with_its_rule_place_and_fix() {
        let source = Source::new("./my flows/a.yaml", "näme: x\n");
        let problem = Problem::error(code::UNKNOWN_KEY, &source, 0..5, "unknown key `näme`")
            .help("did you mean `name`?")
            .replace_with("name");
        let log = log(&[problem], &[]);
        let (run, result) = (&log["runs"][0], &log["runs"][0]["results"][0]);
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "MO1003");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20flows/a.yaml");
        assert_eq!(place["region"], json!({ "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 5 }));
        let fix = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!((&fix["insertedContent"]["text"], &fix["deletedRegion"]), (&json!("name"), &place["region"]));
    }
}
