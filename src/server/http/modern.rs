//! The header rules of 2026-07-28: headers repeat what stands in the body, so that gateways need not read it.

use http::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::catalog::snapshot::Catalog;
use crate::downstream::protocol::{MODERN, PROTOCOL_VERSION_KEY};
use crate::server::host::Refusal;
use crate::server::requests::member;
use crate::wire::header::decoded;
use crate::wire::mirror::{MISMATCH, mirrored, name_key};
use crate::wire::object::Object;

/// Whether a request is of the newer era: its `_meta` or its header says so.
pub fn is_modern(headers: &HeaderMap, params: Option<&RawValue>) -> bool {
    headers.get("MCP-Protocol-Version").is_some_and(|version| version == MODERN) || version(params).is_some()
}

fn version(params: Option<&RawValue>) -> Option<String> {
    let params = Object::parse(params?)?;
    let meta = Object::parse(params.get("_meta")?)?;
    serde_json::from_str(meta.get(PROTOCOL_VERSION_KEY)?.get()).ok()
}

/// Whether the headers of a request agree with its body.
pub fn check(headers: &HeaderMap, method: &str, params: Option<&RawValue>, catalog: &Catalog) -> Result<(), Refusal> {
    if let Some(version) = version(params) {
        agree(headers, "MCP-Protocol-Version", &version)?;
    }
    agree(headers, "Mcp-Method", method)?;
    let name = name_key(method).and_then(|key| member(params, key));
    if let Some(name) = &name {
        agree(headers, "Mcp-Name", name)?;
    }
    match name {
        Some(name) if method == "tools/call" => check_arguments(headers, &name, params, catalog),
        _ => Ok(()),
    }
}

fn agree(headers: &HeaderMap, name: &str, expected: &str) -> Result<(), Refusal> {
    agree_by(headers, name, |given| given == expected)
}

fn agree_by(headers: &HeaderMap, name: &str, says_it: impl FnOnce(&str) -> bool) -> Result<(), Refusal> {
    match headers.get(name).map(|value| decoded(value.as_bytes())) {
        Some(Some(given)) if says_it(&given) => Ok(()),
        Some(_) => Err(Refusal::new(MISMATCH, format!("Header mismatch: {name} does not say what the body says"))),
        None => Err(Refusal::new(MISMATCH, format!("Header mismatch: {name} is missing"))),
    }
}

/// Arguments that a tool's schema wants repeated. What it wants in a wrong way, no client can do.
fn check_arguments(
    headers: &HeaderMap,
    tool: &str,
    params: Option<&RawValue>,
    catalog: &Catalog,
) -> Result<(), Refusal> {
    let schema = catalog.tool(tool).and_then(|offer| offer.entry.definition.get("inputSchema"));
    let wanted = schema.and_then(|schema| mirrored(schema).ok()).unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    let arguments = params
        .and_then(Object::parse)
        .and_then(|params| serde_json::from_str::<Value>(params.get("arguments")?.get()).ok())
        .unwrap_or_default();
    for argument in wanted {
        let header = &argument.header;
        match argument.text(&arguments) {
            Some(expected) => agree_by(headers, header, |given| argument.agrees(given, &expected))?,
            None if headers.contains_key(header) => {
                let message = format!("Header mismatch: {header} repeats an argument that is not there");
                return Err(Refusal::new(MISMATCH, message));
            }
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn checked(headers: &[(&str, &str)], method: &str, params: &str) -> Result<(), i64> {
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        let params = RawValue::from_string(params.to_owned()).expect("JSON");
        check(&headers.iter().map(header).collect(), method, Some(&params), &Catalog::default())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn headers_must_say_what_the_body_says() {
        let params = r#"{"name":"größe","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        let good = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?Z3LDtsOfZQ==?="),
        ];
        assert_eq!(checked(&good, "tools/call", params), Ok(()));
        for missing in 0..good.len() {
            let some: Vec<_> =
                good.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, header)| *header).collect();
            assert_eq!(checked(&some, "tools/call", params), Err(-32020), "without {:?}", good[missing]);
        }
        assert_eq!(checked(&[good[0], ("mcp-method", "tools/list"), good[2]], "tools/call", params), Err(-32020));
    }
}
