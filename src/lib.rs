//! One MCP server in front of many, with typed, checked, parallel workflows as ordinary tools.
//!
//! The modules stand in layers; each imports only what stands above it in this list.
//! `ARCHITECTURE.md` tells what each is for, and `tests/it/architecture.rs` holds the order.

pub mod model;

pub mod document;
pub mod expr;

pub mod policy;
pub mod wire;

pub mod registry;
pub mod workflow;

pub mod catalog;
pub mod downstream;
pub mod engine;

pub mod discovery;
pub mod journal;
pub mod llm;

pub mod runner;

pub mod gateway;
#[cfg(feature = "restate")]
pub mod restate;

pub mod server;

pub mod app;

pub mod demo;

pub mod cli;
