//! Which servers there are: from the files that users write to a checked snapshot.
//!
//! [`load::load`] reads any number of files, in our own shape or in that of the known clients, reports everything that
//! is wrong with them, and keeps every server that is right. Pure: files are read, and placeholders filled in, elsewhere.

pub mod agent;
mod authored;
pub mod bounds;
pub mod capability;
pub mod cross;
mod dialect;
pub mod discovery;
pub mod engine;
pub mod flag;
pub mod found;
pub mod interceptor;
mod launch;
pub mod level;
pub mod load;
mod manifest;
pub mod mentions;
pub mod model;
pub mod naming;
pub mod oauth;
pub mod patterns;
pub mod profile;
mod rate;
pub mod replicas;
pub mod schema;
pub mod server;
mod settings;
pub mod source;
pub mod text;
pub mod tools;
