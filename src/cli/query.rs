//! `runs query`: questions to the journal in SQL, which can change nothing and take no longer than they may.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::cli::exit::Exit;
use crate::cli::runs::Refusal;
use crate::cli::terminal::Terminal;
use crate::journal::question::{Question, Table};

/// The longest that a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The widest that a value is shown to people, in characters.
const WIDEST: usize = 60;

/// Asks, and shows at most `limit` rows.
pub(super) async fn query(folder: &Path, sql: &str, limit: usize, terminal: Terminal) -> Result<(), Refusal> {
    let question = Question::open(folder).map_err(|why| (why.to_string(), Exit::Failed))?;
    let interrupt = question.interrupt();
    let sql = sql.to_owned();
    let mut asked = spawn_blocking(move || question.ask(&sql, limit));
    let Ok(answer) = timeout(PATIENCE, &mut asked).await else {
        interrupt.interrupt();
        // It ends at once, and what it has said so far is of no use.
        let _ = asked.await;
        let why = format!("the question was not answered within {PATIENCE:?}");
        return Err((format!("{why}\nhint: look at fewer runs, by `where` or `limit`"), Exit::Failed));
    };
    let table = answer.map_err(|why| (why.to_string(), Exit::Unexpected))?.map_err(|why| (why, Exit::Usage))?;
    if terminal.is_json {
        terminal.data(&format!(
            "{:#}",
            Value::from(table.rows.iter().map(|row| object(&table.columns, row)).collect::<Vec<_>>())
        ));
    } else {
        for line in lines(&table) {
            terminal.data(&line);
        }
    }
    if table.is_cut {
        terminal.note(&format!("there are more than {limit} rows; --limit shows more"));
    }
    Ok(())
}

fn object(columns: &[String], row: &[Value]) -> Value {
    Value::Object(columns.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>())
}

/// The table for people.
fn lines(table: &Table) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    };
    let mut rows: Vec<Vec<String>> = vec![table.columns.clone()];
    rows.extend(table.rows.iter().map(|row| row.iter().map(shown).collect()));
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WIDEST + 1).collect();
    if line.chars().count() <= WIDEST { line } else { line.chars().take(WIDEST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_straight_columns() {
        let columns = vec!["status".to_owned(), "n".to_owned()];
        let rows = vec![vec![json!("completed"), json!(3)], vec![json!(null), json!("a\nb")]];
        assert_eq!(lines(&Table { columns, rows, is_cut: false }), ["status     n", "completed  3", "           a b"]);
    }
}
