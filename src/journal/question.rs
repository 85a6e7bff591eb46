//! Questions to the journal in SQL, on a connection that can change nothing.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, OpenFlags};
use serde_json::Value;

use crate::journal::open::FILE;

/// The longest value that is given back, in bytes.
const LONGEST: usize = 1024 * 1024;

/// The answer to a question.
#[derive(Debug)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values, row by row.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows.
    pub is_cut: bool,
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Question(Connection);

impl Question {
    /// Opens the journal in `path` for questions.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path.join(FILE), flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "query_only", "on")?;
        Ok(Self(connection))
    }

    /// Ends a question from elsewhere.
    pub fn interrupt(&self) -> InterruptHandle {
        self.0.get_interrupt_handle()
    }

    /// Asks, and gives back at most `limit` rows. The error says what is wrong with the question.
    pub fn ask(&self, sql: &str, limit: usize) -> Result<Table, String> {
        let told = |why: rusqlite::Error| format!("the question cannot be answered: {why}");
        let first = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        // Whatever else is there works on files or settings, not on runs.
        if !["select", "with", "values", "explain"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
            return Err("a question begins with `select` or `with`".to_owned());
        }
        let mut statement = self.0.prepare(sql).map_err(told)?;
        if !statement.readonly() {
            return Err("a question changes nothing".to_owned());
        }
        let columns: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
        let mut table = Table { rows: Vec::new(), is_cut: false, columns };
        let mut rows = statement.query([]).map_err(told)?;
        while let Some(row) = rows.next().map_err(told)? {
            if table.rows.len() == limit {
                table.is_cut = true;
                break;
            }
            let values = (0..table.columns.len()).map(|at| row.get_ref(at).map(json));
            table.rows.push(values.collect::<Result<_, _>>().map_err(told)?);
        }
        Ok(table)
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::from(number),
        ValueRef::Real(number) => Value::from(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned().into()
        }
    }
}
