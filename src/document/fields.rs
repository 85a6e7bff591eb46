//! Putting the fields of a table into another order, each with the comments that belong to it.
//!
//! In a table of lines a field is its lines, with the comment lines right above it; empty lines stay where they are. In a
//! table in braces a field is its key and value; what stands between fields stays.

use crate::document::format::Format;
use crate::document::node::{Field, Node, Value};
use crate::document::rewrite::{Edit, Piece};
use crate::model::problem::Span;

/// Why a table is left in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not clear to which field a comment belongs.
    Comment,
    /// The fields do not stand one by one.
    Layout,
}

/// Comments for programs, which belong to the file as a whole.
const FOR_PROGRAMS: [&str; 3] = ["# yaml-language-server", "#!", "#:schema"];

/// One field in a table of lines.
struct Lines {
    /// The comment lines above it.
    lead: Span,
    /// The field, from its key to the end of its last line.
    body: Span,
}

/// The edit after which the fields of `table` stand in the order of their `ranks`; those of equal rank keep theirs.
/// Nothing if they do already.
pub fn order(text: &str, format: Format, table: &Node, ranks: &[usize]) -> Result<Option<Edit>, Obstacle> {
    let Value::Table(fields) = &table.value else { return Ok(None) };
    let is_in_braces = text.get(table.span.clone()).is_some_and(|written| written.starts_with('{'));
    let movable: Vec<usize> = (0..fields.len())
        .filter(|&place| is_in_braces || format != Format::Toml || !stands_in_header(text, &fields[place]))
        .collect();
    let mut wanted = movable.clone();
    wanted.sort_by_key(|&place| ranks[place]);
    if wanted == movable {
        return Ok(None);
    }
    if movable.iter().any(|&place| fields[place].value.span.start < fields[place].key_span.end) {
        return Err(Obstacle::Layout);
    }
    let slot_of = |place: usize| movable.iter().position(|&slot| slot == place).unwrap_or_default();
    let wanted: Vec<usize> = wanted.into_iter().map(slot_of).collect();
    let fields: Vec<&Field> = movable.iter().map(|&place| &fields[place]).collect();
    if is_in_braces {
        return in_braces(text, format, table, &fields, &wanted).map(Some);
    }
    match format {
        Format::Toml => in_lines(text, &toml_lines(text, &fields)?, &wanted).map(Some),
        Format::Yaml | Format::Json => in_lines(text, &yaml_lines(text, &fields)?, &wanted).map(Some),
    }
}

/// Whether some field's value is written elsewhere, as an alias or a merge in YAML.
pub fn has_aliases(node: &Node) -> bool {
    let is_elsewhere = |place: &Span, after: usize| place.start < after;
    match &node.value {
        Value::Table(fields) => {
            fields.windows(2).any(|pair| is_elsewhere(&pair[1].key_span, pair[0].key_span.end))
                || fields.iter().any(|field| {
                    (!field.value.is_null() && is_elsewhere(&field.value.span, field.key_span.end))
                        || has_aliases(&field.value)
                })
        }
        Value::List(items) => {
            items.windows(2).any(|pair| is_elsewhere(&pair[1].span, pair[0].span.start))
                || items.iter().any(has_aliases)
        }
        _ => false,
    }
}

fn in_braces(text: &str, format: Format, table: &Node, fields: &[&Field], wanted: &[usize]) -> Result<Edit, Obstacle> {
    let spans: Vec<Span> = fields.iter().map(|field| field.key_span.start..field.value.span.end).collect();
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Err(Obstacle::Layout) };
    let before = std::iter::once(table.span.start..first.start);
    let mut gaps: Vec<Span> = before.chain(spans.windows(2).map(|pair| pair[0].end..pair[1].start)).collect();
    gaps.push(last.end..table.span.end);
    let marks: &[&str] = if format == Format::Json { &["//", "/*"] } else { &["#"] };
    for gap in &gaps {
        let gap = text.get(gap.clone()).ok_or(Obstacle::Layout)?;
        if marks.iter().any(|mark| gap.contains(mark)) {
            return Err(Obstacle::Comment);
        }
    }
    let mut pieces = Vec::new();
    for (slot, &place) in wanted.iter().enumerate() {
        pieces.push(Piece::Kept(spans[place].clone()));
        if slot + 1 < wanted.len() {
            pieces.push(Piece::Kept(gaps[slot + 1].clone()));
        }
    }
    Ok(Edit { span: first.start..last.end, pieces })
}

