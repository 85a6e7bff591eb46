use super::*;
use crate::expr::fixture::scope;
use serde_json::{Value as Json, json};

fn outcome(source: &str) -> Result<Json, String> {
    match Expr::parse(source).and_then(|expr| expr.eval(&scope())) {
        Ok(v) => Ok(v.to_json()),
        Err(e) => Err(format!("{e} @ {:?}", e.span.clone().map(|s| source[s].to_owned()))),
    }
}

#[test]
fn explore() {
    for source in include_str!("/tmp/scratch-expr/explore.txt").lines() {
        match outcome(source) {
            Ok(json) => println!("{source}\n      = {json}"),
            Err(e) => println!("{source}\n      ! {e}"),
        }
        if let Ok(e) = Expr::parse(source) {
            for r in e.value_references() {
                println!("          {} {} {:?}", r.path.join("/"), r.guarded, r.span.clone().map(|s| &source[s]));
            }
        }
    }
}
