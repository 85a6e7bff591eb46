use super::*;
use crate::expr::fixture::scope;

#[test]
fn explore() {
    for source in include_str!("/tmp/scratch-expr/texts.txt").split("\n---\n") {
        match Text::parse(source).and_then(|t| t.eval(&scope())) {
            Ok(v) => println!("{source}\n      = {:?}", v),
            Err(e) => println!("{source}\n      ! {e} @ {:?}", e.span.clone().map(|s| source[s].to_owned())),
        }
        if let Ok(e) = Text::parse(source) {
            for r in e.references() {
                println!("          {} {} {:?}", r.path.join("/"), r.guarded, r.span.clone().map(|s| &source[s]));
            }
            println!("          {:?}", e.lookalikes(&[]));
        }
    }
}