fn in_lines(text: &str, lines: &[Lines], wanted: &[usize]) -> Result<Edit, Obstacle> {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Err(Obstacle::Layout) };
    let indent = |field: &Lines| text.get(field.lead.end..field.body.start).unwrap_or_default().to_owned();
    // The first field of a list's item stands behind a dash.
    let is_behind_dash = !indent(first).trim().is_empty();
    let wide = lines.get(1).map(indent).ok_or(Obstacle::Layout)?;
    let mut pieces = Vec::new();
    for (slot, &place) in wanted.iter().enumerate() {
        let field = &lines[place];
        if slot > 0 || !is_behind_dash {
            pieces.push(Piece::Kept(field.lead.clone()));
            pieces.push(Piece::Text(wide.clone()));
        } else if !field.lead.is_empty() {
            return Err(Obstacle::Comment);
        }
        pieces.push(Piece::Kept(field.body.clone()));
        if let Some(next) = lines.get(slot + 1) {
            let gap = lines[slot].body.end..next.lead.start;
            if gap.start > gap.end {
                return Err(Obstacle::Layout);
            }
            pieces.push(Piece::Kept(gap));
        }
    }
    let start = if is_behind_dash { first.body.start } else { first.lead.start };
    Ok(Edit { span: start..last.body.end, pieces })
}

fn toml_lines(text: &str, fields: &[&Field]) -> Result<Vec<Lines>, Obstacle> {
    let mut lines = Vec::new();
    for field in fields {
        let start = line_start(text, field.key_span.start);
        let is_dotted = !text[field.key_span.end..].trim_start().starts_with('=');
        if is_dotted || !text[start..field.key_span.start].trim().is_empty() {
            return Err(Obstacle::Layout);
        }
        let body = field.key_span.start..line_end(text, field.value.span.end);
        lines.push(Lines { lead: lead(text, start, None)..start, body });
    }
    Ok(lines)
}

fn yaml_lines(text: &str, fields: &[&Field]) -> Result<Vec<Lines>, Obstacle> {
    let column = |offset: usize| offset - line_start(text, offset);
    let wide = fields.first().map(|field| column(field.key_span.start)).ok_or(Obstacle::Layout)?;
    let mut lines: Vec<Lines> = Vec::new();
    for (place, field) in fields.iter().enumerate() {
        let start = line_start(text, field.key_span.start);
        let before = &text[start..field.key_span.start];
        let is_alone = before.bytes().all(|byte| byte == b' ');
        let is_behind_dash = place == 0 && before.trim_start().starts_with("- ");
        if column(field.key_span.start) != wide || !(is_alone || is_behind_dash) || before.contains('?') {
            return Err(Obstacle::Layout);
        }
        let lead = if is_behind_dash { start } else { lead(text, start, Some(wide)) };
        if let Some(previous) = lines.last_mut() {
            previous.body.end = without_empty_lines(text, lead);
        }
        lines.push(Lines { lead: lead..start, body: field.key_span.start..line_end(text, field.value.span.end) });
    }
    if let Some(last) = lines.last_mut() {
        let mut end = last.body.end;
        // What is indented as far belongs to it, comments included.
        while let Some(line) = text[end..].lines().next().filter(|_| end < text.len()) {
            let is_inside = line.trim().is_empty() || line.len() - line.trim_start().len() >= wide;
            if !is_inside || line.starts_with("...") {
                break;
            }
            end = next_line(text, end);
        }
        last.body.end = without_empty_lines(text, end);
    }
    Ok(lines)
}

/// Whether the field's key is part of a `[header]`.
fn stands_in_header(text: &str, field: &Field) -> bool {
    text[line_start(text, field.key_span.start)..field.key_span.start].trim_start().starts_with('[')
}

/// Where the comment lines right above the line at `start` begin. In YAML only those count that are indented as far, because
/// others may be text.
fn lead(text: &str, mut start: usize, column: Option<usize>) -> usize {
    while start > 0 {
        let above = line_start(text, start - 1);
        let line = &text[above..start];
        let comment = line.trim_start();
        let is_level = column.is_none_or(|column| line.len() - comment.len() == column);
        if !comment.starts_with('#') || !is_level || FOR_PROGRAMS.iter().any(|mark| comment.starts_with(mark)) {
            break;
        }
        start = above;
    }
    start
}

fn without_empty_lines(text: &str, mut end: usize) -> usize {
    while end > 0 {
        let above = line_start(text, end - 1);
        if !text[above..end].trim().is_empty() {
            break;
        }
        end = above;
    }
    end
}

fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The end of the line that holds what ends at `offset`, its line break included.
fn line_end(text: &str, offset: usize) -> usize {
    // A block of text ends before what follows it, which may be in the middle of the next line's indentation.
    let start = line_start(text, offset);
    if text[start..offset].trim().is_empty() {
        return start;
    }
    next_line(text, offset)
}

fn next_line(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |newline| offset + newline + 1)
}
