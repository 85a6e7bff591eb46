//! What helps to write workflow files: explain, fix, fmt, convert, schema, new, pictures, plans.

mod explain;
mod fix;
mod format;
mod languages;
mod new;
mod plans;
