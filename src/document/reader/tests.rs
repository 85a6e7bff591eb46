//! What readers report for values of the wrong kind.

use super::*;
use crate::document::format::Format;
use crate::document::parse::parse;

fn problems(format: Format, text: &str, check: impl FnOnce(&mut Reader, &Node)) -> Vec<String> {
    let source = Source::new("f", text);
    let node = parse(&source, format).unwrap();
    let mut reader = Reader::new(&source);
    check(&mut reader, &node);
    reader.problems.iter().map(Problem::to_string).collect()
}

/// The text after every patch was applied.
fn mended(format: Format, text: &str, check: impl FnOnce(&mut Reader, &Node)) -> String {
    let source = Source::new("f", text);
    let node = parse(&source, format).unwrap();
    let mut reader = Reader::new(&source);
    check(&mut reader, &node);
    let mut patches: Vec<_> = reader.problems.into_iter().filter_map(|problem| problem.patch).collect();
    patches.sort_by_key(|patch| std::cmp::Reverse(patch.span.start));
    let mut text = text.to_owned();
    for patch in patches {
        text.replace_range(patch.span, &patch.replacement);
    }
    text
}

fn read_all(reader: &mut Reader, node: &Node) {
    let Some(mut table) = reader.table(node, "") else { return };
    let name = table.require(reader, "name").and_then(|node| reader.text(node, "name"));
    let wait = table.take("wait").and_then(|node| reader.duration(node, "wait"));
    let count = table.take("count").and_then(|node| reader.integer(node, "count", 1..=9));
    let mode = table.take("mode").and_then(|node| reader.word(node, "mode", &[("fast", 1), ("careful", 2)]));
    let tags = table.take("tags").and_then(|node| reader.texts(node, "tags"));
    let strict = table.take("strict").and_then(|node| reader.boolean(node, "strict"));
    if let Some(mut inner) = table.take("inner").and_then(|node| reader.table(node, "inner")) {
        inner.take("deep");
        inner.finish(reader);
    }
    table.finish(reader);
    if reader.problems.is_empty() {
        assert_eq!((name.as_deref(), wait, count, mode), (Some("x"), Some(Duration::from_secs(5)), Some(3), Some(2)));
        assert_eq!((tags, strict), (Some(vec!["a".to_owned()]), Some(true)));
    }
}

#[test]
fn a_good_file_has_no_problems() {
    let text = "name: x\nwait: 5s\ncount: 3\nmode: careful\ntags: [a]\nstrict: true\ninner: {deep: 1}\n";
    assert_eq!(problems(Format::Yaml, text, read_all), Vec::<String>::new());
    let text = "name = 'x'\nwait = 5000\ncount = 3\nmode = 'careful'\ntags = ['a']\nstrict = true\n[inner]\ndeep = 1\n";
    assert_eq!(problems(Format::Toml, text, read_all), Vec::<String>::new());
}

#[test]
fn every_mistake_is_reported_at_once_at_its_place() {
    let text = "wait: soon\ncount: 10\nmode: fats\ntags: a\nstrict: yes\ninner: {deeep: 1}\nnmae: x\nmore: 1\n";
    assert_eq!(
        problems(Format::Yaml, text, read_all),
        [
            "f:1:1: error[MO1005]: the file needs `name`",
            "f:1:7: error[MO1004]: `wait` must be a duration, not `soon`; for example `500ms`, `30s`, `1m30s`, `24h`",
            "f:2:8: error[MO1004]: `count` must be a whole number from 1 to 9, not 10",
            "f:3:7: error[MO1004]: `mode` must be one of `fast`, `careful`, not `fats`; did you mean `fast`?",
            "f:4:7: error[MO1004]: `tags` must be a list of text, not text; put it in brackets",
            "f:5:9: error[MO1004]: `strict` must be `true` or `false`, not text; write `true`",
            "f:6:9: error[MO1003]: unknown key `deeep` in `inner`; did you mean `deep`?",
            "f:7:1: error[MO1003]: unknown key `nmae`; did you mean `name`?",
            "f:8:1: error[MO1003]: unknown key `more`; known keys here: `name`",
        ]
    );
}

#[test]
fn patches_keep_the_syntax_of_the_file() {
    let text = "{\"nmae\": \"x\", \"mode\": \"carefull\", \"tags\": \"a\", \"strict\": \"on\"}";
    assert_eq!(
        mended(Format::Json, text, read_all),
        "{\"name\": \"x\", \"mode\": \"careful\", \"tags\": [\"a\"], \"strict\": true}"
    );
    assert_eq!(mended(Format::Toml, "name = 5\nmode = 'fats'\n", read_all), "name = \"5\"\nmode = 'fast'\n");
}

#[test]
fn a_wrong_shape_says_what_it_is() {
    let list = |reader: &mut Reader, node: &Node| {
        reader.table(node.get("servers").unwrap().get("github").unwrap(), "servers.github");
    };
    assert_eq!(
        problems(Format::Yaml, "servers:\n  github: [a,\n    b]\n", list),
        ["f:2:11: error[MO1004]: `servers.github` must be a table, not a list"]
    );
    assert_eq!(
        problems(Format::Yaml, "- a\n", read_all),
        ["f:1:1: error[MO1004]: the file must be a table, not a list"]
    );
}

#[test]
fn an_explicit_null_counts_as_absent() {
    assert_eq!(problems(Format::Yaml, "count: 3\nname:\n", read_all), ["f:2:1: error[MO1005]: the file needs `name`"]);
}

#[test]
fn free_names_are_left_to_the_caller() {
    let free = |reader: &mut Reader, node: &Node| {
        let mut table = reader.table(node, "tools").unwrap();
        table.take("allow");
        let names: Vec<_> = table.rest().map(|field| field.key.as_str()).collect();
        assert_eq!(names, ["search", "list"]);
        assert_eq!(table.path("search"), "tools.search");
        table.finish(reader);
    };
    assert_eq!(problems(Format::Yaml, "search: 1\nallow: []\nlist: 2\n", free), Vec::<String>::new());
}
