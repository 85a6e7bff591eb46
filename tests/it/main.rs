//! The integration tests: one binary, one module for each behaviour.

mod architecture;
mod workflow_files;
