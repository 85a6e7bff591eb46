//! One MCP server in front of many, with typed, checked, parallel workflows as ordinary tools.
//!
//! The modules stand in layers; each imports only what stands above it in this list.
//! `ARCHITECTURE.md` tells what each is for, and `tests/it/architecture.rs` holds the order.

pub mod model;
