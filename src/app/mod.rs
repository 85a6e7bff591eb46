//! The only module that knows all the others: files in, a running program out.

pub mod carrier;
pub mod files;
pub mod finds;
pub mod folder;
pub mod lineage;
pub mod load;
mod news;
pub mod redact;
pub mod reload;
pub mod replace;
mod restart;
pub mod revisions;
pub mod run;
pub mod watch;
