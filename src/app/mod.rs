//! The only module that knows all the others: files in, a running program out.

pub mod files;
pub mod folder;
pub mod lineage;
pub mod load;
pub mod replace;
pub mod run;
